/** Campaigns, tags and lists of contacts. SQL in the room `campaigns`. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import type { SendPolicy } from '../outbox/calls.ts';
import type { Audience } from './campaign-words.ts';

export const CAMPAIGN_STATES = ['draft', 'scheduled', 'running', 'paused', 'done', 'cancelled'] as const;
const counts = z.record(z.string(), z.number());
const audience = z.object({
  tags: z.array(z.string()).optional(),
  not_tags: z.array(z.string()).optional(),
  wrote_days: z.number().optional(),
  silent_days: z.number().optional(),
});

/** A campaign as it is shown. */
export const campaignRow = z.object({
  id: z.number(),
  name: z.string(),
  text: z.string(),
  audience,
  status: z.enum(CAMPAIGN_STATES),
  /** Why it paused by itself. */
  reason: z.enum(['opt_outs', 'deliveries']).nullable(),
  /** The reason that holds it beside its own state. */
  held: z.string().nullable(),
  instance: z.string().nullable(),
  starts_at: z.string().nullable(),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable(),
  created_by: z.string(),
  created_at: z.string(),
});
export type CampaignRow = z.infer<typeof campaignRow>;

export const listedCampaign = campaignRow.extend({ outcomes: counts });
export type ListedCampaign = z.infer<typeof listedCampaign>;

export const campaignPreview = z.object({
  campaign: campaignRow,
  goes: z.number(),
  /** How many get nothing, by the rule that says so. */
  skipped: counts,
  /** How many of those that go have to wait for a rule of their own. */
  later: counts,
  samples: z.array(z.object({ phone: z.string(), text: z.string() })),
  numbers: z.array(z.string()),
  last_at: z.string().nullable(),
});
export type CampaignPreview = z.infer<typeof campaignPreview>;

export const campaignReport = listedCampaign.extend({
  reasons: z.record(z.string(), counts),
  replies: z.number(),
  opt_outs: z.number(),
  handoffs: z.number(),
  cost_usd: z.number(),
  first_at: z.string().nullable(),
  last_at: z.string().nullable(),
});
export type CampaignReport = z.infer<typeof campaignReport>;

/** SQL campaign_name: of an id; null: the tenant has none with it. */
export async function campaignName(db: Door, tenant: string, id: number): Promise<string | null> {
  return z
    .string()
    .nullable()
    .parse(await db.call('campaign_name', { p_tenant: tenant, p_id: id }));
}

const made = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('done'), campaign: campaignRow }),
  z.object({ outcome: z.enum(['exists', 'unknown_instance']) }),
]);

/** SQL create_campaign: a draft. Audited. */
export async function createCampaign(
  db: Door,
  tenant: string,
  campaign: { name: string; text: string; audience: Audience; instance: string | null },
  actor: string,
): Promise<z.infer<typeof made>> {
  return made.parse(await db.call('create_campaign', { p_tenant: tenant, p_campaign: campaign, p_actor: actor }));
}

/** What of the installation a campaign begins with. */
export type CampaignSetting = { policy: SendPolicy; shop: string | null; instance: string | null; choose: boolean };

/** SQL preview_campaign: null: there is no such campaign. */
export async function previewCampaign(db: Door, tenant: string, name: string, setting: CampaignSetting): Promise<CampaignPreview | null> {
  return campaignPreview.nullable().parse(
    await db.call('preview_campaign', {
      p_tenant: tenant,
      p_name: name,
      p_policy: setting.policy,
      p_shop: setting.shop,
      p_default: setting.instance,
      p_choose: setting.choose,
    }),
  );
}

const changed = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('done'), campaign: campaignRow, lanes: z.array(z.number()).default([]) }),
  z.object({ outcome: z.literal('unknown') }),
  z.object({ outcome: z.literal('state'), status: z.string() }),
]);
export type ChangedCampaign = z.infer<typeof changed>;

/** SQL start_campaign: now, or at a time. Audited. */
export async function startCampaign(
  db: Door,
  tenant: string,
  name: string,
  { at, setting, actor }: { at: string | null; setting: CampaignSetting; actor: string },
): Promise<ChangedCampaign> {
  return changed.parse(
    await db.call('start_campaign', {
      p_tenant: tenant,
      p_name: name,
      p_at: at,
      p_policy: setting.policy,
      p_shop: setting.shop,
      p_actor: actor,
    }),
  );
}

/** SQL pause_campaign, resume_campaign, stop_campaign. Audited. `lanes`: to wake. */
export async function changeCampaign(
  db: Door,
  verb: 'pause' | 'resume' | 'stop',
  { tenant, name, actor, reason }: { tenant: string; name: string; actor: string; reason: string | null },
): Promise<ChangedCampaign> {
  const args = { p_tenant: tenant, p_name: name, p_actor: actor, p_reason: reason };
  switch (verb) {
    case 'pause':
      return changed.parse(await db.call('pause_campaign', args));
    case 'resume':
      return changed.parse(await db.call('resume_campaign', args));
    case 'stop':
      return changed.parse(await db.call('stop_campaign', args));
  }
}

/** SQL list_campaigns: the newest first. */
export async function listCampaigns(db: Door, tenant: string, limit: number): Promise<ListedCampaign[]> {
  return z.array(listedCampaign).parse(await db.call('list_campaigns', { p_tenant: tenant, p_limit: limit }));
}

/** SQL campaign_report: null: there is no such campaign. */
export async function reportCampaign(db: Door, tenant: string, name: string): Promise<CampaignReport | null> {
  return campaignReport.nullable().parse(await db.call('campaign_report', { p_tenant: tenant, p_name: name }));
}

/** SQL live_campaigns: those that may have something to do. */
export async function liveCampaigns(db: Door): Promise<{ id: number; tenant: string }[]> {
  return z.array(z.object({ id: z.number(), tenant: z.string() })).parse(await db.call('live_campaigns', {}));
}

const step = z.object({ outcome: z.enum(['queued', 'idle', 'held', 'full', 'done', 'stopped']), lane: z.number().optional() });

/** SQL queue_recipient: the next one gets its message; `judge`: it is looked first how the campaign goes. Errors: DatabaseRefused WA001 no number to send from. */
export async function queueRecipient(
  db: Door,
  campaign: number,
  { ahead, judge, setting }: { ahead: number; judge: boolean; setting: CampaignSetting },
): Promise<z.infer<typeof step>> {
  const { capHour, capDay } = setting.policy;
  return step.parse(
    await db.call('queue_recipient', {
      p_campaign: campaign,
      p_ahead: ahead,
      p_judge: judge,
      p_request: { instance: setting.instance, choose: setting.choose ? { capHour, capDay } : null, shop: setting.shop },
      p_policy: setting.policy,
    }),
  );
}

const imported = z.array(z.object({ phone: z.string(), outcome: z.enum(['added', 'known', 'opted_out']) }));

/** SQL import_contacts. Errors: DatabaseRefused WA001 the tenant has no such number, or none. */
export async function importContacts(
  db: Door,
  list: {
    tenant: string;
    instance: string | null;
    rows: { phone: string; name: string | null; tags: string[] }[];
    tags: string[];
    actor: string;
    first: boolean;
  },
): Promise<z.infer<typeof imported>> {
  const { tenant, instance, rows, tags, actor, first } = list;
  return imported.parse(
    await db.call('import_contacts', {
      p_tenant: tenant,
      p_instance: instance,
      p_rows: rows,
      p_tags: tags,
      p_actor: actor,
      p_first: first,
    }),
  );
}

const tagged = z.object({ changed: z.number(), unknown: z.array(z.string()) });

/** SQL tag_contacts: phones in canonical digits. Audited. */
export async function tagContacts(
  db: Door,
  change: { tenant: string; phones: string[]; add: string[]; remove: string[]; actor: string },
): Promise<z.infer<typeof tagged>> {
  const { tenant, phones, add, remove, actor } = change;
  return tagged.parse(await db.call('tag_contacts', { p_tenant: tenant, p_phones: phones, p_add: add, p_remove: remove, p_actor: actor }));
}

const time = z.coerce.date();
const shownContact = z.object({
  id: z.number(),
  name: z.string().nullable(),
  phones: z.array(z.string()),
  tags: z.array(z.string()),
  opted_out_at: time.nullable(),
  wrote_at: time.nullable(),
  conversations: z.array(z.number()),
  cooling_until: time.nullable(),
  next_allowed_at: time.nullable(),
  last_campaign_at: time.nullable(),
});
export type ShownContact = z.infer<typeof shownContact>;

/** SQL show_contact: null: nobody is known by this phone. */
export async function showContact(db: Door, tenant: string, phone: string): Promise<ShownContact | null> {
  return shownContact.nullable().parse(await db.call('show_contact', { p_tenant: tenant, p_phone: phone }));
}
