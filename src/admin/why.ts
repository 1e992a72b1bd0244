/** why: what became of a message, and why. */
import { z } from 'zod';
import { asideBecause } from '../words/reasons.ts';
import { explain } from '../watch/timeline.ts';
import type { Explanation } from '../watch/timeline.ts';
import { findConversationOf, readTimeline } from '../watch/timeline-calls.ts';
import { findIgnored } from '../inbox/stored-calls.ts';
import type { Timeline } from '../watch/timeline-calls.ts';
import { defineCommand, limitArg, refused, wordsArg } from './command.ts';
import type { AdminContext, FormatTime, Outcome } from './command.ts';

type Entry = Timeline['entries'][number];
export type Why = {
  conversation: Timeline['conversation'];
  /** The message that was asked for; null for a whole conversation. */
  message_id: number | null;
  entries: (Entry & { says: string; why: string | null })[];
  conclusion: string;
};

const why = defineCommand({
  name: 'why',
  summary: 'why a message was (not) answered or sent: everything that happened, in words',
  details:
    'ID is our id of a message, its id at WhatsApp, or conversation:ID for everything that happened there. Of a message that was put aside it says why (ignored list).',
  args: z.object({
    id: wordsArg.describe('message, message at WhatsApp, or conversation:ID'),
    limit: limitArg.default(500).describe('at most so many entries'),
  }),
  positional: ['id'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { id, limit }, { tenant }) {
    const conversation = /^conversation:(\d{1,15})$/.exec(id)?.[1];
    return conversation === undefined ? whyMessage(ctx, tenant, id, limit) : whyConversation(ctx, tenant, Number(conversation), limit);
  },
  text({ conversation, entries, conclusion }, format) {
    const lines = entries.map(
      ({ at, says, why }) => `${format(at)}  ${says}${why === null || why === '' ? '' : `\n${' '.repeat(format(at).length + 2)}${why}`}`,
    );
    return [`Conversation ${conversation.id} on ${conversation.instance}`, '', ...lines, '', `Conclusion: ${conclusion}`].join('\n');
  },
});

export const whyCommands = [why];

/** The timeline around one message: `key` is our id or the one at WhatsApp. */
export async function whyMessage(ctx: AdminContext, tenant: string, key: string, limit: number): Promise<Outcome<Why>> {
  const place = await findConversationOf(ctx.db, tenant, key);
  if (place === null) return refused('not_found', await whyNot(ctx, tenant, key));
  const timeline = await readTimeline(ctx.db, tenant, place.conversation_id, limit, place.message_id);
  if (timeline === null) return refused('not_found', `there is no message ${key}`);
  return { ok: true, result: tell(ctx, timeline, place.message_id) };
}

/** Of what no message is stored: whether it was put aside. */
async function whyNot(ctx: AdminContext, tenant: string, key: string): Promise<string> {
  const entry = await findIgnored(ctx.db, tenant, key);
  if (entry === null) return `there is no message ${key} (a conversation is asked for as conversation:ID)`;
  const at = timeFormat(ctx.config.app.timeZone)(entry.received_at);
  const where = entry.instance === null ? '' : ` on ${entry.instance}`;
  return `no message ${key} is stored: it came at ${at}${where} and was put aside because ${asideBecause(entry.reason)} (webhook ${entry.id}; ignored list)`;
}

export async function whyConversation(ctx: AdminContext, tenant: string, id: number, limit: number): Promise<Outcome<Why>> {
  const timeline = await readTimeline(ctx.db, tenant, id, limit);
  if (timeline === null) return refused('not_found', `there is no conversation ${id}`);
  // Two contacts turned out to be one: everything is there now.
  if (timeline.conversation.merged_into !== null) return whyConversation(ctx, tenant, timeline.conversation.merged_into, limit);
  return { ok: true, result: tell(ctx, timeline, null) };
}

function tell(ctx: AdminContext, timeline: Timeline, focus: number | null): Why {
  const { conversation } = timeline;
  const told: Explanation<Entry> = explain(conversation, timeline.entries, focus, new Date(), timeFormat(ctx.config.app.timeZone));
  return {
    conversation,
    message_id: focus,
    entries: told.entries.map(({ entry, says, why }) => ({ ...entry, says, why })),
    conclusion: told.conclusion,
  };
}

/** `2026-11-23 08:55:06` in that zone. */
export function timeFormat(timeZone: string): FormatTime {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
  return (at) => format.format(at);
}
