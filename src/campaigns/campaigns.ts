/**
 * Campaigns. draft -> scheduled -> running -> done, and paused or cancelled on the way. Who gets it is settled when it begins; a job then queues a hundred at a
 * time, and every rule is asked again for each message when it leaves.
 */
import type { Context } from '../context.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { noticeTemplates } from '../orders/calls.ts';
import { wakeLanes } from '../outbox/wake.ts';
import { decoded } from '../words/decoded.ts';
import { importContacts, liveCampaigns, queueRecipient } from './calls.ts';
import type { CampaignSetting } from './calls.ts';
import { readList } from './contact-list.ts';
import type { ListRow } from './contact-list.ts';

/** So many of a campaign wait in lanes at most: what is not there is held by a pause in one place. */
const AHEAD = 100;
/** Contacts of one call: their locks are held until its end. */
const PART = 200;

type CampaignContext = Pick<Context, 'config' | 'db' | 'sendPolicy' | 'log'>;

/** What a campaign of a tenant begins with. */
export async function campaignSetting(
  ctx: Pick<CampaignContext, 'config' | 'db' | 'sendPolicy'>,
  tenant: string,
): Promise<CampaignSetting> {
  const { company } = await noticeTemplates(ctx.db, tenant);
  const own = tenant === 'default';
  return {
    policy: ctx.sendPolicy,
    shop: company ?? (own ? ctx.config.app.company : null),
    // EVOLUTION_INSTANCE is the installation's; of another tenant's numbers one is chosen, or the campaign names one.
    instance: own ? (ctx.config.evolution?.instance ?? null) : '',
    choose: ctx.config.outbound.multiChip,
  };
}

/** Queues what may be, of all campaigns; returns how many messages. May run anywhere, any number of times at once. */
export async function feedCampaigns(
  ctx: CampaignContext & { queues: Pick<Context['queues'], 'wakeSend'> },
  signal: AbortSignal,
): Promise<number> {
  let queued = 0;
  for (const { id, tenant } of await liveCampaigns(ctx.db)) {
    const setting = await campaignSetting(ctx, tenant);
    const lanes: number[] = [];
    try {
      for (let judge = true; !signal.aborted; judge = false) {
        const { outcome, lane } = await queueRecipient(ctx.db, id, { ahead: AHEAD, judge, setting });
        if (outcome !== 'queued' || lane === undefined) break;
        lanes.push(lane);
      }
    } catch (error) {
      if (!(error instanceof DatabaseRefused && error.code === 'WA001')) throw error;
      // The others go on; a number that is connected later is found at the next look.
      ctx.log.warning({ campaign_id: id, tenant_id: tenant }, 'Campaign has no number to leave from');
    }
    queued += await wakeLanes(ctx, lanes);
  }
  return queued;
}

export type Imported = { rows: (ListRow & { outcome: 'added' | 'known' | 'opted_out' | null })[]; guessed_encoding: boolean };

/** Makes contacts of a list, with tags; each row's fate is told. Repeats change nothing. */
export async function importList(
  ctx: Pick<CampaignContext, 'db'>,
  { tenant, instance, bytes, tags, actor }: { tenant: string; instance: string | null; bytes: Buffer; tags: string[]; actor: string },
): Promise<{ ok: true; imported: Imported } | { ok: false; message: string }> {
  const { text, guessed } = decoded(bytes);
  const list = readList(text);
  if (!list.ok) return list;
  const good = list.rows.flatMap(({ phone, name, tags: own }) => (phone === null ? [] : [{ phone, name, tags: own }]));
  const outcomes = new Map<string, 'added' | 'known' | 'opted_out'>();
  for (let from = 0; from < good.length; from += PART) {
    const rows = good.slice(from, from + PART);
    for (const { phone, outcome } of await importContacts(ctx.db, { tenant, instance, rows, tags, actor, first: from === 0 }))
      outcomes.set(phone, outcome);
  }
  return {
    ok: true,
    imported: {
      rows: list.rows.map((row) => ({ ...row, outcome: row.phone === null ? null : (outcomes.get(row.phone) ?? null) })),
      guessed_encoding: guessed,
    },
  };
}
