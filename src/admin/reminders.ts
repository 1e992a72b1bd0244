/** reminder list, cancel: what contacts asked to be reminded of. */
import { z } from 'zod';
import { because } from '../words/reasons.ts';
import { shownName } from '../words/foreign-text.ts';
import { cancelReminder, listReminders } from '../later/calls.ts';
import type { Reminder } from '../later/calls.ts';
import { defineCommand, flagArg, idArg, limitArg, refused, wordsArg } from './command.ts';
import type { FormatTime } from './command.ts';

const list = defineCommand({
  name: 'reminder list',
  summary: 'reminders that contacts asked for',
  details: 'Those that wait, the next one first, with the contact’s own words; with --all also those that are over, and why.',
  args: z.object({ all: flagArg.describe('also those that are over'), limit: limitArg.default(50).describe('at most so many') }),
  flags: ['all'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { all, limit }, { tenant }) {
    return { ok: true, result: { reminders: await listReminders(ctx.db, tenant, all, limit) } };
  },
  text({ reminders: all }, format) {
    return all.length === 0 ? 'No reminder waits.' : all.map((each) => lineOf(each, format)).join('\n');
  },
});

const cancel = defineCommand({
  name: 'reminder cancel',
  summary: 'a reminder does not leave',
  details: 'One that waits, or whose message has not left yet. The contact hears nothing of it.',
  args: z.object({ id: idArg.describe('id of the reminder'), reason: wordsArg.describe('why, for the audit') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { id, reason }, { tenant, id: actor }) {
    const outcome = await cancelReminder(ctx.db, { tenant, id, actor, reason });
    if (outcome === 'unknown') return refused('not_found', `there is no reminder ${id}`);
    if (outcome === 'over') return refused('conflict', `reminder ${id} is over: it left, or was cancelled before`);
    return { ok: true, result: { id, cancelled: true } };
  },
  text: ({ id }) => `Reminder ${id} is cancelled.`,
});

export const reminderCommands = [list, cancel];

function lineOf(
  { id, conversation_id: talk, contact, about, words, due_at: due, status, reason, message }: Reminder,
  format: FormatTime,
): string {
  const who = `conversation ${talk}${shownName(contact) === null ? '' : `, ${shownName(contact)}`}`;
  const end = status === 'waiting' ? '' : ` [${message ?? status}${reason === null ? '' : `, because ${because(reason)}`}]`;
  return `${id}  ${format(due)}  ${about} ("${words}"; ${who})${end}`;
}
