/** What is outside of a rehearsal: the configuration, a queue in memory, a model that says what was said, and a wire that ends here. */
import type Anthropic from '@anthropic-ai/sdk';
import { newestUserText } from '../simulator/persona.ts';
import type { ApiMessage } from '../simulator/claude-check.ts';
import type { Clockwork } from '../simulation/time.ts';
import { within } from '../simulation/time.ts';
import type { Llm } from '../src/claude/llm.ts';
import { loadConfig } from '../src/config.ts';
import type { Config } from '../src/config.ts';
import type { HttpCall } from '../src/process/http-out.ts';
import type { Conversations, InboundJob, QueueName, Queues } from '../src/queues.ts';
import type { StoredMessage } from './stored.ts';

/** What the variables of this shell say of the rules; what leads outside is replaced. */
export function configOf(env: NodeJS.ProcessEnv, instance: string | null): Config {
  const result = loadConfig({
    ...env,
    RUN_MODE: 'worker',
    ENVIRONMENT: 'test',
    DATABASE_URL: 'postgres://rehearsal.invalid/rehearsal',
    REDIS_URL: 'redis://rehearsal.invalid',
    EVOLUTION_API_URL: 'http://127.0.0.1:9',
    EVOLUTION_API_KEY: 'rehearsal',
    EVOLUTION_INSTANCE: instance ?? 'rehearsal',
    EVOLUTION_WEBHOOK_SECRET: 'a-secret-of-the-rehearsal',
    JWT_SECRET_KEY: '0123456789abcdef0123456789abcdef',
    ANTHROPIC_API_KEY: 'rehearsal',
    OUTBOUND_ALLOWLIST: '*',
  });
  if (!result.ok) throw new Error(`the configuration of the rehearsal: ${result.problems.join('; ')}`);
  return result.config;
}

/** Each wake-up comes at its time, once. Nothing is kept: the database is there. */
export function queuesOf(plan: (ms: number, run: () => void) => () => void, clockwork: Clockwork): Queues {
  const handlers = new Map<string, (what: never) => Promise<void>>();
  const waiting = new Map<string, () => void>();
  const wake = async (name: QueueName, conversations: Conversations, delayMs: number): Promise<void> => {
    for (const conversation of typeof conversations === 'number' ? [conversations] : conversations) {
      const key = `${name} ${conversation} ${delayMs > 0}`;
      waiting.get(key)?.();
      const run = (): void => {
        waiting.delete(key);
        within(
          clockwork,
          () =>
            void handlers
              .get(name)?.(conversation as never)
              .catch(() => {}),
        );
      };
      waiting.set(key, plan(delayMs, run));
    }
  };
  const work = async (name: string, handle: (what: never) => Promise<void>): Promise<void> => void handlers.set(name, handle);
  const nothing = async (): Promise<void> => {};
  return {
    wakeTurn: (conversations, delayMs) => wake('turn', conversations, delayMs),
    wakeTurnLater: (conversation, delayMs) => wake('turn', conversation, delayMs),
    wakeSend: (conversations) => wake('send', conversations, 0),
    wakeSendLater: (conversation, delayMs) => wake('send', conversation, delayMs),
    installation: 'rehearsal',
    survivesDatabase: false,
    keepWebhook: nothing,
    holdsInbound: async () => false,
    // what its provider has beside the webhooks nobody knows
    wakeReconcile: nothing,
    workInbound: (handle: (job: InboundJob) => Promise<void>) => work('inbound', handle),
    work: (name, _places, handle) => work(name, handle),
    counts: async () => ({ turn: {}, send: {} }),
    ping: nothing,
    stop: nothing,
    [Symbol.asyncDispose]: nothing,
  };
}

/** Says at once what was said that day to the newest words that it is asked about. */
export function modelOf(messages: readonly StoredMessage[]): Llm {
  const answers = new Map<string, string[]>();
  for (const { direction, text, answer } of messages)
    if (direction === 'in' && answer !== null) answers.set(text, [...(answers.get(text) ?? []), answer]);
  let no = 0;
  return {
    async call({ model, messages: asked }) {
      const question = newestUserText(asked as unknown as ApiMessage[]);
      const known =
        question
          .split('\n')
          .toReversed()
          .find((line) => answers.has(line)) ?? question;
      const list = answers.get(known) ?? [];
      const text = (list.length > 1 ? list.shift() : list[0]) ?? 'Certo.';
      return {
        ok: true,
        reply: {
          id: `msg_${++no}`,
          content: [{ type: 'text', text, citations: null }] as Anthropic.ContentBlock[],
          stopReason: 'end_turn',
          model,
          usage: { input: 0, output: 0, thinking: 0, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 },
          costUsd: 0,
          category: null,
          diagnosed: null,
        },
      };
    },
  };
}

/** Takes every send, under the id that these words to this address had that day, so that its echo is known again. */
export function wireOf(messages: readonly StoredMessage[]): {
  call: HttpCall;
  /** Ids that have left in this rehearsal. */ sent: ReadonlySet<string>;
} {
  const sent = new Set<string>();
  const ids = new Map<string, string[]>();
  const keyOf = (number: string, text: string): string => `${number.replace(/\D/g, '').slice(-8)} ${text}`;
  for (const { direction, jid, text, provider_id: id } of messages)
    if (direction === 'out' && id !== null)
      ids.set(keyOf(jid.split('@')[0] ?? '', text), [...(ids.get(keyOf(jid.split('@')[0] ?? '', text)) ?? []), id]);
  let no = 0;
  const call: HttpCall = async ({ url, body }) => {
    const path = new URL(url).pathname;
    const answer = (status: number, said: unknown) => ({ status, headers: {}, text: JSON.stringify(said) });
    if (path.startsWith('/instance/connectionState')) return answer(200, { instance: { state: 'open' } });
    if (path.startsWith('/chat/findMessages')) return answer(200, { messages: { total: 0, pages: 0, currentPage: 1, records: [] } });
    if (!path.startsWith('/message/')) return answer(201, {});
    const { number = '', text = '' } = JSON.parse(body ?? '{}') as { number?: string; text?: string };
    const id = ids.get(keyOf(number.split('@')[0] ?? '', text))?.shift() ?? `3EB0${String(++no).padStart(18, '0')}`;
    sent.add(id);
    const remoteJid = number.includes('@') ? number : `${number}@s.whatsapp.net`;
    return answer(201, {
      key: { id, remoteJid, fromMe: true },
      status: 'PENDING',
      messageType: 'conversation',
      message: { conversation: text },
    });
  };
  return { call, sent };
}
