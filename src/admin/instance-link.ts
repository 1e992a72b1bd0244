/** instance connect, secret, qr, restart, logout: what is done to a number at Evolution. Whose it is comes before anything is asked there. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { WEBHOOK_EVENTS, WEBHOOK_PATH } from '../whatsapp/webhook-setting.ts';
import { confirmWebhookSecret, setWebhookSecret } from '../numbers/secret-calls.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { adoptInstance, mayConnect, setInstanceState } from '../numbers/calls.ts';
import { sealSecret } from '../process/secrets.ts';
import { failureInWords, faultsOf } from '../numbers/webhook-check.ts';
import { secretsOf, webhookSecretOf } from '../numbers/webhook-secrets.ts';
import type { Evolution, Failure, Pairing } from '../whatsapp/client.ts';
import { defineCommand, refused } from './command.ts';
import type { Actor, AdminContext, Outcome, Refusal } from './command.ts';
import { findNumber, named, nameArg, unknown } from './instances.ts';

/** How often a number that is being paired is looked at, and for how long. Milliseconds; WhatsApp shows a code for some 40 s and makes some of them. */
const LOOK_MS = 2_000;
const PAIRING_MS = 180_000;

const connect = defineCommand({
  name: 'instance connect',
  summary: 'makes a number ready: created at Evolution, webhook set and verified, code to scan',
  details:
    'May be repeated: what is right is left as it is. Needs the global EVOLUTION_API_KEY when the number is not there yet. At a terminal it shows the code and waits until ' +
    'it has been scanned; with --json and over HTTP the answer holds the code. The address of the webhook is that of the api as Evolution reaches it, and must not redirect. ' +
    'Another tenant than default makes numbers of its own only (at most max_numbers in tenants.settings, 10 without), none whose name was set aside, posts them to APP_BASE_URL only, ' +
    'and each gets a webhook secret of its own (needs SECRETS_KEY).',
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
    // Whose it is, before anything is asked of Evolution.
    const installation = actor.tenant === 'default';
    const asked = await mayConnect(ctx.db, actor.tenant, name, actor.id);
    if (asked.outcome === 'not_yours') return othersNumber(name);
    if (asked.outcome === 'unknown_tenant') return refused('not_found', `there is no tenant ${actor.tenant}`);
    if (asked.outcome === 'too_many')
      return refused(
        'conflict',
        `the tenant may have ${asked.most} numbers, with what it tried in the last hour: whoever has the installation allows more (max_numbers in tenants.settings)`,
      );
    const isNew = asked.outcome === 'new';
    const target = webhookAddress(url ?? ctx.config.app.baseUrl);
    if (target === null) return refused('bad_request', 'url: where does Evolution reach the api? Name it, or set APP_BASE_URL');
    if (!installation && target !== webhookAddress(ctx.config.app.baseUrl))
      return refused('forbidden', 'url: only the tenant default may have webhooks posted elsewhere than to APP_BASE_URL');
    const secret = await secretFor(ctx, name, actor.tenant, isNew);
    if (!secret.ok) return secret;
    const webhook = { url: target, events: WEBHOOK_EVENTS, headers: secret.value === null ? {} : { jwt_key: secret.value } };

    let providerId: string | null = null;
    // A number that Evolution has and we have not may be a neighbour's: only the installation's owner may take it. Others must make it, which proves that it is new.
    const state = installation || !isNew ? await whatsapp.connectionState(name) : null;
    if (state?.kind === 'failed' && state.class !== 'unknown_instance') return upstream(state);
    if (state === null || state.kind === 'failed') {
      const made = await whatsapp.createInstance({ instance: name, ...webhook });
      if (made.kind === 'failed') {
        if (!installation && /already in use/.test(made.detail)) return othersNumber(name);
        return upstream(made, made.class === 'unauthorized' ? 'creating a number needs the global key of Evolution' : undefined);
      }
      providerId = made.id;
      ctx.progress?.(`Created ${name} at Evolution.`);
    }
    const adopted = await adoptInstance(ctx.db, actor.tenant, name, providerId, actor.id);
    if (adopted === 'other_tenant') return othersNumber(name);
    if (adopted === 'unknown_tenant') return refused('not_found', `there is no tenant ${actor.tenant}`);
    if (secret.sealed !== null) await setWebhookSecret(ctx.db, actor.tenant, name, secret.sealed, actor.id);
    const trouble = await setAndVerify(ctx, whatsapp, name, webhook);
    return trouble ?? pair(ctx, whatsapp, name);
  },
  text: (result) => pairedText(result),
});

const secret = defineCommand({
  name: 'instance secret',
  summary: 'gives the webhook of a number a new secret of its own, which speaks for that number only',
  details:
    'Made here, set at Evolution, kept sealed with SECRETS_KEY, and shown to nobody. What it had before (EVOLUTION_WEBHOOK_SECRET, or the secret before) counts for an hour more, ' +
    'since Evolution repeats webhooks that it signed with it. To change it, run it again. Audited.',
  args: named,
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name }, actor) {
    const { whatsapp } = ctx;
    const { secrets } = ctx.config;
    if (whatsapp === null) return notConfigured();
    if (secrets === null) return refused('conflict', NO_SECRETS_KEY);
    if ((await findNumber(ctx, actor.tenant, name)) === null) return unknown(name);
    const found = await whatsapp.findWebhook(name);
    if (found.kind === 'failed') return upstream(found);
    const own = webhookAddress(ctx.config.app.baseUrl);
    const url = actor.tenant === 'default' ? (found.webhook?.url ?? own) : own;
    if (url === null) return refused('bad_request', 'APP_BASE_URL: must be set; where does Evolution reach the api?');
    const value = randomBytes(32).toString('hex');
    if (!(await setWebhookSecret(ctx.db, actor.tenant, name, sealSecret(secrets, value, webhookSecretOf(name)), actor.id)))
      return unknown(name);
    const trouble = await setAndVerify(ctx, whatsapp, name, { url, events: WEBHOOK_EVENTS, headers: { jwt_key: value } });
    return trouble ?? { ok: true, result: { name } };
  },
  text: ({ name }) => `The webhook of ${name} has a secret of its own. What Evolution signed before counts for an hour more.`,
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
    // Who sees the code can pair the number with a phone of theirs.
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
export const linkCommands = [connect, secret, qr, restart, logout];

const NO_SECRETS_KEY = 'SECRETS_KEY: must be set for a webhook secret of its own; make one with `openssl rand -hex 32`';

type NumberSecret = { ok: true; value: string | null; /** new, and to be stored */ sealed: string | null };

/**
 * What the webhook of a number signs with. A number of another tenant than the installation's has a secret of its own, and so has a new number where secrets
 * can be kept. All others use that of the installation.
 */
async function secretFor(ctx: AdminContext, name: string, tenant: string, isNew: boolean): Promise<NumberSecret | Refusal> {
  const { secrets, evolution, webhook } = ctx.config;
  const { own, secrets: known } = await secretsOf(ctx.db, ctx.config, name);
  if (own) {
    const [value] = known;
    return value === undefined
      ? refused('conflict', `SECRETS_KEY: the webhook secret of ${name} cannot be opened; instance secret ${name} makes a new one`)
      : { ok: true, value, sealed: null };
  }
  const needed = tenant !== 'default';
  if (!needed && !(isNew && secrets !== null && name !== evolution?.instance)) return { ok: true, value: webhook.secret, sealed: null };
  if (secrets === null) return refused('conflict', NO_SECRETS_KEY);
  const value = randomBytes(32).toString('hex');
  return { ok: true, value, sealed: sealSecret(secrets, value, webhookSecretOf(name)) };
}

/** The webhook as it must be; null: it is. From then on what the number signed with before counts for an hour. */
async function setAndVerify(
  ctx: AdminContext,
  whatsapp: Evolution,
  name: string,
  webhook: { url: string; events: readonly string[]; headers: Record<string, string> },
): Promise<Refusal | null> {
  const written = await whatsapp.setWebhook({ instance: name, ...webhook });
  if (written.kind === 'failed') return upstream(written);
  const faults = await faultsOf({ whatsapp, config: ctx.config, db: ctx.db }, name);
  if (faults.length > 0) return refused('upstream', `after setting it, ${faults.join('; ')}`);
  await confirmWebhookSecret(ctx.db, name);
  ctx.progress?.(`Evolution posts what happens on ${name} to ${webhook.url}.`);
  return null;
}

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
/** A bare host gets our path. */
function webhookAddress(base: string | null): string | null {
  if (base === null) return null;
  const url = new URL(base);
  return url.pathname.replace(/\/+$/, '').endsWith(WEBHOOK_PATH) ? base : `${base.replace(/\/+$/, '')}${WEBHOOK_PATH}`;
}

function notConfigured(): Refusal {
  return refused('unavailable', 'EVOLUTION_API_URL, EVOLUTION_API_KEY, EVOLUTION_INSTANCE: must be set for this');
}

function othersNumber(name: string): Refusal {
  // One answer for all reasons: which of them it is would say what others have.
  return refused('forbidden', `${name} is not to be had: it belongs to somebody else`);
}
function upstream(failure: Failure, hint?: string): Refusal {
  return refused('upstream', `${failureInWords(failure)}${hint === undefined ? '' : ` (${hint})`}`);
}
