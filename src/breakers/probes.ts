/** The harmless calls by which an open breaker is tried. Each ends within a bounded time. */
import type { BreakerName, Verdict } from './shell.ts';
import { MODEL_FAILURES } from '../claude/model-failure.ts';
import type { Door } from '../db/door.ts';
import { schemaVersion } from '../db/server-calls.ts';
import type { Llm } from '../claude/llm.ts';
import type { Evolution } from '../whatsapp/client.ts';

type Parts = { whatsapp: Evolution | null; llm: Llm | null; door: Door };

/** What the probe of the model may take. Milliseconds. */
const MODEL_MS = 15_000;
/** A model that thinks stops within its thought: that it answers at all is what counts. */
const PROBE = { maxTokens: 1, thinking: null, effort: null } as const;

export function createProbe({
  whatsapp,
  llm,
  door,
}: Parts): (name: BreakerName, instance: string | null) => Promise<Exclude<Verdict, undefined>> {
  return async (name, instance) => {
    switch (name) {
      case 'evolution': {
        // It proves that Evolution answers, not that a message would go through: the breaker is on trial after it.
        const state = await whatsapp?.connectionState(instance ?? '');
        return state === undefined || state.kind === 'ok' ? null : state.class;
      }
      case 'claude': {
        if (llm === null || instance === null) return null;
        // One word, some 10 tokens: only the real thing shows that a contact would be answered. (Rejected: waiting for the next contact, who would pay
        // for the test with silence.)
        const answer = await llm.call(
          { model: instance, settings: PROBE, system: [], tools: [], messages: [{ role: 'user', content: 'ping' }] },
          { signal: new AbortController().signal, timeoutMs: MODEL_MS },
        );
        if (answer.ok || !MODEL_FAILURES[answer.failure.kind].counts) return null;
        return { reason: answer.failure.kind, restMs: answer.failure.restMs };
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
