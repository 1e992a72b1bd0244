/** campaign create, list, preview, start, pause, resume, stop, report. */
import { z } from 'zod';
import { changeCampaign, createCampaign, listCampaigns, previewCampaign, reportCampaign, startCampaign } from '../campaigns/calls.ts';
import type { CampaignPreview, CampaignReport, CampaignRow, ChangedCampaign, ListedCampaign } from '../campaigns/calls.ts';
import { audienceFault, CAMPAIGN_PLACEHOLDERS, campaignTextFault, MOST_CAMPAIGN_TEXT } from '../campaigns/campaign-words.ts';
import type { Audience } from '../campaigns/campaign-words.ts';
import { campaignSetting, importList } from '../campaigns/campaigns.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { wakeLanes } from '../outbox/wake.ts';
import { printable } from '../words/foreign-text.ts';
import { because } from '../words/reasons.ts';
import { importResult, importText, tagArg } from './contact-lists.ts';
import type { ImportResult } from './contact-lists.ts';
import { defineCommand, fileArg, limitArg, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome, Refusal } from './command.ts';

export const campaignNameArg = wordsArg.regex(
  /^(?=[^]*[a-z])[a-z0-9][a-z0-9-]{0,49}$/,
  'must be a short name of small letters, digits and hyphens with a letter in it, like natal-2026',
);
const nameArg = campaignNameArg.describe('name of the campaign');
const daysArg = z.coerce.number('must be a number of days').int().min(1).max(3_650);
const textArg = z
  .string()
  .max(MOST_CAMPAIGN_TEXT, `must have at most ${MOST_CAMPAIGN_TEXT} characters`)
  .refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');

type Created = { campaign: CampaignRow; list: ImportResult | null };

const create = defineCommand({
  name: 'campaign create',
  summary: 'a draft: its words and whom it is for',
  details:
    'Whom: a tag, a CSV (its contacts get the tag of the campaign, lista:NAME), who wrote within so many days, who has been silent for so many; what is given together must all be so. ' +
    `Placeholders: ${CAMPAIGN_PLACEHOLDERS.map((each) => `{${each}}`).join(' ')}. Nothing is sent: see campaign preview, campaign start. Audited. ` +
    'For example: campaign create inverno --tag vip --text "Oi {primeiro_nome}, a coleção de inverno chegou!"',
  args: z.object({
    name: nameArg,
    text: textArg.describe('the words, with placeholders'),
    tag: tagArg.optional().describe('who has this tag'),
    not_tag: tagArg.optional().describe('but not this one'),
    file: fileArg.optional().describe('who stands in this CSV, as contact import reads it'),
    wrote_days: daysArg.optional().describe('who wrote within so many days'),
    silent_days: daysArg.optional().describe('who wrote once, but not within so many days'),
    instance: wordsArg.optional().describe('from this number; nothing: from the fittest'),
  }),
  positional: ['name', 'file'],
  files: ['file'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { name, text, tag, not_tag, file, wrote_days, silent_days, instance }, { id, tenant }): Promise<Outcome<Created>> {
    const listTag = file === undefined ? [] : [`lista:${name}`];
    const tags = [...(tag === undefined ? [] : [tag]), ...listTag];
    const audience: Audience = {
      ...(tags.length === 0 ? {} : { tags }),
      ...(not_tag === undefined ? {} : { not_tags: [not_tag] }),
      ...(wrote_days === undefined ? {} : { wrote_days }),
      ...(silent_days === undefined ? {} : { silent_days }),
    };
    const { shop } = await campaignSetting(ctx, tenant);
    const fault = campaignTextFault(text, shop) ?? audienceFault(audience);
    if (fault !== null) return refused('bad_request', fault);
    const answer = await createCampaign(ctx.db, tenant, { name, text, audience, instance: instance ?? null }, id);
    if (answer.outcome === 'exists') return refused('conflict', `there is a campaign ${name} already`);
    if (answer.outcome === 'unknown_instance') return refused('bad_request', `instance: there is no number ${instance ?? ''}`);
    if (answer.outcome !== 'done') return refused('conflict', answer.outcome);
    if (file === undefined) return { ok: true, result: { campaign: answer.campaign, list: null } };
    const list = await listed(ctx, {
      tenant,
      instance: instance ?? null,
      bytes: Buffer.from(file.base64, 'base64'),
      tags: listTag,
      actor: id,
    });
    return 'ok' in list ? list : { ok: true, result: { campaign: answer.campaign, list } };
  },
  text: ({ campaign, list }) =>
    [
      `${campaign.name} is a draft. campaign preview ${campaign.name} says who goes and when the last one leaves.`,
      ...(list === null ? [] : [importText(list)]),
    ].join('\n'),
});

type List = Parameters<typeof importList>[1];

async function listed(ctx: AdminContext, list: List): Promise<ImportResult | Refusal> {
  try {
    const found = await importList(ctx, list);
    return found.ok
      ? importResult(found.imported, list.tags[0] ?? null)
      : refused('bad_request', `file: ${found.message}; the draft is there, for nobody yet`);
  } catch (error) {
    if (error instanceof DatabaseRefused && error.code === 'WA001')
      return refused('bad_request', 'instance: there is no such number; connect one first (instance connect NAME)');
    throw error;
  }
}

const list = defineCommand({
  name: 'campaign list',
  summary: 'campaigns and how far each is, the newest first',
  details: 'How many are in each state; for what came of one: campaign report NAME.',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: { campaigns: await listCampaigns(ctx.db, tenant, limit) } };
  },
  text: ({ campaigns }, format) =>
    campaigns.length === 0 ? 'There is no campaign.' : campaigns.map((each) => line(each, format)).join('\n'),
});

const preview = defineCommand({
  name: 'campaign preview',
  summary: 'who would get a campaign, who not and by which rule, and when the last message leaves',
  details:
    'As of now; each rule is asked again when a message leaves. The last one: under hours, caps and pace, if nothing else of the number leaves. Nothing is stored or sent.',
  args: z.object({ name: nameArg }),
  positional: ['name'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { name }, { tenant }): Promise<Outcome<CampaignPreview>> {
    const seen = await previewCampaign(ctx.db, tenant, name, await campaignSetting(ctx, tenant));
    return seen === null ? unknown(name) : { ok: true, result: seen };
  },
  text: ({ goes, skipped, later, samples, numbers, last_at: last }, format) =>
    [
      `${goes} would get it${numbers.length === 0 ? ', and there is no number to send from' : `, from ${numbers.join(', ')}`}${last === null ? '' : `; the last one by ${format(new Date(last))}`}.`,
      ...Object.entries(skipped).map(([reason, n]) => `  ${n} get nothing because ${because(reason)}`),
      ...Object.entries(later).map(([reason, n]) => `  ${n} of them later because ${because(reason)}`),
      ...samples.map(({ phone, text }) => `  to ${phone}: ${printable(text).replaceAll('\n', '\n    ')}`),
    ].join('\n'),
});

const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time with a zone, like 2026-12-01T09:00:00-03:00' });

const start = defineCommand({
  name: 'campaign start',
  summary: 'begins a campaign, now or at a time',
  details:
    'Who gets it, and in which words, is settled when it begins. Messages leave under all rules; a hundred are queued ahead at most. Audited.',
  args: z.object({ name: nameArg, at: time.optional().describe('ISO 8601 time; nothing: now') }),
  positional: ['name'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { name, at }, { id, tenant }) {
    const setting = await campaignSetting(ctx, tenant);
    return shown(ctx, name, await startCampaign(ctx.db, tenant, name, { at: at ?? null, setting, actor: id }));
  },
  text: changedText,
});

const DETAILS = {
  pause: 'Nothing more of it leaves but what is on the wire at this moment. Audited.',
  resume: 'It goes on where it was. What paused it by itself is not held against it any more. Audited.',
  stop: 'It ends for good: who has not got it gets nothing. Audited.',
} as const;
const SUMMARIES = {
  pause: 'holds a campaign where it is',
  resume: 'a campaign goes on where it was',
  stop: 'ends a campaign for good',
} as const;

const verbs = (['pause', 'resume', 'stop'] as const).map((verb) =>
  defineCommand({
    name: `campaign ${verb}`,
    summary: SUMMARIES[verb],
    details: DETAILS[verb],
    args: z.object({ name: nameArg, reason: wordsArg.optional().describe('why, for the audit') }),
    positional: ['name'],
    readOnly: false,
    role: 'operator',
    async run(ctx, { name, reason }, { id, tenant }: Actor) {
      return shown(ctx, name, await changeCampaign(ctx.db, verb, { tenant, name, actor: id, reason: reason ?? null }));
    },
    text: changedText,
  }),
);

const report = defineCommand({
  name: 'campaign report',
  summary: 'what became of each recipient, and what came of it',
  details: 'States and reasons; replies, opt-outs, handoffs and the cost of the conversations within seven days of each message.',
  args: z.object({ name: nameArg }),
  positional: ['name'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { name }, { tenant }): Promise<Outcome<CampaignReport>> {
    const found = await reportCampaign(ctx.db, tenant, name);
    return found === null ? unknown(name) : { ok: true, result: found };
  },
  text: (found, format) =>
    [
      line(found, format),
      ...Object.entries(found.reasons).flatMap(([state, reasons]) =>
        Object.entries(reasons).map(([reason, n]) => `  ${n} ${state} because ${because(reason)}`),
      ),
      `  within 7 days: ${found.replies} replied, ${found.opt_outs} asked for no more, ${found.handoffs} needed a person, US$ ${found.cost_usd.toFixed(4)} for the model`,
    ].join('\n'),
});

export const campaignCommands = [create, list, preview, start, ...verbs, report];

type Changed = { campaign: CampaignRow; woken: boolean };

async function shown(ctx: AdminContext, name: string, answer: ChangedCampaign): Promise<Outcome<Changed>> {
  if (answer.outcome === 'unknown') return unknown(name);
  if (answer.outcome === 'state') return refused('conflict', `campaign ${name} is ${answer.status}`);
  const { campaign, lanes } = answer;
  return { ok: true, result: { campaign, woken: await woken(ctx, () => wakeLanes(ctx, lanes)) } };
}

function unknown(name: string): Refusal {
  return refused('not_found', `there is no campaign ${name}`);
}

function changedText({ campaign, woken: awake }: Changed, format: FormatTime): string {
  return [stateText(campaign, format), ...(awake ? [] : [NOT_WOKEN])].join('\n');
}

function stateText({ name, status, reason, starts_at: at, held }: CampaignRow, format: FormatTime): string {
  const why = reason === null ? '' : ` by itself because ${because(reason)}`;
  const when = status === 'scheduled' && at !== null ? ` for ${format(new Date(at))}` : '';
  const waits = held !== null && (status === 'running' || status === 'scheduled') ? `; held because ${because(held)}` : '';
  return `${name} is ${status}${when}${why}${waits}.`;
}

function line(campaign: ListedCampaign, format: FormatTime): string {
  const all = Object.entries(campaign.outcomes).map(([state, n]) => `${n} ${state}`);
  return `${stateText(campaign, format)}${all.length === 0 ? '' : ` ${all.join(', ')}.`}`;
}
