/** /api/campaigns: offers to many, for programs. What each does is the admin command of its name. */
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { commandNamed, runCommand } from '../admin/all.ts';
import { campaignName, campaignPreview, campaignReport, campaignRow, listCampaigns, listedCampaign } from '../campaigns/calls.ts';
import type { CampaignRow } from '../campaigns/calls.ts';
import { jsonOf } from '../words/json.ts';
import { resultOf } from './admin.ts';
import type { Process } from './ops.ts';
import type { Caller } from './auth.ts';
import { contextOf } from './context-of.ts';
import type { Routes } from './table.ts';

/** A campaign, by its id or its name. */
const ONE = '/api/campaigns/:campaign{[a-z0-9][a-z0-9-]*}';
const VERBS = ['preview', 'start', 'pause', 'resume', 'stop'] as const;

export function campaignRoutes(routes: Routes, process: Process): void {
  const run = async (caller: Caller, name: string, args: object): Promise<object> => {
    const actor = { id: `api:${caller.sub}`, tenant: caller.tenant };
    return resultOf(await runCommand(commandNamed(name), contextOf(process), args, actor)) as object;
  };
  const bodyOf = async (text: string): Promise<object> => {
    const parsed = z.record(z.string(), z.unknown()).safeParse(text.trim() === '' ? {} : jsonOf(text));
    if (!parsed.success) throw new HTTPException(400, { message: 'the body must be a JSON object' });
    return parsed.data;
  };

  routes.get('/api/campaigns', LIST, async (c) =>
    c.json({ campaigns: await listCampaigns(contextOf(process).db, c.get('caller').tenant, MOST) }),
  );
  const nameOf = async (tenant: string, given: string): Promise<string> => {
    if (!/^\d+$/.test(given)) return given;
    const name = given.length > 15 ? null : await campaignName(contextOf(process).db, tenant, Number(given));
    if (name === null) throw new HTTPException(404, { message: `there is no campaign ${given}` });
    return name;
  };

  routes.post('/api/campaigns', CREATE, async (c) => {
    const { campaign, list } = (await run(c.get('caller'), 'campaign create', await bodyOf(await c.req.text()))) as {
      campaign: CampaignRow;
      list: object | null;
    };
    return c.json({ ...campaign, list }, 201);
  });
  routes.get(ONE, REPORT, async (c) => {
    const caller = c.get('caller');
    return c.json(await run(caller, 'campaign report', { name: await nameOf(caller.tenant, c.req.param('campaign')) }));
  });
  for (const verb of VERBS)
    routes.post(`${ONE}/${verb}`, ABOUT[verb], async (c) => {
      const caller = c.get('caller');
      const name = await nameOf(caller.tenant, c.req.param('campaign'));
      return c.json(await run(caller, `campaign ${verb}`, { ...(await bodyOf(await c.req.text())), name }));
    });
}

/** Of a list. */
const MOST = 200;

const created = campaignRow.extend({ list: z.record(z.string(), z.unknown()).nullable() });
const changed = z.object({ campaign: campaignRow, woken: z.boolean() });
const ERRORS = { 400: 'what is wrong with which field', 404: 'there is no such campaign', 409: 'it is not in a state for this' } as const;

const LIST = {
  tag: 'messages',
  access: 'operator',
  summary: 'campaigns and how far each is, the newest first',
  answers: { 200: { means: 'the newest 200', schema: z.object({ campaigns: z.array(listedCampaign) }) } },
} as const;

const CREATE = {
  tag: 'messages',
  access: 'operator',
  summary: 'a draft of a campaign: its words and whom it is for',
  details:
    'As the command campaign create: tag, not_tag, file (a CSV: {name, base64}), wrote_days, silent_days; what is given together must all be so. The fate of each row of a CSV is in `list`.',
  body: z.object({
    name: z.string(),
    text: z.string(),
    tag: z.string().optional(),
    not_tag: z.string().optional(),
    file: z.object({ name: z.string(), base64: z.string() }).optional(),
    wrote_days: z.number().optional(),
    silent_days: z.number().optional(),
    instance: z.string().optional(),
  }),
  example: { name: 'inverno', tag: 'vip', text: 'Oi {primeiro_nome}, a coleção de inverno chegou!' },
  answers: { 201: { means: 'the draft', schema: created }, 400: ERRORS[400], 409: 'there is one of this name' },
} as const;

const REPORT = {
  tag: 'messages',
  access: 'operator',
  summary: 'what became of each recipient, and what came of it within seven days',
  details: 'By its id or its name.',
  answers: { 200: { means: 'the report', schema: campaignReport }, 404: ERRORS[404] },
} as const;

const reason = z.object({ reason: z.string().optional() });
const ABOUT = {
  preview: {
    tag: 'messages',
    access: 'operator',
    summary: 'who would get a campaign, who not and why, and when the last message leaves',
    body: z.object({}),
    example: {},
    answers: { 200: { means: 'as of now; nothing is stored', schema: campaignPreview }, ...ERRORS },
  },
  start: {
    tag: 'messages',
    access: 'operator',
    summary: 'begins a campaign, now or at a time',
    body: z.object({ at: z.string().optional() }),
    example: { at: '2026-12-01T09:00:00-03:00' },
    answers: { 200: { means: 'as it is now', schema: changed }, ...ERRORS },
  },
  pause: {
    tag: 'messages',
    access: 'operator',
    summary: 'holds a campaign where it is',
    body: reason,
    example: { reason: 'preço errado' },
    answers: { 200: { means: 'as it is now', schema: changed }, ...ERRORS },
  },
  resume: {
    tag: 'messages',
    access: 'operator',
    summary: 'a campaign goes on where it was',
    body: reason,
    example: { reason: 'preço corrigido' },
    answers: { 200: { means: 'as it is now', schema: changed }, ...ERRORS },
  },
  stop: {
    tag: 'messages',
    access: 'operator',
    summary: 'ends a campaign for good',
    body: reason,
    example: { reason: 'acabou o estoque' },
    answers: { 200: { means: 'as it is now', schema: changed }, ...ERRORS },
  },
} as const;
