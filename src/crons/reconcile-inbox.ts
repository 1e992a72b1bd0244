/** Asks Evolution for messages whose webhook never came: dropped by Evolution, lost at its restart, or posted while we were away. */
import type { Context } from '../context.ts';
import type { InboundEvent } from '../core/inbound.ts';
import { listInstances } from '../db/operations.ts';
import { markReconciled, reconcileFrom } from '../db/recovery.ts';
import { knownProviderIds } from '../db/sends.ts';
import { store } from '../inbound.ts';
import { parseFoundMessages } from '../whatsapp/payload.ts';
import type { CronJob } from './job.ts';

/** A webhook may still be on its way, or in Evolution's retries, for some 20 minutes: what was compared is compared again for so long. */
const OVERLAP_MS = 30 * 60_000;
/** The youngest messages are left to their webhooks. */
const SETTLE_MS = 20_000;
const PAGE_SIZE = 100;
/** 5,000 messages of one number in two days; beyond that the next run goes on. */
const MAX_PAGES = 50;

/** Finds messages whose webhook never came, on a timer; the news that a number is connected again starts one at once. */
export const reconcileInboxJob: CronJob = {
  name: 'reconcile_inbox',
  cron: '*/10 * * * *',
  catchUp: 'once',
  async run(ctx) {
    let missing = 0;
    for (const { name, status } of await listInstances(ctx.db)) {
      // A number that is away has nothing new; its reconnect starts a comparison of its own.
      if (status === 'close' || status === 'refused') continue;
      missing += (await reconcile(ctx, name)) ?? 0;
    }
    return missing;
  },
};

/**
 * Stores what a number's Evolution knows and we do not; each message once, however often and wherever this runs. The age rule of the turn decides
 * whether it is answered or listed to a person. Returns how many were missing; null when Evolution did not answer (nothing is marked as compared then).
 */
export async function reconcile(ctx: Context, instance: string): Promise<number | null> {
  if (ctx.whatsapp === null) return null;
  const from = await reconcileFrom(ctx.db, instance, OVERLAP_MS);
  if (from === null) return 0;
  const until = new Date(Date.now() - SETTLE_MS);
  if (until <= from) return 0;
  let missing = 0;
  for (let page = 1; page <= MAX_PAGES; page++) {
    const found = await ctx.whatsapp.findMessages({ instance, from, to: until, page, pageSize: PAGE_SIZE });
    if (found.kind !== 'ok') return null;
    missing += await storeUnknown(ctx, instance, parseFoundMessages(instance, found.records, new Date()));
    if (page >= found.pages || found.records.length === 0) break;
  }
  await markReconciled(ctx.db, instance, until);
  ctx.events.reconciled(instance, missing);
  return missing;
}

async function storeUnknown(ctx: Context, instance: string, found: InboundEvent[]): Promise<number> {
  const messages = found.filter((event) => event.kind === 'message' || event.kind === 'reaction');
  const known = await knownProviderIds(
    ctx.db,
    instance,
    messages.map((event) => event.providerId),
  );
  // Newest first from Evolution; a person reads, and a turn runs, oldest first.
  const unknown = messages.filter((event) => !known.has(event.providerId)).toReversed();
  if (unknown.length === 0) return 0;
  await store(ctx, {
    requestId: crypto.randomUUID(),
    instance,
    event: 'reconcile',
    raw: { event: 'reconcile', instance, ids: unknown.map((event) => event.providerId) },
    events: unknown,
  });
  return unknown.length;
}
