/** instance list, show, set, connect, qr, restart, logout: the WhatsApp numbers. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { releaseFault } from '../core/gateway.ts';
import { because, stateInWords } from '../core/reasons.ts';
import { WEBHOOK_EVENTS, WEBHOOK_PATH } from '../core/webhook.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { adoptInstance, instanceHistory, listNumberHealth, setInstance } from '../db/numbers.ts';
import type { NumberHealth } from '../db/numbers.ts';
import { setInstanceState } from '../db/operations.ts';
import { recordAudit } from '../db/control.ts';
import { failureInWords, faultsOf } from '../webhook-check.ts';
import type { Evolution, Failure, Pairing } from '../whatsapp/client.ts';
import { defineCommand, refused, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome, Refusal } from './command.ts';

/** How often a number that is being paired is looked at, and for how long. Milliseconds; WhatsApp shows a code for some 40 s and makes some of them. */
const LOOK_MS = 2_000;
const PAIRING_MS = 180_000;
const HISTORY = 20;

const nameArg = wordsArg.describe('name of the number at Evolution');
const named = z.object({ name: nameArg });
/** `default` goes back to what the environment says. */
const amountArg = z
  .union(
    [
      z.number(),
      z.literal('default').transform(() => -1),
      z
        .string()
        .regex(/^\d{1,7}(\.\d{1,3})?$/)
        .transform(Number),
    ],
    'must be a number, or default',
  )
  .pipe(z.number().min(-1).max(10_000_000))
  .optional();
const countArg = amountArg.pipe(z.number().int('must be a whole number').optional());

const list = defineCommand({
  name: 'instance list',
  summary: 'the WhatsApp numbers, with their health',
  details:
    'Connected or not, what holds their proactive messages, the trust figure (below 40 nothing proactive leaves), and how many of the latest sends arrived.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  run: async (ctx, _args, { tenant }) => ({ ok: true, result: { instances: await listNumberHealth(ctx.db, tenant) } }),
  text: ({ instances }, format) =>
    instances.length === 0
      ? 'There is no number. To make one: instance connect NAME.'
      : instances.map((each) => numberLine(each, format)).join('\n'),
});

const show = defineCommand({
  name: 'instance show',
  summary: 'one number: health, limits, webhook, what happened to it',
  details: 'The webhook is asked of Evolution; the rest is in the database.',
  args: named,
  positional: ['name'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { name }, { tenant }) {
    const number = await findNumber(ctx, tenant, name);
    if (number === null) return unknown(name);
    const webhook =
      ctx.whatsapp === null ? ['EVOLUTION_API_URL is not set'] : await faultsOf({ whatsapp: ctx.whatsapp, config: ctx.config }, name);
    return { ok: true, result: { number, webhook_faults: webhook, history: await instanceHistory(ctx.db, tenant, name, HISTORY) } };
  },
  text({ number, webhook_faults: faults, history }, format) {
    return [
      numberLine(number, format),
      ...limitLines(number),
      `  Evolution: ${releaseLine(number.gateway_version)}`,
      `  webhook: ${faults.length === 0 ? 'as it should be' : `${faults.join('; ')} (to mend it: instance connect ${number.instance})`}`,
      ...history.map((each) => `  ${format(each.at)} ${each.event}${each.reason === null ? '' : `: ${each.reason}`}`),
    ].join('\n');
  },
});

const set = defineCommand({
  name: 'instance set',
  summary: 'caps, pace and phase of a number, and whether it may be chosen',
  details:
    'What is not named stays. "default" as a value goes back to what the environment says. Takes effect with the next send. Example: instance set julia-prod --cap_hour 10 --proactive true',
  args: z.object({
    name: nameArg,
    proactive: z
      .union([z.boolean(), z.stringbool()], 'must be true or false')
      .optional()
      .describe('may be chosen for messages that nobody asked for'),
    phase: z
      .enum(['warming', 'established'], 'must be warming or established')
      .optional()
      .describe('warming: new to WhatsApp, may send more with each day from now on'),
    cap_hour: countArg.describe('proactive messages in 60 minutes'),
    cap_day: countArg.describe('proactive messages in 24 hours'),
    reply_cap_hour: countArg.describe('replies in 60 minutes'),
    pace_min_seconds: amountArg.describe('least seconds between proactive messages'),
    pace_max_seconds: amountArg.describe('most seconds between them'),
  }),
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name, ...change }, actor) {
    if (Object.values(change).every((value) => value === undefined)) return refused('bad_request', 'name something to change');
    try {
      if (!(await setInstance(ctx.db, actor.tenant, name, actor.id, change))) return unknown(name);
    } catch (error) {
      if (error instanceof DatabaseRefused && error.code === '23514')
        return refused('bad_request', 'pace_max_seconds must not be less than pace_min_seconds');
      throw error;
    }
    const number = await findNumber(ctx, actor.tenant, name);
    return number === null ? unknown(name) : { ok: true, result: { number } };
  },
  text: ({ number }, format) => [numberLine(number, format), ...limitLines(number)].join('\n'),
});

const connect = defineCommand({
  name: 'instance connect',
  summary: 'makes a number ready: created at Evolution, webhook set and verified, code to scan',
  details:
    'May be repeated: what is right is left as it is. Needs the global EVOLUTION_API_KEY when the number is not there yet. At a terminal it shows the code and waits until ' +
    'it has been scanned; with --json and over HTTP the answer holds the code. The address of the webhook is that of the api as Evolution reaches it, and must not redirect.',
  args: z.object({
    name: nameArg,
    url: z
      .url({ protocol: /^https?$/, error: 'must be an http or https address' })
      .optional()
      .describe(`where Evolution reaches the api; else APP_BASE_URL with ${WEBHOOK_PATH}`),
  }),
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name, url }, actor) {
    const { whatsapp } = ctx;
    if (whatsapp === null) return notConfigured();
    const target = webhookAddress(url ?? ctx.config.app.baseUrl);
    if (target === null) return refused('bad_request', 'url: where does Evolution reach the api? Name it, or set APP_BASE_URL');
    const secret = ctx.config.webhook.secret;
    const webhook = { url: target, events: WEBHOOK_EVENTS, headers: secret === null ? {} : { jwt_key: secret } };

    const state = await whatsapp.connectionState(name);
    let providerId: string | null = null;
    if (state.kind === 'failed') {
      if (state.class !== 'unknown_instance') return upstream(state);
      const made = await whatsapp.createInstance({ instance: name, ...webhook });
      if (made.kind === 'failed')
        return upstream(made, made.class === 'unauthorized' ? 'creating a number needs the global key of Evolution' : undefined);
      providerId = made.id;
      ctx.progress?.(`Created ${name} at Evolution.`);
    }
    const written = await whatsapp.setWebhook({ instance: name, ...webhook });
    if (written.kind === 'failed') return upstream(written);
    const faults = await faultsOf({ whatsapp, config: ctx.config }, name);
    if (faults.length > 0) return refused('upstream', `after setting it, ${faults.join('; ')}`);
    ctx.progress?.(`Evolution posts what happens on ${name} to ${target}.`);
    if (!(await adoptInstance(ctx.db, actor.tenant, name, providerId, actor.id)))
      return refused('forbidden', `the number ${name} belongs to another tenant`);
    return pair(ctx, whatsapp, name);
  },
  text: (result) => pairedText(result),
});

const qr = defineCommand({
  name: 'instance qr',
  summary: 'the code by which a number is paired, again',
  details:
    'At a terminal it is shown, and the command waits until it has been scanned; over HTTP the answer holds it. A number that is connected has none.',
  args: named,
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name }, { id, tenant }) {
    if (ctx.whatsapp === null) return notConfigured();
    if ((await findNumber(ctx, tenant, name)) === null) return unknown(name);
    // Whoever sees the code can pair the number with a phone of theirs.
    await recordAudit(ctx.db, { tenant, actor: id, action: 'instance.qr', subject: name, details: {} });
    return pair(ctx, ctx.whatsapp, name);
  },
  text: (result) => pairedText(result),
});

const restart = defineCommand({
  name: 'instance restart',
  summary: 'restarts the connection of a number at Evolution',
  details: 'For a number that is connected in words and delivers nothing. It keeps its pairing.',
  args: named,
  positional: ['name'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { name }, actor) => act(ctx, name, actor, 'restart'),
  text: ({ name }) => `${name} is being restarted; instance list shows when it is back.`,
});

const logout = defineCommand({
  name: 'instance logout',
  summary: 'takes the pairing of a number away',
  details: 'It must be paired again afterwards (instance qr NAME). Until then nothing leaves from it; what waits goes on waiting.',
  args: named,
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  run: (ctx, { name }, actor) => act(ctx, name, actor, 'logout'),
  text: ({ name }) => `${name} is logged out. To pair it again: instance qr ${name}.`,
});

export const instanceCommands = [list, show, set, connect, qr, restart, logout];

type Paired = {
  name: string;
  state: string;
  code: string | null;
  pairing_code: string | null;
  picture: string | null;
  terminal: string | null;
};

/** Asks for a code unless the number is open; with somebody at a terminal, shows each and waits until one has been scanned. */
async function pair(ctx: AdminContext, whatsapp: Evolution, name: string): Promise<Outcome<Paired>> {
  const until = Date.now() + PAIRING_MS;
  let shown: string | null = null;
  for (;;) {
    const pairing = await whatsapp.connect(name);
    if (pairing.kind === 'failed') return upstream(pairing);
    if (pairing.state === 'open') {
      await setInstanceState(ctx.db, name, 'open');
      return { ok: true, result: { name, state: 'open', code: null, pairing_code: null, picture: null, terminal: null } };
    }
    const terminal = await drawn(pairing);
    const result = { name, state: pairing.state, code: pairing.code, pairing_code: pairing.pairingCode, picture: pairing.base64, terminal };
    if (ctx.progress === undefined) return { ok: true, result };
    if (terminal !== null && pairing.code !== shown)
      ctx.progress(`${terminal}\nScan it on the phone: WhatsApp, Linked devices, Link a device. Waiting ...`);
    shown = pairing.code;
    if (!(await opened(whatsapp, name, pairing.code === null ? LOOK_MS : CODE_MS, until)) && Date.now() >= until)
      return { ok: true, result };
  }
}

/** A code of WhatsApp lives for some 20 to 60 s: then the next one is asked for. Milliseconds. */
const CODE_MS = 40_000;

/** Waits until the number is open, at most so long; false when it is not. */
async function opened(whatsapp: Evolution, name: string, waitMs: number, until: number): Promise<boolean> {
  const end = Math.min(until, Date.now() + waitMs);
  do {
    await delay(LOOK_MS);
    const state = await whatsapp.connectionState(name);
    if (state.kind === 'ok' && state.state === 'open') return true;
  } while (Date.now() < end);
  return false;
}

/** Loaded only when there is something to draw. */
async function drawn({ code }: Pairing): Promise<string | null> {
  if (code === null) return null;
  const { renderUnicodeCompact } = await import('uqr');
  return renderUnicodeCompact(code);
}

function pairedText({ name, state, code, terminal }: Paired): string {
  if (state === 'open') return `${name} is connected.`;
  if (code === null) return `${name} is ${state}; Evolution gave no code. Ask again: instance qr ${name}.`;
  return `${terminal ?? code}\n${name} is not paired yet. Ask for a new code: instance qr ${name}.`;
}

async function act(ctx: AdminContext, name: string, actor: Actor, what: 'restart' | 'logout'): Promise<Outcome<{ name: string }>> {
  if (ctx.whatsapp === null) return notConfigured();
  if ((await findNumber(ctx, actor.tenant, name)) === null) return unknown(name);
  const done = await ctx.whatsapp[what](name);
  if (done.kind === 'failed')
    return /is not connected/.test(done.detail)
      ? refused('conflict', `${name} is not connected; to pair it: instance connect ${name}`)
      : upstream(done);
  if (what === 'logout') await setInstanceState(ctx.db, name, 'close');
  await recordAudit(ctx.db, { tenant: actor.tenant, actor: actor.id, action: `instance.${what}`, subject: name, details: {} });
  return { ok: true, result: { name } };
}

async function findNumber(ctx: AdminContext, tenant: string, name: string): Promise<NumberHealth | null> {
  return (await listNumberHealth(ctx.db, tenant)).find((each) => each.instance === name) ?? null;
}

/** A bare host gets our path. */
function webhookAddress(base: string | null): string | null {
  if (base === null) return null;
  const url = new URL(base);
  return url.pathname.replace(/\/+$/, '').endsWith(WEBHOOK_PATH) ? base : `${base.replace(/\/+$/, '')}${WEBHOOK_PATH}`;
}

function notConfigured(): Refusal {
  return refused('unavailable', 'EVOLUTION_API_URL, EVOLUTION_API_KEY, EVOLUTION_INSTANCE: must be set for this');
}

function unknown(name: string): Refusal {
  return refused('not_found', `there is no number ${name}; instance list shows them, instance connect ${name} makes one`);
}

function upstream(failure: Failure, hint?: string): Refusal {
  return refused('upstream', `${failureInWords(failure)}${hint === undefined ? '' : ` (${hint})`}`);
}

function numberLine(number: NumberHealth, format: FormatTime): string {
  const { instance, status, status_at, health, reason, until, trust, judged, delivered } = number;
  const arrived = judged === 0 ? '' : `; ${delivered} of the last ${judged} sends arrived`;
  const held =
    health === 'held' || health === 'on_trial'
      ? `\n  proactive messages ${health === 'held' ? `wait${until === null ? '' : ` until ${format(until)}`}` : 'go one at a time'}, because ${because(reason)}`
      : '';
  return `${instance}: ${stateInWords(status)} since ${format(status_at)}; trust ${trust}${arrived}${held}`;
}

function releaseLine(version: string | null): string {
  return version === null ? 'nobody has asked for its release yet' : (releaseFault(version) ?? version);
}

function limitLines({
  proactive,
  phase,
  cap_hour: hour,
  cap_day: day,
  pace_min_seconds: least,
  pace_max_seconds: most,
}: NumberHealth): string[] {
  const own = (value: number | null, variable: string) => value ?? variable;
  return [
    `  proactive messages: ${proactive ? 'may be chosen' : 'never chosen by itself'}; phase ${phase}`,
    `  caps: ${own(hour, 'MAX_MSGS_POR_HORA')} in 60 minutes, ${own(day, 'MAX_MSGS_POR_DIA')} in 24 hours`,
    `  seconds between two: ${own(least, 'RATE_LIMIT_INTERVALO_MIN')} to ${own(most, 'RATE_LIMIT_INTERVALO_MAX')}`,
  ];
}
