/** The harmless calls by which an open breaker is tried. Each ends within a bounded time. */
import type { BreakerName } from './breakers.ts';
import type { Door } from './db/door.ts';
import { schemaVersion } from './db/operations.ts';
import type { Llm } from './llm.ts';
import type { Evolution } from './whatsapp/client.ts';

type Parts = { whatsapp: Evolution | null; llm: Llm | null; door: Door; model: string | null };

/** What the probe of the model may take. Milliseconds. */
const MODEL_MS = 15_000;

/** Returns null when the other side is there, else why not. */
export function createProbe({ whatsapp, llm, door, model }: Parts): (name: BreakerName, instance: string | null) => Promise<string | null> {
  return async (name, instance) => {
    switch (name) {
      case 'evolution': {
        // It proves that Evolution answers, not that a message would go through: the breaker is on trial after it.
        const state = await whatsapp?.connectionState(instance ?? '');
        return state === undefined || state.kind === 'ok' ? null : state.class;
      }
      case 'claude': {
        if (llm === null || model === null) return null;
        // One word of the cheap model, some 10 tokens: only the real thing shows that a contact would be answered. (Rejected: waiting for the next
        // contact, who would pay for the test with silence.)
        const { ok, ...rest } = await llm.call(
          { model, maxTokens: 1, system: [], tools: [], messages: [{ role: 'user', content: 'ping' }] },
          { signal: new AbortController().signal, timeoutMs: MODEL_MS },
        );
        return ok || !('failure' in rest) || !rest.failure.counts ? null : rest.failure.kind;
      }
      case 'database':
        // Shown to anybody by /health/circuit: no address of the database.
        return schemaVersion(door).then(
          () => null,
          () => 'unreachable',
        );
    }
  };
}
