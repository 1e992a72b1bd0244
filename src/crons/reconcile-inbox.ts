/** Asks Evolution for messages whose webhook never came: dropped by Evolution, lost at its restart, or posted while the api was unavailable. */
import type { InboundEvent } from '../whatsapp/inbound-event.ts';
import { onlyInstance } from '../config.ts';
import { DatabaseAway } from '../db/failures.ts';
import { listInstances } from '../numbers/calls.ts';
import { markReconciled, reconcileFrom, teachAddresses } from '../inbox/reconcile-calls.ts';
import { knownMessages } from '../outbox/calls.ts';
import { wakeWaiting } from '../turns/wake.ts';
import { toError } from '../process/errors.ts';
import { store } from '../inbox/receive.ts';
import type { Evolution } from '../whatsapp/client.ts';
import { parseFoundMessages } from '../whatsapp/payload.ts';
import type { CronJob, JobContext } from '../schedule/job.ts';

/** A webhook may still be on its way, or in Evolution's retries, for some 20 minutes: what was compared is compared again for so long. */
const OVERLAP_MS = 30 * 60_000;
/** The youngest messages are left to their webhooks. */
const SETTLE_MS = 20_000;
const PAGE_SIZE = 100;
/** What is read at once. */
const WINDOW_MS = 60 * 60_000;
/** 20,000 messages of one number in an hour: beyond that somebody floods it. */
const MAX_PAGES = 200;

/** Finds messages whose webhook never came, on a timer; the news that a number is connected again starts one at once. */
export const reconcileInboxJob: CronJob = {
  name: 'reconcile_inbox',
  cron: '*/10 * * * *',
  catchUp: 'once',
  cadence: '10 minutes',
  timeoutSeconds: 540,
  summary: 'asks Evolution for messages whose webhook never came',
  async run(ctx, { signal }) {
    let missing = 0;
    let failed: Error | null = null;
    for (const { name, status } of await listInstances(ctx.db)) {
      // A number that is disconnected has nothing new; its reconnect starts a comparison of its own.
      if (status === 'close' || status === 'refused') continue;
      if (signal.aborted) break;
      // One number, which may be another tenant's, does not hold up the next.
      await reconcile(ctx, name, signal).then(
        (found) => (missing += found ?? 0),
        (error: unknown) => (failed ??= toError(error)),
      );
    }
    if (failed !== null) throw failed;
    return missing;
  },
};

/** A worker reconciles too, when a number is back. */
type ReconcileContext = Omit<JobContext, 'sendPolicy' | 'process'>;

/**
 * Stores what a number's Evolution knows and we do not; each message once, however often and wherever this runs. The age rule of the turn decides
 * whether it is answered or listed to a person. Returns how many were missing; null when Evolution did not answer (nothing is marked as compared then).
 */
export async function reconcile(ctx: ReconcileContext, instance: string, signal?: AbortSignal): Promise<number | null> {
  if (ctx.whatsapp === null) return null;
  // Whose webhooks are set aside is not read either.
  if ((onlyInstance(ctx.config) ?? instance) !== instance) return 0;
  const comparison = await reconcileFrom(ctx.db, instance, OVERLAP_MS);
  if (comparison === null) return 0;
  const { from, restored } = comparison;
  // A number that waits for this after a restore has nothing of its own under way.
  const until = Date.now() - (restored ? 0 : SETTLE_MS);
  let missing = 0;
  // Oldest window first, each marked when it is done: a run that is cut off has lost nothing, and a window is small enough to be read whole.
  for (let start = from.getTime(); start < until; start += WINDOW_MS) {
    const found = await compareWindow(ctx, ctx.whatsapp, instance, new Date(start), new Date(Math.min(start + WINDOW_MS, until)), signal);
    if (found === null || signal?.aborted) return null;
    missing += found;
  }
  ctx.events.reconciled(instance, missing);
  return missing;
}

/** How many messages of a window were missing; null when Evolution did not answer. */
async function compareWindow(
  ctx: ReconcileContext,
  whatsapp: Evolution,
  instance: string,
  from: Date,
  to: Date,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  let missing = 0;
  for (let page = 1; page <= MAX_PAGES; page++) {
    const found = await whatsapp.findMessages({ instance, from, to, page, pageSize: PAGE_SIZE }, { signal });
    if (found.kind !== 'ok') return null;
    missing += await storeUnknown(ctx, instance, parseFoundMessages(instance, found.records, new Date()));
    if (page >= found.pages || found.records.length === 0) break;
  }
  if ((await markReconciled(ctx.db, instance, to)).settled) {
    ctx.events.restoreSettled(instance);
    await wakeWaiting(ctx);
  }
  return missing;
}

async function storeUnknown(ctx: ReconcileContext, instance: string, found: InboundEvent[]): Promise<number> {
  const messages = found.filter((event) => event.kind === 'message' || event.kind === 'reaction');
  const known = await knownMessages(ctx.db, instance, messages);
  // A webhook of Evolution 2.3.7 names the phone of a lid chat only; its rows have both.
  const pairs = messages.flatMap(({ fromMe, chat: { pn, lid }, sentAt }, position) =>
    known.has(position) && !fromMe && pn !== null && lid !== null ? [{ pn, lid, sent_at: sentAt }] : [],
  );
  const distinct = new Map(pairs.map((pair) => [`${pair.pn}/${pair.lid}`, pair]));
  if (distinct.size > 0) await teachAddresses(ctx.db, instance, [...distinct.values()].toReversed());
  // Newest first from Evolution; a person reads, and a turn runs, oldest first.
  const unknown = messages.filter((_, position) => !known.has(position)).toReversed();
  return storeAll(ctx, instance, unknown);
}

/**
 * Returns how many are stored. What was put aside when it came is put aside again. One that the database refuses is told and passed over: it would stop every
 * comparison at the same place.
 */
async function storeAll(ctx: ReconcileContext, instance: string, events: InboundEvent[]): Promise<number> {
  if (events.length === 0) return 0;
  const ids = events.map((event) => ('providerId' in event ? event.providerId : null));
  try {
    const results = await store(ctx, {
      requestId: crypto.randomUUID(),
      instance,
      event: 'reconcile',
      raw: { event: 'reconcile', instance, ids },
      from: { ourselves: true },
      events,
    });
    return results.filter(({ outcome }) => outcome !== 'ignored').length;
  } catch (error) {
    if (error instanceof DatabaseAway) throw error;
    if (events.length > 1) {
      let stored = 0;
      for (const event of events) stored += await storeAll(ctx, instance, [event]);
      return stored;
    }
    ctx.log.error({ instance, provider_id: ids[0], error }, 'Message is refused by the database, and passed over');
    return 0;
  }
}
