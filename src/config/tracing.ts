/** Configuration of traces: where they go, if anywhere. */
import type { Report } from './environment.ts';
import type { Variables } from './variables.ts';

export type Tracing = {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** 0..1 of all traces. */
  readonly ratio: number;
};

/** Headers as the standard writes them: `name=value,name=value`, percent-encoded. */
export function tracing(v: Variables, report: Report): Tracing | null {
  const headers: Record<string, string> = {};
  for (const pair of (v.OTEL_EXPORTER_OTLP_HEADERS ?? '').split(',').filter((each) => each.trim() !== '')) {
    const [, name, value] = /^\s*([\w-]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    if (name === undefined || value === undefined) report.problem('OTEL_EXPORTER_OTLP_HEADERS: must be name=value, several with commas');
    else headers[name] = decoded(value);
  }
  const endpoint = v.OTEL_EXPORTER_OTLP_ENDPOINT;
  return endpoint === undefined ? null : { endpoint, headers, ratio: v.OTEL_TRACES_SAMPLER_ARG };
}

/** As it is, when it is not percent-encoded. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
