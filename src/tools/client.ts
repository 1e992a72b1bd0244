/** The calls of business tools: to their own origin, with their secret, within a time and a size. A service that fails in a row rests for a while. */
import type { Door } from '../db/door.ts';
import { cut } from '../words/cut.ts';
import { jsonOf } from '../words/json.ts';
import { TOO_LARGE } from '../process/http-out.ts';
import { PRIVATE_ADDRESS } from '../process/http-outside.ts';
import type { Outside } from '../process/http-outside.ts';
import { openSecret } from '../process/secrets.ts';
import type { SecretKeys } from '../process/secrets.ts';
import { tenantSecret } from './calls.ts';
import type { HttpToolRequest } from './decide.ts';
import type { ToolDefinition } from './definition-words.ts';

/** What a sealed secret belongs to. */
export const secretOwner = (tenant: string, name: string): string => `tenant:${tenant}:secret:${name}`;

/** Codes of words/reasons.ts. */
export type CallFault =
  | 'tool_unreachable'
  | 'tool_timeout'
  | 'tool_private'
  | 'tool_too_large'
  | 'tool_redirect'
  | 'tool_http_error'
  | 'tool_refused'
  | 'tool_not_json'
  | 'tool_no_secret'
  | 'tool_resting';

export type CallEnd =
  | { ok: true; status: number; answer: unknown; text: string }
  /** `left`: the request may have reached the service. `status`: 0 when there was no answer. */
  | { ok: false; fault: CallFault; detail: string; left: boolean; status: number };

export type ToolClient = {
  /** Contract: rejects with what the database throws when it is asked for the secret, else never; ends within the tool's time. Any number at once. */
  call(tenant: string, tool: ToolDefinition, request: HttpToolRequest, options: { key?: string; signal?: AbortSignal }): Promise<CallEnd>;
  /** Why an origin cannot be saved; null: it can. */
  fault: Outside['fault'];
  /** The guarded way out, for who calls no tool. */
  outside: Outside;
};

/** An answer that is longer is no answer about one thing. Bytes. */
const MOST_BYTES = 200_000;
/** So many failures in a row, and an origin is left alone for so long. Milliseconds. */
const MOST_FAILURES = 4;
const REST_MS = 30_000;
/** Origins that are remembered. */
const MOST_ORIGINS = 500;

export function createToolClient(db: Door, secrets: SecretKeys | null, outside: Outside): ToolClient {
  const troubles = new Map<string, { failures: number; restUntil: number }>();
  function note(origin: string, failed: boolean): void {
    const before = troubles.get(origin);
    troubles.delete(origin);
    if (!failed) return;
    const failures = (before?.failures ?? 0) + 1;
    troubles.set(origin, { failures, restUntil: failures >= MOST_FAILURES ? performance.now() + REST_MS : 0 });
    const [oldest] = troubles.keys();
    if (troubles.size > MOST_ORIGINS && oldest !== undefined) troubles.delete(oldest);
  }

  async function headersOf(tenant: string, { secret }: ToolDefinition): Promise<Record<string, string> | null> {
    if (secret === undefined) return {};
    const sealed = await tenantSecret(db, tenant, secret.name);
    const opened = sealed === null || secrets === null ? null : openSecret(secrets, sealed, secretOwner(tenant, secret.name));
    return opened === null ? null : { [secret.header.toLowerCase()]: `${secret.prefix}${opened.text}` };
  }

  return {
    outside,
    fault: (url) => outside.fault(url),
    async call(tenant, tool, request, { key, signal }) {
      const never = (fault: CallFault, detail: string): CallEnd => ({ ok: false, fault, detail, left: false, status: 0 });
      const trouble = troubles.get(tool.origin);
      if (trouble !== undefined && trouble.restUntil > performance.now())
        return never('tool_resting', `${trouble.failures} failures in a row`);
      const headers = await headersOf(tenant, tool);
      if (headers === null) return never('tool_no_secret', tool.secret?.name ?? '');
      const answer = await outside.call({
        method: request.method,
        url: request.url,
        headers: {
          accept: 'application/json',
          ...(request.body === null ? {} : { 'content-type': 'application/json' }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
          ...headers,
        },
        body: request.body ?? undefined,
        timeoutMs: tool.timeout_ms,
        mostBytes: MOST_BYTES,
        // what writes must not go over a connection that its other end may have closed
        fresh: key !== undefined,
        signal,
      });
      const end = endOf(answer);
      const aborted = 'networkError' in answer && answer.networkError === 'aborted';
      if (!aborted) note(tool.origin, !end.ok && (end.status === 0 || end.status >= 500));
      return end;
    },
  };
}

function endOf(answer: Awaited<ReturnType<Outside['call']>>): CallEnd {
  if ('networkError' in answer) {
    const { networkError, code, requestWritten: left } = answer;
    const fault =
      code === PRIVATE_ADDRESS
        ? 'tool_private'
        : code === TOO_LARGE
          ? 'tool_too_large'
          : networkError === 'timeout'
            ? 'tool_timeout'
            : 'tool_unreachable';
    return { ok: false, fault, detail: code, left, status: 0 };
  }
  const { status, text } = answer;
  const failed = (fault: CallFault): CallEnd => ({ ok: false, fault, detail: `${status}: ${cut(text, 300)}`, left: true, status });
  if (status >= 300 && status < 400) return failed('tool_redirect');
  if (status >= 400 && status < 500) return failed('tool_refused');
  if (status < 200 || status >= 500) return failed('tool_http_error');
  const parsed = text.trim() === '' ? {} : jsonOf(text);
  return parsed === undefined ? failed('tool_not_json') : { ok: true, status, answer: parsed, text };
}
