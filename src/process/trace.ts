/**
 * Traces, as the rest of the product sees them. The spans of one message are one trace over all processes, and nothing is stored for that: the ids of its first
 * span are derived from its correlation id, which the rows carry anyway. So a process that works on it later knows its parent.
 *
 * What makes spans is brought by telemetry.ts, which nobody imports; without it everything here is a call of the work and nothing more.
 */
export type Attributes = Record<string, string | number | boolean | string[] | undefined>;

export type SpanOptions = {
  kind: 'server' | 'client' | 'consumer' | 'internal';
  /** `first`: the first span of this correlation. Else a child of that first span; left out: of the span that is active. */
  first?: string;
  of?: string | null;
  /** Nothing is recorded unless a span is active: a look at the database by itself is no trace. */
  onlyWithin?: boolean;
  /** Another correlation that has to do with it. */
  link?: string | null;
  /** When it began, if not now. */
  from?: Date;
  attributes?: Attributes;
};

export type Span = { set(attributes: Attributes): void; rename(name: string): void; fail(kind: string): void };

/** What telemetry.ts brings. Contract: nothing here throws but `work`. */
export type Tracing = {
  run<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
  /** A span that is over already. */
  mark(name: string, options: SpanOptions): void;
  /** Of the active span. */
  traceId(): string | null;
  /** What is recorded is sent; gives up by itself. */
  flush(): Promise<void>;
};

/** Where telemetry.ts leaves it: the two do not import each other, and either may be loaded first. */
const PLACE = Symbol.for('whats-agents.tracing');

function tracing(): Tracing | null {
  return (globalThis as { [PLACE]?: Tracing })[PLACE] ?? null;
}

export const NO_SPAN: Span = { set: () => {}, rename: () => {}, fail: () => {} };

/** Runs the work inside a span; an exception marks it as failed. */
export function span<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  return tracing()?.run(name, options, work) ?? work(NO_SPAN);
}

export function mark(name: string, options: SpanOptions): void {
  tracing()?.mark(name, options);
}

export function activeTraceId(): string | null {
  return tracing()?.traceId() ?? null;
}

export async function flushTraces(): Promise<void> {
  await tracing()?.flush();
}
