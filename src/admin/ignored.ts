/** ignored list, ignored replay: what came with a webhook and was put aside, or found no place. */
import { z } from 'zod';
import { oneLine } from '../words/foreign-text.ts';
import { asideBecause } from '../words/reasons.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { ignoredWebhooks, listIgnored } from '../inbox/stored-calls.ts';
import type { Ignored } from '../inbox/stored-calls.ts';
import { defineCommand, idArg, limitArg, wordsArg } from './command.ts';
import type { FormatTime } from './command.ts';
import { replayWebhook } from './replay.ts';

/** What one call replays; the next one goes on. Some seconds of work. */
const AT_ONCE = 500;
const reasonArg = wordsArg.describe('as ignored list shows it: group, unknown_event, ...');
const instanceArg = wordsArg.optional().describe('only what came in the name of this number');

const list = defineCommand({
  name: 'ignored list',
  summary: 'what came with a webhook and was put aside or found no place, with its reason',
  details:
    'The newest first, and how much of it there is by reason. Entries are kept as long as webhooks are (RETENTION_WEBHOOKS_DAYS); of each number and reason the first thousand of a ' +
    'day (UTC) with their body, so that replay takes them. Contacts, chats, presence and calls are only counted (julia_webhooks_ignorados_total). What names a number that is not yours: ' +
    'instance unknown.',
  args: z.object({
    reason: reasonArg.optional(),
    instance: instanceArg,
    limit: limitArg.default(50).describe('at most so many'),
  }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { reason, instance, limit }, { tenant }) {
    const { reasons, entries } = await listIgnored(ctx.db, tenant, { reason: reason ?? null, instance: instance ?? null }, limit);
    return {
      ok: true,
      result: { reasons: reasons.map((each) => ({ ...each, because: asideBecause(each.reason) })), entries },
    };
  },
  text({ reasons, entries }, format) {
    if (reasons.length === 0) return 'Nothing was put aside.';
    const sums = reasons.map(
      ({ reason, webhooks, whole, last_at, because: why }) =>
        `${String(webhooks).padStart(7)}  ${reason}: ${why}; the last at ${format(last_at)}${whole === webhooks ? '' : `; ${whole} with their body`}`,
    );
    return [
      ...sums,
      '',
      ...entries.map((entry) => line(entry, format)),
      '',
      'One of them again: replay ID; all of a reason: ignored replay REASON.',
    ].join('\n');
  },
});

const replay = defineCommand({
  name: 'ignored replay',
  summary: 'feeds what was put aside for a reason through the inbound path again',
  details:
    'For when the product has learned a kind of message since, or a number was registered. What finds its place is stored, and answered when it is young enough (MAX_MESSAGE_AGE_MINUTES; ' +
    `else it is listed to a person); the rest keeps its entry. It counts for what the secret that it was posted with speaks for; what was set aside is for instance adopt. It may be repeated: nothing is stored or answered twice. ${AT_ONCE} webhooks a call, the oldest first; --after goes on. Audited.`,
  args: z.object({
    reason: reasonArg,
    instance: instanceArg,
    after: idArg.optional().describe('go on behind this webhook'),
  }),
  positional: ['reason'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { reason, instance, after }, actor) {
    const filter = { reason, instance: instance ?? null };
    const webhooks = await ignoredWebhooks(ctx.db, actor.tenant, filter, after ?? 0, AT_ONCE);
    const outcomes: Record<string, number> = {};
    for (const webhook of webhooks) {
      const again = await replayWebhook(ctx, webhook);
      const results = again.events.length > 0 ? again.results.map(({ outcome }) => outcome) : [again.aside ? 'set_aside' : 'ignored'];
      for (const outcome of results) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    const next = webhooks.length < AT_ONCE ? null : (webhooks.at(-1)?.id ?? null);
    await recordAudit(ctx.db, {
      tenant: actor.tenant,
      actor: actor.id,
      action: 'ignored.replay',
      subject: reason,
      details: { webhooks: webhooks.length, outcomes },
    });
    return { ok: true, result: { reason, webhooks: webhooks.length, outcomes, next } };
  },
  text({ reason, webhooks, outcomes, next }) {
    const found = Object.entries(outcomes).map(
      ([outcome, count]) => `  ${count} ${outcome === 'ignored' ? 'are put aside as before' : outcome}`,
    );
    return [
      `${webhooks} webhooks that were put aside (${reason}) are replayed.`,
      ...found,
      ...(next === null ? [] : [`There may be more: --after ${next} goes on.`]),
    ].join('\n');
  },
});

export const ignoredCommands = [list, replay];

/** What comes from outside is on one line, without what nobody sees. */
function line({ id, instance, event, reasons, messages, whole, received_at }: Ignored['entries'][number], format: FormatTime): string {
  const shown = (foreign: string): string => JSON.stringify(oneLine(foreign, 80));
  const what = messages.length === 0 ? '' : `, message ${messages.map(shown).join(', ')}`;
  const on = instance === null || instance === '' ? '' : ` on ${shown(instance)}`;
  return `${id}  ${format(received_at)}  ${shown(event ?? '')}${on}${what}: ${reasons.join(', ')}${whole ? '' : ' (without its body)'}`;
}
