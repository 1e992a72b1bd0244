/** Traces: real processes with `--import src/telemetry.ts`, and a receiver that takes OTLP over HTTP, as a collector does. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ensureRedisServer, startRedis } from '../../scripts/lib/redis.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { startSite } from '../support/site.ts';

type Hooks = { after(hook: () => Promise<void>): void };
type Value = { stringValue?: string; intValue?: number | string; doubleValue?: number; arrayValue?: { values: Value[] } };
type Span = {
  service: string;
  resource: Record<string, unknown>;
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  kind: number;
  attributes: Record<string, unknown>;
  links: { traceId: string }[];
  ms: number;
};

const SERVER = 2;
const CLIENT = 3;
const CONSUMER = 5;

/** A collector: what came, and a wait for it. */
async function startReceiver(t: Hooks) {
  const spans: Span[] = [];
  const headers: Record<string, unknown>[] = [];
  const changes = new EventEmitter();
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      assert.equal(request.url, '/v1/traces');
      headers.push(request.headers);
      spans.push(...spansOf(JSON.parse(body)));
      response.setHeader('content-type', 'application/json').end('{}');
      changes.emit('change');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    headers,
    async until(check: () => boolean, what: string): Promise<void> {
      const timeout = AbortSignal.timeout(30_000);
      while (!check())
        await once(changes, 'change', { signal: timeout }).catch(() => {
          throw new Error(`${what} did not come: ${spans.map((each) => `${each.service} ${each.name} ${each.traceId}`).join('\n')}`);
        });
    },
  };
}

function spansOf(body: {
  resourceSpans: { resource: { attributes: { key: string; value: Value }[] }; scopeSpans: { spans: RawSpan[] }[] }[];
}): Span[] {
  return body.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...span,
        service: String(valuesOf(resource.attributes)['service.name']),
        resource: valuesOf(resource.attributes),
        parentSpanId: span.parentSpanId === '' ? undefined : span.parentSpanId,
        attributes: valuesOf(span.attributes),
        links: span.links ?? [],
        ms: (Number(span.endTimeUnixNano) - Number(span.startTimeUnixNano)) / 1e6,
      })),
    ),
  );
}
type RawSpan = Omit<Span, 'service' | 'resource' | 'attributes' | 'links' | 'ms'> & {
  attributes: { key: string; value: Value }[];
  links?: { traceId: string }[];
  startTimeUnixNano: string;
  endTimeUnixNano: string;
};

function valuesOf(attributes: { key: string; value: Value }[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]));
}

function plain({ stringValue, intValue, doubleValue, arrayValue }: Value): unknown {
  if (arrayValue) return arrayValue.values.map(plain);
  return stringValue ?? (intValue === undefined ? doubleValue : Number(intValue));
}

async function redisUrl(t: Hooks): Promise<string> {
  await ensureRedisServer();
  const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-redis-'));
  const server = await startRedis({ dir });
  t.after(() => server.stop().then(() => rm(dir, { recursive: true, force: true })));
  return server.url;
}

const IMPORT = { NODE_OPTIONS: `--import=${path.join(projectRoot, 'src/telemetry.ts')}` };

for (const queue of ['postgres', 'redis'] as const) {
  test(`E5 E8 one trace from the webhook through queue, turn, model and send to the ack, over two processes, with the queue in ${queue}`, async (t) => {
    const receiver = await startReceiver(t);
    const site = await startSite(t, {
      env: {
        ...IMPORT,
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20secret%20key',
        DEBOUNCE_MS: '100',
        ...(queue === 'redis' ? { REDIS_URL: await redisUrl(t) } : {}),
      },
    });
    const [api, worker] = await Promise.all([site.startReady('api'), site.startReady('worker')]);
    const maria = site.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
    site.simulator.script([{ match: 'preço', text: 'Custa dez reais.' }]);
    site.simulator.inbound({ contactId: maria.id, text: 'Qual o preço, segredo?' });
    await site.until(
      async () => (await site.query(`select 1 from messages where direction = 'out' and status = 'delivered'`)).length > 0,
      'the answer and its ack',
    );
    const [message] = await site.query<{ correlation: string }>(
      `select correlation_id as correlation from messages where direction = 'in'`,
    );
    // the ack may be there before the worker has said so
    const recorded = await site.until(() => worker.lines().find((line) => line.message === 'Message sent'), 'the line of the send');
    // nor is news that came before that the message's own: the contact opens the chat only now
    site.simulator.read({ contactId: maria.id });
    const traceId = recorded.context['trace_id'];
    assert.match(String(traceId), /^[0-9a-f]{32}$/);
    assert.equal(recorded.context['correlation_id'], message?.correlation);
    const own = () => receiver.spans.filter((each) => each.traceId === traceId);
    const names = () => new Set(own().map((each) => each.name));
    const wanted = [
      'POST /webhook/evolution',
      'record_inbound',
      'queue turn',
      'turn',
      'complete_turn',
      'queue send',
      'send',
      'POST /message/sendText',
      'record_send',
      'ack',
    ];
    await receiver.until(
      () => wanted.every((name) => names().has(name)) && [...names()].some((name) => name.startsWith('chat ')),
      'the whole trace',
    );

    const spans = own();
    const of = (name: string): Span => {
      const found = spans.find((each) => each.name === name || each.name.startsWith(`${name} `));
      assert.ok(found, name);
      return found;
    };
    const root = of('POST /webhook/evolution');
    assert.equal(root.parentSpanId, undefined);
    assert.deepEqual([root.kind, root.service, root.attributes['http.response.status_code']], [SERVER, 'agente-julia-api', 200]);
    for (const name of ['record_inbound', 'queue turn', 'turn', 'queue send', 'send', 'ack'])
      assert.equal(of(name).parentSpanId, root.spanId, name);
    assert.equal(of('record_inbound').attributes['db.system.name'], 'postgresql');
    assert.deepEqual([of('turn').kind, of('turn').service], [CONSUMER, 'agente-julia-worker']);
    for (const name of ['chat', 'complete_turn']) assert.equal(of(name).parentSpanId, of('turn').spanId, name);
    for (const name of ['POST /message/sendText', 'record_send']) assert.equal(of(name).parentSpanId, of('send').spanId, name);
    assert.ok(of('queue turn').ms > 0);
    assert.notEqual(of('ack').links[0]?.traceId, traceId, 'the webhook that brought the ack is another trace');

    const model = of('chat');
    assert.equal(model.kind, CLIENT);
    const { attributes: told } = model;
    assert.equal(told['gen_ai.operation.name'], 'chat');
    assert.equal(told['gen_ai.provider.name'], 'anthropic');
    assert.equal(`chat ${String(told['gen_ai.request.model'])}`, model.name);
    assert.deepEqual(told['gen_ai.response.finish_reasons'], ['end_turn']);
    const [call] = await site.query<{ input: number; output: number }>(
      `select input_tokens + cache_read_tokens + cache_write_tokens as input, output_tokens as output from model_calls`,
    );
    assert.deepEqual([told['gen_ai.usage.input_tokens'], told['gen_ai.usage.output_tokens']], [call?.input, call?.output]);

    assert.doesNotMatch(JSON.stringify(receiver.spans), /segredo|Custa dez|12345678/, 'no text and no number');
    assert.ok(receiver.headers.every((each) => each['x-key'] === 'a secret key'));
    const inTrace = [...api.lines(), ...worker.lines()].filter((line) => line.context['trace_id'] === traceId).map((line) => line.message);
    for (const line of ['Webhook recorded', 'Processing message...', 'Model called', 'Turn ended', 'Message sent'])
      assert.ok(inTrace.includes(line), `${line} with its trace_id`);
  });
}

test('E5 a request id from outside starts the trace as well, and what is recorded leaves before the process ends', async (t) => {
  const receiver = await startReceiver(t);
  const site = await startSite(t, { env: { ...IMPORT, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
  const api = await site.startReady('api');
  const ask = () => fetch(`${api.url}/api/messages/1`, { headers: { 'x-request-id': 'from-a-proxy-1' } });
  assert.equal((await ask()).status, 401);
  api.signal('SIGTERM');
  assert.equal(await api.ended, 0);
  const [found] = receiver.spans.filter((each) => each.attributes['http.response.status_code'] === 401);
  assert.ok(found, 'the span of the last request');
  assert.deepEqual(
    Object.keys(found.resource)
      .filter((name) => !name.startsWith('telemetry.sdk.'))
      .toSorted(),
    ['deployment.environment.name', 'service.name', 'service.version'],
    'nothing of host, user and command line',
  );
  assert.equal(found.traceId, createHash('sha256').update('from-a-proxy-1').digest('hex').slice(0, 32), 'every process can derive it');
});

test('E5 without a collector nothing of OpenTelemetry is loaded; one that is away is told once in the log and does no harm', async (t) => {
  const probe = `import { registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => {
      // All but the interface, which prom-client loads too.
      if (/@opentelemetry.(?!api\\b)|@grpc|protobufjs|in-the-middle/.test(url)) console.log(JSON.stringify({ message: 'Loaded', context: { url } }));
      return next(url, context);
    } });`;
  const options = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(probe)} ${IMPORT.NODE_OPTIONS}` };
  const untraced = await startSite(t);
  const plain = await untraced.startReady('api', options);
  assert.deepEqual(
    plain.lines().filter((line) => line.message === 'Loaded'),
    [],
  );

  const site = await startSite(t, { env: { ...options, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' } });
  const api = await site.startReady('api');
  assert.equal((await fetch(`${api.url}/api/messages/1`)).status, 401);
  await api.line('Loaded'); // the probe works
  await api.line('Traces could not be exported');
  api.signal('SIGTERM');
  assert.equal(await api.ended, 0);
});
