/** dlq list, show, retry, discard: outbound messages that did not leave, or of which nobody knows. */
import { printable } from '../words/foreign-text.ts';
import { z } from 'zod';
import { because } from '../words/reasons.ts';
import { discardDeadLetter, listDeadLetters, retryDeadLetter } from '../outbox/dead-letter-calls.ts';
import type { DeadLetter } from '../outbox/dead-letter-calls.ts';
import { defineCommand, flagArg, idArg, limitArg, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome, Refusal } from './command.ts';

/** One run of `retry --all`; who has more runs it again. */
const ALL = 1_000;

const list = defineCommand({
  name: 'dlq list',
  summary: 'messages that did not leave, or of which nobody knows whether they left',
  details: 'The newest first. `failed` surely did not leave; `unproven` may have: look into the chat before you send it again.',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: { dead_letters: (await listDeadLetters(ctx.db, tenant, limit)).map(explained) } };
  },
  text({ dead_letters }, format) {
    if (dead_letters.length === 0) return 'There are no dead letters.';
    return dead_letters.map((letter) => line(letter, format)).join('\n');
  },
});

const show = defineCommand({
  name: 'dlq show',
  summary: 'one of them, with the reason in words',
  details: 'For everything that led to it: why ID.',
  args: z.object({ id: idArg.describe('id of the message') }),
  positional: ['id'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { id }, { tenant }) {
    const [letter] = await listDeadLetters(ctx.db, tenant, 1, id);
    return letter === undefined
      ? refused('not_found', `message ${id} is no dead letter (why ${id} tells what became of it)`)
      : { ok: true, result: explained(letter) };
  },
  text: (letter, format) => `${line(letter, format)}\n  ${printable(letter.text).replaceAll('\n', '\n  ')}`,
});

type Retried = {
  retried: { id: number; conversation_id: number; later_parts: number; paused: string | null }[];
  left: number;
  woken: boolean;
};

const retry = defineCommand({
  name: 'dlq retry',
  summary: 'puts one back into its lane, or all that surely did not leave',
  details:
    'It is sent once, under all rules of the moment; a second retry of the same message is refused. Parts of the same answer that were cancelled with it follow. ' +
    'An unproven message may be with the contact already: to send it again --reason is needed, and --all leaves it out.',
  args: z.object({
    id: idArg.optional().describe('id of the message'),
    all: flagArg.describe(`every failed one, at most ${ALL}, the oldest first`),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['id'],
  flags: ['all'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { id, all, reason }, actor): Promise<Outcome<Retried>> {
    if (all === (id !== undefined)) return refused('bad_request', 'name one message by its id, or say all; not both');
    return all ? retryAll(ctx, actor, reason ?? null) : retryOne(ctx, id ?? 0, actor, reason ?? null);
  },
  text({ retried, left, woken }) {
    const lines = retried.map(({ id, later_parts: parts, paused }) => {
      const more = parts === 0 ? '' : ` with ${parts} more of its parts`;
      const hold = paused === null ? '' : `; it waits because ${because(`paused_${paused}`)}`;
      return `Message ${id} is back in its lane${more}${hold}.`;
    });
    if (retried.length === 0) lines.push('There is nothing to retry.');
    if (left > 0) lines.push(`${left} unproven or newer ones were left: dlq list.`);
    if (!woken) lines.push(NOT_WOKEN);
    return lines.join('\n');
  },
});

async function retryOne(ctx: AdminContext, id: number, actor: Actor, reason: string | null): Promise<Outcome<Retried>> {
  const answer = await retryDeadLetter(ctx.db, actor.tenant, id, actor.id, reason);
  switch (answer.outcome) {
    case 'unknown':
      return refused('not_found', `there is no outbound message ${id}`);
    case 'not_dead':
      return notDead(id, answer);
    case 'reason_needed':
      return refused('bad_request', `message ${id} may be with the contact already; to send it again, say why: reason (--reason TEXT)`);
    case 'queued': {
      const { conversation_id, parts, paused } = answer;
      const done = { retried: [{ id, conversation_id, later_parts: parts, paused }], left: 0 };
      return { ok: true, result: { ...done, woken: await woken(ctx, () => ctx.queues.wakeSend(conversation_id)) } };
    }
  }
}

async function retryAll(ctx: AdminContext, actor: Actor, reason: string | null): Promise<Outcome<Retried>> {
  const letters = await listDeadLetters(ctx.db, actor.tenant, ALL);
  const done: Retried = { retried: [], left: 0, woken: true };
  // The oldest first, as they were written.
  for (const letter of letters.toReversed()) {
    if (letter.status !== 'failed') {
      done.left++;
      continue;
    }
    const one = await retryOne(ctx, letter.id, actor, reason);
    if (!one.ok) continue; // somebody else was quicker
    done.retried.push(...one.result.retried);
    done.woken &&= one.result.woken;
  }
  return { ok: true, result: done };
}

const discard = defineCommand({
  name: 'dlq discard',
  summary: 'decides that one shall not be sent',
  details: 'It ends as cancelled and leaves the list. It cannot be retried after that.',
  args: z.object({ id: idArg.describe('id of the message'), reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { id, reason }, actor) {
    const answer = await discardDeadLetter(ctx.db, actor.tenant, id, actor.id, reason ?? null);
    if (answer.outcome === 'unknown') return refused('not_found', `there is no outbound message ${id}`);
    return answer.outcome === 'not_dead' ? notDead(id, answer) : { ok: true, result: { discarded: id } };
  },
  text: ({ discarded }) => `Message ${discarded} is discarded.`,
});

export const deadLetterCommands = [list, show, retry, discard];

type Explained = DeadLetter & { because: string };

function explained(letter: DeadLetter): Explained {
  return { ...letter, because: because(letter.reason) };
}

function notDead(id: number, { status, reason }: { status: string; reason: string | null }): Refusal {
  const state = reason === null ? status : `${status} (${reason})`;
  return refused('conflict', `message ${id} is no dead letter, it is ${state}; nothing was changed`);
}

function line(letter: Explained, format: FormatTime): string {
  const { id, status, kind, conversation_id, instance, attempts, created_at } = letter;
  const tries = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
  return `${id}  ${status}  ${format(created_at)}  ${kind} in conversation ${conversation_id} on ${instance}, ${tries}: ${letter.because}`;
}
