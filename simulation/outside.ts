/** What is outside: the look-alike of Evolution (simulator/, without its server) and a model, both in this process and in the simulation's time. */
import type Anthropic from '@anthropic-ai/sdk';
import { createApp, createCore, DEFAULT_API_KEY, setWebhook } from '../simulator/index.ts';
import type { ApiMessage } from '../simulator/claude-check.ts';
import { blocksOf } from '../simulator/claude-check.ts';
import type { Clock } from '../simulator/clock.ts';
import type { Core } from '../simulator/core.ts';
import { newestUserText } from '../simulator/persona.ts';
import { textField } from '../simulator/types.ts';
import type { EvolutionVersion } from '../simulator/version.ts';
import type { HttpAnswer, HttpCall } from '../src/process/http-out.ts';
import type { Llm, ModelReply } from '../src/claude/llm.ts';
import { WEBHOOK_EVENTS } from '../src/whatsapp/webhook-setting.ts';
import type { Actor, Schedule } from './schedule.ts';

export const INSTANCE = 'julia-sim';
export const EVOLUTION_URL = 'http://127.0.0.1:9';

/** Brings a webhook to an api; resolves with the status that it answered, null when nobody did. Contract: never rejects. */
export type Deliver = (body: string) => Promise<number | null>;

export function createEvolutionLookAlike(schedule: Schedule, version: EvolutionVersion, deliver: Deliver): Core {
  const after = (ms: number, run: () => void): void =>
    void schedule.add({ label: 'evolution', at: schedule.now() + Math.max(1, Math.round(ms)), actor: null, run });
  const clock: Clock = {
    now: () => schedule.now(),
    scaled: (ms) => ms,
    // What a call takes is said by the schedule.
    sleep: () => Promise.resolve(),
    after,
    clear: () => {},
    close: () => {},
  };
  const options = { version, instances: [INSTANCE], noise: false, seed: Math.floor(schedule.random.next() * 2 ** 32), ackMs: 400 };
  const core = createCore(options, {
    clock,
    // Not at once: Evolution waits for nobody to take a webhook before it answers a send.
    post: (_core, _url, _headers, body) =>
      new Promise((resolve) => {
        after(schedule.between(1, 60), () => void deliver(body).then((status) => resolve({ status, body: '', error: null })));
      }),
  });
  setWebhook(core, 'http://product.invalid/webhook/evolution', undefined, false, WEBHOOK_EVENTS);
  return core;
}

/** An error of after the stanza, as release 2.3.5 had one. That of a closed socket comes before it (row W14), so the look-alike is not asked to lie about that. */
const AFTERWARDS = 'TypeError: this.isZero is not a function';

/** What an error answer of Evolution is, by the fault that the look-alike has for it. Of half of them something has left. */
const FAULTS: readonly FaultKind[] = [
  { kind: 'status', status: 500 },
  { kind: 'rate-limited' },
  { kind: 'timed-out', sent: true },
  { kind: 'timed-out', sent: false },
  { kind: 'refuse-before' },
  { kind: 'refuse-after', says: AFTERWARDS },
  { kind: 'no-echo' },
  { kind: 'echo-late', ms: 20_000 },
];

/**
 * It crashes between the stanza and its database, and shows the message to nobody. When its caller dies too before it has written down the error, the absence is taken
 * for a proof (ARCHITECTURE.md: the one window that stays open), so these are for runs in which nobody dies and no clock jumps.
 */
const UNSEEN: readonly FaultKind[] = [
  { kind: 'refuse-after', says: AFTERWARDS, visible: false },
  { kind: 'timed-out', sent: true, visible: false },
];

type FaultKind = { kind: string; [argument: string]: unknown };

/** How often Evolution answers a send with an error, and whether what it sent may be shown to nobody. */
export type Unruly = { faults: number; unseen: boolean };

/** The calls of one process to Evolution. `sent` is told after each send, before its answer is. */
export function evolutionCalls(
  schedule: Schedule,
  actor: Actor,
  core: Core,
  { faults, unseen, sent }: Unruly & { sent: () => void },
): HttpCall {
  const kinds = unseen ? [...FAULTS, ...UNSEEN] : FAULTS;
  const app = createApp(core);
  return ({ method, url, headers, body, timeoutMs, signal }) => {
    const path = new URL(url).pathname;
    const isSend = path.startsWith('/message/');
    const isTyping = path.startsWith('/chat/sendPresence');
    const effect = async (): Promise<HttpAnswer> => {
      if (isSend && !schedule.isCalm() && schedule.chance(faults)) {
        const fault = schedule.pick(kinds);
        schedule.note(`evolution: ${Object.values(fault).join(' ')}`);
        core.faults.add({ target: 'send', times: 1, ...fault });
      }
      const answer = await app.fetch(
        new Request(`${EVOLUTION_URL}${path}`, { method, headers: { ...headers, apikey: DEFAULT_API_KEY }, body: body ?? null }),
      );
      const text = await answer.text();
      core.faults.clear();
      if (isSend) sent();
      return { status: answer.status, headers: {}, text };
    };
    const gone = (): { value: HttpAnswer } => ({ value: { networkError: 'timeout', requestWritten: true, code: 'SIMULATED' } });
    const answer = schedule.call({
      actor,
      label: path.slice(1, path.lastIndexOf('/')),
      takesMs: isTyping ? schedule.between(500, 3_000) : schedule.between(20, 900),
      limitMs: timeoutMs,
      effect,
      gone,
      // Of a look-up and of typing nothing follows that a failure of a send does not show.
      risk: isTyping ? 0 : isSend ? 4 : 1,
    });
    if (signal === undefined) return answer;
    const aborted = new Promise<HttpAnswer>((resolve) => {
      signal.addEventListener('abort', () => resolve({ networkError: 'aborted', requestWritten: true, code: 'ABORTED' }), { once: true });
    });
    return Promise.race([answer, aborted]);
  };
}

/** What was asked of the model: the words that wait for an answer, and all that it was shown as said by us. */
export type Asked = { question: string; said: string };

/** A model that answers each question mark by its tag (`#a1`), in two parts when the seed says so. */
export function createModelLookAlike(schedule: Schedule, actor: Actor, asked: (what: Asked) => void): Llm {
  let answers = 0;
  return {
    call(request, { signal, timeoutMs }) {
      type Ended = Awaited<ReturnType<Llm['call']>>;
      const failed = (kind: 'timeout' | 'overloaded' | 'aborted'): Ended => ({
        ok: false,
        failure: { kind, detail: 'simulated', restMs: 0 },
      });
      const answer = schedule.call<Ended>({
        actor,
        label: 'model',
        risk: 6,
        takesMs: schedule.between(300, 6_000),
        limitMs: Math.ceil(timeoutMs),
        gone: () => ({ value: failed(schedule.chance(0.5) ? 'timeout' : 'overloaded') }),
        effect: () => {
          const messages = request.messages as unknown as ApiMessage[];
          const question = newestUserText(messages);
          const said = messages
            .filter(({ role }) => role === 'assistant')
            .flatMap(blocksOf)
            .map((block) => textField(block['text']))
            .join('\n');
          asked({ question, said });
          return { ok: true, reply: replyOf(request.model, wordsFor(question, said), ++answers) };
        },
      });
      if (signal.aborted) return Promise.resolve(failed('aborted'));
      return Promise.race([
        answer,
        new Promise<Ended>((resolve) => signal.addEventListener('abort', () => resolve(failed('aborted')), { once: true })),
      ]);
    },
  };

  function wordsFor(question: string, said: string): string {
    const tags = [...new Set(question.match(/#[a-z]\d+/g) ?? [])];
    if (tags.length === 0) return said === '' ? 'Oi, em que posso ajudar?' : 'Certo, fico por aqui.';
    const first = `Sobre ${tags.join(' ')}: recebi e já estou olhando para você agora mesmo.`;
    return schedule.chance(0.5)
      ? first
      : `${first}\n\nAinda sobre ${tags.map((tag) => tag.replace('#', '&')).join(' ')}: ${'volto com o resto em seguida, pode ficar à vontade. '.repeat(3)}`;
  }
}

function replyOf(model: string, text: string, no: number): ModelReply {
  return {
    id: `msg_${no}`,
    content: [{ type: 'text', text, citations: null }] as Anthropic.ContentBlock[],
    stopReason: 'end_turn',
    model,
    usage: { input: 900, output: 60, thinking: 0, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 },
    costUsd: 0.001,
    category: null,
    diagnosed: null,
  };
}
