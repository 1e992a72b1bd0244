/** replay: a stored webhook goes through the inbound path again. */
import { z } from 'zod';
import { at, stringAt } from '../words/json.ts';
import type { InboundEvent } from '../whatsapp/inbound-event.ts';
import { asideBecause, because } from '../words/reasons.ts';
import { recordAudit } from '../people/audit-calls.ts';
import type { RecordedEvent } from '../inbox/calls.ts';
import { findStoredWebhook, reopenInbound } from '../inbox/stored-calls.ts';
import type { ReopenedInbound, StoredWebhook } from '../inbox/stored-calls.ts';
import { store } from '../inbox/receive.ts';
import { parseWebhook } from '../whatsapp/payload.ts';
import { wakeAll } from '../outbox/wake.ts';
import { defineCommand, flagArg, idArg, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { Actor, AdminContext } from './command.ts';

type Reopened = Extract<ReopenedInbound, { outcome: 'reopened' }> & { too_old: boolean };
type Replayed = {
  webhook_id: number;
  results: { kind: string; outcome: string; message_id: number | null; conversation_id: number | null }[];
  reopened: Reopened[];
  woken: boolean;
};

const replay = defineCommand({
  name: 'replay',
  summary: 'feeds a stored webhook through the inbound path again',
  details:
    'ID is the id of a stored webhook (why MESSAGE shows them; kept 7 days). A message that is stored already stays as it is, so a replay may be repeated. News about ' +
    'the state of a number and edits are left out: they may have been overtaken since. It counts for what the secret that it was posted with speaks for, whoever replays it; what was set aside is for instance adopt.\n' +
    '--force: a message of the contact in it is unanswered again and THE AGENT ANSWERS IT ONCE MORE; what was sent stays sent, so the contact gets a second answer. ' +
    'It needs --reason, and both are audited.',
  args: z.object({
    id: idArg.describe('id of the stored webhook'),
    force: flagArg.describe('have it answered again'),
    reason: wordsArg.optional().describe('why; needed with force'),
  }),
  positional: ['id'],
  flags: ['force'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id, force, reason }, actor) {
    if (force && reason === undefined)
      return refused('bad_request', 'force: the contact is answered a second time; say why: reason (--reason TEXT)');
    const webhook = await findStoredWebhook(ctx.db, actor.tenant, id);
    if (webhook === null) return refused('not_found', `there is no stored webhook ${id}; they are kept for 7 days`);
    const { events, results, aside: isAside } = await replayWebhook(ctx, webhook);
    if (events.length === 0) {
      if (isAside) return refused('conflict', `webhook ${id} was ${WAS_ASIDE}; nothing was changed`);
      const aside = webhook.ignored?.map((each) => `; it was put aside because ${asideBecause(each)}`).join('') ?? '';
      return refused(
        'conflict',
        `webhook ${id} (${webhook.event ?? 'without a name'}) holds nothing that can be replayed${aside}; nothing was changed`,
      );
    }
    const reopened =
      force && reason !== undefined
        ? await reopen(
            ctx,
            events.filter((_, index) => results[index]?.conversation_id != null),
            actor,
            reason,
          )
        : [];
    await recordAudit(ctx.db, {
      tenant: actor.tenant,
      actor: actor.id,
      action: 'replay',
      subject: String(id),
      details: { force, reason: reason ?? null, outcomes: results.map((each) => each.outcome) },
    });
    const awake = await woken(ctx, () =>
      wakeAll(
        reopened.map((each) => each.conversation_id),
        (list) => ctx.queues.wakeTurn(list, 0),
      ),
    );
    return {
      ok: true,
      result: { webhook_id: id, results: told(events, results), reopened, woken: awake } satisfies Replayed,
    };
  },
  text({ webhook_id: id, results, reopened, woken }) {
    const lines = [
      `Webhook ${id} is replayed.`,
      ...results.map(
        ({ kind, outcome, message_id }) => `  ${kind}${message_id === null ? '' : ` ${message_id}`}: ${OUTCOMES[outcome] ?? outcome}`,
      ),
      ...reopened.map(reopenedLine),
    ];
    if (!woken) lines.push(NOT_WOKEN);
    return lines.join('\n');
  },
});

export const replayCommands = [replay];

const OUTCOMES: Readonly<Record<string, string>> = {
  stored: 'stored now, and will be answered',
  duplicate: 'was stored already, nothing changed',
  echo: 'is our own message, nothing changed',
  takeover: 'words of a person on the phone, stored now',
  context: 'stored now for the history',
  early: 'is about a message that is not known',
  set_aside: 'is set aside now: its secret did not speak for this number',
};

const WAS_ASIDE = 'set aside: instance unknown shows whose it claims to be, and instance adopt replays it if it is theirs';

/**
 * Stores a webhook of the actor's tenant once more, as its poster, and for no more than its secret spoke for then. Harmless: what is stored already stays as it is,
 * and what is put aside again keeps its one entry. No events: it holds nothing that can be replayed. `aside`: it was set aside, which is for instance adopt.
 */
export async function replayWebhook(
  ctx: AdminContext,
  webhook: StoredWebhook,
): Promise<{ events: InboundEvent[]; results: RecordedEvent[]; aside: boolean }> {
  const nothing = { events: [], results: [], aside: isAside(webhook) };
  // What we asked Evolution for was of one number.
  const events = eventsOf(webhook).filter(({ instance }) => !('ourselves' in webhook.posted_by) || instance === webhook.instance);
  if (nothing.aside || events.every(({ kind }) => kind === 'ignored')) return nothing;
  const results = await store(ctx, {
    requestId: `replay-${webhook.id}-${crypto.randomUUID()}`,
    instance: events[0]?.instance ?? webhook.instance,
    event: webhook.event,
    raw: webhook.body,
    from: webhook.posted_by,
    postedAt: webhook.received_at,
    events,
    replays: webhook.id,
  });
  return { events, results, aside: false };
}

/** A stored webhook is of one number: nothing of it was taken, or all. */
function isAside({ results }: StoredWebhook): boolean {
  return (results ?? []).some(
    ({ outcome, reason, refused: no }) => outcome === 'set_aside' || reason === 'forgotten_instance' || no === true,
  );
}

type Stored = Pick<StoredWebhook, 'body' | 'event' | 'received_at' | 'ignored'>;

/** What of a stored webhook may be stored again. */
export function eventsOf(webhook: Stored, options: { edits?: boolean } = {}): InboundEvent[] {
  // A socket's state and an edit may have been overtaken since, unless the edit waits for its message.
  const { edits = webhook.ignored?.includes('unknown_message') ?? false } = options;
  // `reconcile` rows hold ids only.
  if (stringAt(webhook.body, 'event') === 'reconcile' && at(webhook.body, 'data') === undefined) return [];
  return parseWebhook(webhook.body, webhook.event, webhook.received_at).filter((event) => {
    if (event.kind === 'ignored') return event.kept === true;
    return event.kind === 'edit' ? edits : event.kind !== 'connection' && event.kind !== 'presence';
  });
}

async function reopen(ctx: AdminContext, events: InboundEvent[], actor: Actor, reason: string): Promise<Reopened[]> {
  const reopened: Reopened[] = [];
  for (const event of events) {
    if (event.kind !== 'message' || event.fromMe) continue;
    const answer = await reopenInbound(ctx.db, actor.tenant, event, actor.id, reason);
    if (answer.outcome !== 'reopened') continue;
    const ageMinutes = (Date.now() - answer.provider_at.getTime()) / 60_000;
    reopened.push({ ...answer, too_old: ageMinutes > ctx.config.turn.maxMessageAgeMinutes });
  }
  return reopened;
}

function told(events: InboundEvent[], results: RecordedEvent[]): Replayed['results'] {
  return results.map((result, index) => ({
    kind: events[index]?.kind ?? 'event',
    outcome: result.outcome,
    message_id: result.message_id ?? null,
    conversation_id: result.conversation_id ?? null,
  }));
}

function reopenedLine({ message_id: id, was, holder, paused, too_old: tooOld }: Reopened): string {
  const but =
    paused !== null
      ? `, but it waits because ${because(`paused_${paused}`)}`
      : holder !== 'agent'
        ? `, but the agent will leave it because ${because(holder)}`
        : tooOld
          ? ', but it is older than MAX_MESSAGE_AGE_MINUTES, so it is listed to a person instead'
          : ', and the agent answers it again';
  return `  message ${id} was ${was} and is unanswered again${but}`;
}
