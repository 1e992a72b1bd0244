/**
 * OpenTelemetry, put together by its SDK for Node. Loaded with `--import` before anything else, and imported by nobody: without
 * OTEL_EXPORTER_OTLP_ENDPOINT it is this file and no more.
 * Spans are made where the product says so (trace.ts), not by patching libraries, which would need loader hooks and cost start time and memory.
 */
import { createHash } from 'node:crypto';
import type { Context, SpanContext } from '@opentelemetry/api';
import type { Config } from './config.ts';
import type { Attributes, Span, SpanOptions, Tracing } from './process/trace.ts';

/** A collector that is unavailable must not hold up the end of a process. Milliseconds. */
const FLUSH_MS = 2_000;
/** A collector that is unavailable says so at each try; a line in this time is enough. Milliseconds. */
const TROUBLE_MS = 60_000;
/** One try, with its repeats. Milliseconds. */
const TRY_MS = 5_000;
/** Spans leave so often. Milliseconds. */
const EXPORT_MS = 1_000;

if (process.env['OTEL_EXPORTER_OTLP_ENDPOINT']) {
  const { loadConfig, readEnv } = await import('./config.ts');
  const loaded = loadConfig(readEnv());
  // A wrong configuration is told by main.ts.
  if (loaded.ok && loaded.config.tracing !== null) {
    // trace.ts looks for it here
    Object.assign(globalThis, { [Symbol.for('whats-agents.tracing')]: await startTracing(loaded.config, loaded.config.tracing) });
  }
}

async function startTracing(config: Config, { endpoint, headers, ratio }: NonNullable<Config['tracing']>): Promise<Tracing> {
  const [api, { NodeSDK }, sdk, { OTLPTraceExporter }, { createLogger }, { waitAtMost }, { NO_SPAN }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('./process/log.ts'),
    import('./process/wait.ts'),
    import('./process/trace.ts'),
  ]);
  const log = createLogger({
    level: config.log.level,
    service: config.app.service,
    pretty: config.log.pretty,
    secrets: config.log.secrets,
  });
  let told = -Infinity;
  const trouble = (detail: string): void => {
    if (performance.now() - told < TROUBLE_MS) return;
    told = performance.now();
    log.warning({ detail }, 'Traces could not be exported');
  };
  const ids = new sdk.RandomIdGenerator();
  /** Ids that the span which is just being started gets. */
  let given: SpanContext | null = null;
  const assembled = new NodeSDK({
    // In the place of the SDK's own: what it would find out about host, command line and user is nobody's business.
    resourceDetectors: [
      {
        detect: () => ({
          attributes: {
            'service.name': config.app.service,
            'service.version': config.app.version,
            'deployment.environment.name': config.app.environment,
          },
        }),
      },
    ],
    // By the id of the trace and nothing else, so that all processes decide alike without telling each other.
    sampler: new sdk.TraceIdRatioBasedSampler(ratio),
    idGenerator: {
      generateTraceId: () => given?.traceId ?? ids.generateTraceId(),
      generateSpanId: () => given?.spanId ?? ids.generateSpanId(),
    },
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces`, headers, timeoutMillis: TRY_MS }),
        scheduledDelayMillis: EXPORT_MS,
      }),
    ],
    // Traces only: left out, these three are made as the environment says, and metrics and logs have their own ways here.
    textMapPropagator: null,
    metricReaders: [],
    logRecordProcessors: [],
  });
  // After the constructor, which with OTEL_LOG_LEVEL sets one that writes lines of its own.
  api.diag.setLogger(
    { error: trouble, warn: () => {}, info: () => {}, debug: () => {}, verbose: () => {} },
    { logLevel: api.DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
  assembled.start();
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, context, trace } = api;
  const tracer = trace.getTracer('whats-agents', config.app.version);
  const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, consumer: SpanKind.CONSUMER, internal: SpanKind.INTERNAL };

  const firstOf = (correlation: string): SpanContext => {
    const hash = createHash('sha256').update(correlation).digest('hex');
    return { traceId: hash.slice(0, 32), spanId: hash.slice(32, 48), traceFlags: TraceFlags.SAMPLED, isRemote: true };
  };
  const parentOf = ({ first, of }: SpanOptions): Context => {
    if (first !== undefined) return ROOT_CONTEXT;
    return of == null ? context.active() : trace.setSpanContext(ROOT_CONTEXT, firstOf(of));
  };
  const start = (name: string, options: SpanOptions) => {
    given = options.first === undefined ? null : firstOf(options.first);
    try {
      return tracer.startSpan(
        name,
        {
          kind: kinds[options.kind],
          attributes: known(options.attributes),
          links: options.link == null ? [] : [{ context: firstOf(options.link) }],
          ...(options.from === undefined ? {} : { startTime: options.from }),
        },
        parentOf(options),
      );
    } finally {
      given = null;
    }
  };
  const unwanted = (options: SpanOptions): boolean => options.onlyWithin === true && trace.getActiveSpan() === undefined;

  return {
    async run(name, options, work) {
      if (unwanted(options)) return work(NO_SPAN);
      const started = start(name, options);
      const fail = (kind: string): void => void started.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', kind);
      const handle: Span = {
        set: (attributes: Attributes) => void started.setAttributes(known(attributes)),
        rename: (as) => void started.updateName(as),
        fail,
      };
      try {
        return await context.with(trace.setSpan(parentOf(options), started), () => work(handle));
      } catch (error) {
        // The kind only: an exception's text may quote what a contact wrote.
        fail(error instanceof Error ? error.name : 'unknown');
        throw error;
      } finally {
        started.end();
      }
    },
    mark(name, options) {
      if (!unwanted(options)) start(name, options).end();
    },
    traceId: () => trace.getActiveSpan()?.spanContext().traceId ?? null,
    async flush() {
      await waitAtMost(
        FLUSH_MS,
        assembled.shutdown().catch(() => {}),
      );
    },
  };
}

/** Without what is not known. */
function known(attributes: Attributes = {}): Record<string, string | number | boolean | string[]> {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, string | number | boolean | string[]] => entry[1] !== undefined),
  );
}
