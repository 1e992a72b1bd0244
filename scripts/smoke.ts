/**
 * The smoke test of an installation, over HTTP alone: one line per check, exit code 0 when all are well. `scripts/smoke.sh` starts it.
 * Uses nothing but Node, so that it runs where no package is installed.
 */
import { createHmac, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const HELP = `Usage: scripts/smoke.sh URL [--round-trip PHONE | --answer PHONE] [--without-docs] [--wait SECONDS]

Checks a running api: /health, /ready, /health/deep, /metrics, /docs, /openapi.json, that nothing opens without a token, and with a
token that the database is read. Prints one line per check. Exit code: 0 all well, 1 a check failed, 2 wrong usage.

Without the two options below it only reads, and posts one webhook without credentials, which must be refused: safe anywhere.

  --round-trip PHONE  also: a webhook is stored, and an outbound message is queued and read. Nobody hears of it: the webhook says that
                      the phone's owner wrote to PHONE, and the outbound message belongs to a campaign, smoke-test, that is paused for
                      good, and expires after a minute. It leaves two messages and that pause, and quiets the agent towards PHONE for
                      TAKEOVER_MINUTES. Use a number of your own
  --answer PHONE      also: PHONE writes, and the agent's answer must leave within --answer-seconds (default 90). It really does: the
                      answer goes to PHONE over WhatsApp and the model is paid. Only with a number of your own
  --without-docs      the OpenAPI pages are switched off here
  --wait SECONDS      try /ready for so long before the rest (default 0)
  --instance NAME     the number at Evolution (default: EVOLUTION_INSTANCE)

From the environment: SMOKE_TOKEN, a token of the role admin or operator, or JWT_SECRET_KEY to sign one for five minutes; without either
the checks that need a token are skipped. EVOLUTION_WEBHOOK_SECRET for --round-trip and --answer. Both secrets are read from NAME_FILE
too. In a container of the image all of this is set: docker compose exec api scripts/smoke.sh http://127.0.0.1:8000
`;

type Verdict = { ok: true; says: string } | { ok: false; says: string } | { ok: 'skipped'; says: string };
type Answer = { status: number; text: string; json: Record<string, unknown>; ms: number };

/** An answer that takes longer counts as none. Milliseconds; /health/deep alone may take 5 s. */
const REQUEST_MS = 10_000;
const POLL_MS = 500;
/** After so long the message of --round-trip is expired. Milliseconds. */
const HOLD_MS = 60_000;
/** The campaign of that message, which is paused for ever. */
const CAMPAIGN = 'smoke-test';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      'round-trip': { type: 'string' },
      answer: { type: 'string' },
      'answer-seconds': { type: 'string', default: '90' },
      'without-docs': { type: 'boolean' },
      wait: { type: 'string', default: '0' },
      instance: { type: 'string', default: process.env['EVOLUTION_INSTANCE'] ?? '' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [url, ...rest] = positionals;
  if (url === undefined || rest.length > 0 || !URL.canParse(url))
    throw new Error('give the address of the api, such as http://127.0.0.1:8000');
  const base = url.replace(/\/+$/, '');
  const token = process.env['SMOKE_TOKEN'] ?? signedToken(secret('JWT_SECRET_KEY'));
  await waitReady(base, seconds(values.wait) * 1000);

  const checks: [string, () => Promise<Verdict>][] = [
    ['health', () => health(base)],
    ['ready', () => ready(base)],
    ['deep health', () => deepHealth(base)],
    ['metrics', () => metrics(base)],
    ['docs', async () => (values['without-docs'] ? skipped('switched off') : docs(base))],
    ['openapi', async () => (values['without-docs'] ? skipped('switched off') : openApi(base))],
    ['no token', () => refused(base, 'GET', '/api/messages/1')],
    ['no token, admin', () => refused(base, 'POST', '/admin/status')],
    ['webhook unsigned', () => refused(base, 'POST', '/webhook/evolution')],
    ['database read', async () => (token === null ? noToken() : databaseRead(base, token))],
  ];
  const site = { base, token, webhookSecret: secret('EVOLUTION_WEBHOOK_SECRET'), instance: values.instance };
  if (values['round-trip'] !== undefined) {
    const phone = digits(values['round-trip']);
    checks.push(['inbound stored', () => inboundStored(site, phone)], ['outbound queued', () => outboundQueued(site, phone)]);
  }
  if (values.answer !== undefined) {
    const phone = digits(values.answer);
    checks.push(['answered', () => answered(site, phone, seconds(values['answer-seconds']) * 1000)]);
  }

  let failures = 0;
  for (const [name, check] of checks) {
    const { ok, says } = await check().catch((error: unknown): Verdict => failed(reason(error)));
    if (ok === false) failures += 1;
    process.stdout.write(`${ok === true ? 'ok     ' : ok === false ? 'FAILED ' : 'skipped'} ${name.padEnd(17)} ${says}\n`);
  }
  process.stdout.write(failures === 0 ? 'smoke: all well\n' : `smoke: ${failures} of ${checks.length} failed\n`);
  return failures === 0 ? 0 : 1;
}

type Site = { base: string; token: string | null; webhookSecret: string | null; instance: string };

async function waitReady(base: string, milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    const answer = await ask(base, 'GET', '/ready').catch(() => null);
    if (answer?.status === 200) return;
    await delay(POLL_MS);
  }
}

async function health(base: string): Promise<Verdict> {
  const { status, json, ms } = await ask(base, 'GET', '/health');
  const good = status === 200 && json['status'] === 'healthy';
  return verdict(good, `${status} in ${ms} ms: ${String(json['service'])} ${String(json['version'])}, ${String(json['environment'])}`);
}

async function ready(base: string): Promise<Verdict> {
  const { status, json, text } = await ask(base, 'GET', '/ready');
  return verdict(status === 200 && json['ready'] === true, `${status} ${text.slice(0, 200)}`);
}

/** Degraded is well enough for a smoke test: it says what is wrong although everything answers. */
async function deepHealth(base: string): Promise<Verdict> {
  const { status, json } = await ask(base, 'GET', '/health/deep');
  const reasons = Array.isArray(json['reasons']) ? json['reasons'].join('; ') : '';
  const identity = `git ${String(json['git_sha'])}, built ${String(json['build_time'])}`;
  return verdict(status === 200, `${status} ${String(json['status'])}, ${identity}${reasons === '' ? '' : `: ${reasons}`}`);
}

async function metrics(base: string): Promise<Verdict> {
  const { status, text } = await ask(base, 'GET', '/metrics');
  const families = text.match(/^# TYPE /gm)?.length ?? 0;
  return verdict(status === 200 && text.includes('julia_mensagens_recebidas_total'), `${status}, ${families} metrics`);
}

async function docs(base: string): Promise<Verdict> {
  const { status, text } = await ask(base, 'GET', '/docs');
  return verdict(status === 200 && /<html/i.test(text), `${status}, ${text.length} bytes`);
}

async function openApi(base: string): Promise<Verdict> {
  const { status, json } = await ask(base, 'GET', '/openapi.json');
  const paths = Object.keys((json['paths'] as object | undefined) ?? {});
  return verdict(status === 200 && paths.length > 0, `${status}, ${paths.length} paths`);
}

async function refused(base: string, method: string, path: string): Promise<Verdict> {
  const { status } = await ask(base, method, path, method === 'POST' ? { body: {} } : {});
  return verdict(status === 401, `${status} from ${method} ${path}`);
}

async function databaseRead(base: string, token: string): Promise<Verdict> {
  const { status, json } = await ask(base, 'GET', '/admin/status', { bearer: token });
  const instances = Array.isArray(json['instances']) ? json['instances'].length : 0;
  return verdict(status === 200, status === 200 ? `200, ${instances} numbers known` : `${status} ${message(json)}`);
}

async function inboundStored(site: Site, phone: string): Promise<Verdict> {
  const { token } = site;
  if (token === null) return noToken();
  const id = await post(site, phone, { fromMe: true, text: `Teste de funcionamento (${new Date().toISOString()})` });
  if (id === null) return skipped('EVOLUTION_WEBHOOK_SECRET and --instance (or EVOLUTION_INSTANCE) are needed');
  const { status, json } = await ask(site.base, 'GET', `/admin/why?id=${id}`, { bearer: token });
  return verdict(status === 200, status === 200 ? `${id}: ${String(json['conclusion'])}` : `${id}: ${status} ${message(json)}`);
}

/** Its campaign is paused before it is made, and stays so; and it expires. Its claim finds the one or the other. */
async function outboundQueued(site: Site, phone: string): Promise<Verdict> {
  const { base, token: bearer } = site;
  if (bearer === null) return noToken();
  const known = await ask(base, 'GET', '/admin/status', { bearer });
  const pauses = Array.isArray(known.json['pauses']) ? (known.json['pauses'] as Record<string, unknown>[]) : [];
  if (!pauses.some(({ scope, target }) => scope === 'campaign' && target === CAMPAIGN)) {
    const body = { scope: 'campaign', target: CAMPAIGN, reason: 'teste de funcionamento' };
    const paused = await ask(base, 'POST', '/admin/pause', { bearer, body });
    if (paused.status !== 200) return failed(`the campaign ${CAMPAIGN} is not paused: ${paused.status} ${message(paused.json)}`);
  }
  const sent = await ask(base, 'POST', '/api/messages', {
    bearer,
    headers: { 'idempotency-key': `smoke-${randomUUID()}` },
    body: {
      to: phone,
      text: 'Teste de funcionamento: esta mensagem não é enviada.',
      kind: 'campaign',
      campaign_id: CAMPAIGN,
      expires_at: new Date(Date.now() + HOLD_MS).toISOString(),
      ...(site.instance === '' ? {} : { instance: site.instance }),
    },
  });
  if (sent.status !== 202) return failed(`${sent.status} ${message(sent.json)}`);
  const read = await ask(base, 'GET', `/api/messages/${String(sent.json['id'])}`, { bearer });
  const held = ['queued', 'expired', 'blocked', 'cancelled'].includes(String(read.json['status']));
  return verdict(read.status === 200 && held, `message ${String(sent.json['id'])}: ${read.status} ${String(read.json['status'])}`);
}

async function answered(site: Site, phone: string, limitMs: number): Promise<Verdict> {
  const { token } = site;
  if (token === null) return noToken();
  const started = performance.now();
  const id = await post(site, phone, { fromMe: false, text: 'Oi! Qual o horário de vocês?' });
  if (id === null) return skipped('EVOLUTION_WEBHOOK_SECRET and --instance (or EVOLUTION_INSTANCE) are needed');
  let last = 'nothing yet';
  while (performance.now() - started < limitMs) {
    const { status, json } = await ask(site.base, 'GET', `/admin/why?id=${id}`, { bearer: token });
    last = status === 200 ? String(json['conclusion']) : `${status} ${message(json)}`;
    const entries = Array.isArray(json['entries']) ? (json['entries'] as Record<string, unknown>[]) : [];
    const answers = entries.filter(({ what, direction }) => what === 'message' && direction === 'out');
    const left = answers.length > 0 && answers.every((entry) => ['sent', 'delivered', 'read'].includes(String(entry['status'])));
    if (left) return done(`in ${((performance.now() - started) / 1000).toFixed(1)} s: ${last}`);
    await delay(POLL_MS);
  }
  return failed(`not within ${limitMs / 1000} s: ${last}`);
}

/** Posts a message as Evolution would; its id at WhatsApp, or null when it is not known how to sign. */
async function post(site: Site, phone: string, said: { fromMe: boolean; text: string }): Promise<string | null> {
  if (site.webhookSecret === null || site.instance === '') return null;
  const id = `SMOKE-${randomUUID()}`;
  const body = {
    event: 'messages.upsert',
    instance: site.instance,
    data: {
      key: { id, remoteJid: `${phone}@s.whatsapp.net`, fromMe: said.fromMe },
      pushName: 'Smoke',
      message: { conversation: said.text },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
  const { status, json } = await ask(site.base, 'POST', '/webhook/evolution', { bearer: site.webhookSecret, body });
  if (status !== 200) throw new Error(`the webhook got ${status} ${message(json)}`);
  return id;
}

type Extra = { bearer?: string; headers?: Record<string, string>; body?: unknown };

async function ask(base: string, method: string, path: string, extra: Extra = {}): Promise<Answer> {
  const started = performance.now();
  const response = await fetch(`${base}${path}`, {
    method,
    // A redirect would turn Evolution's POST into a GET; here it must be seen, too.
    redirect: 'manual',
    signal: AbortSignal.timeout(REQUEST_MS),
    headers: {
      ...(extra.bearer === undefined ? {} : { authorization: `Bearer ${extra.bearer}` }),
      ...(extra.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...extra.headers,
    },
    ...(extra.body === undefined ? {} : { body: JSON.stringify(extra.body) }),
  });
  const text = await response.text();
  return { status: response.status, text, json: objectOf(text), ms: Math.round(performance.now() - started) };
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    // An object, whatever is in it.
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function message(json: Record<string, unknown>): string {
  const error = json['error'];
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : '';
}

/** The value, or what is in the file that NAME_FILE names; null when neither is set. */
function secret(name: string): string | null {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  const file = process.env[`${name}_FILE`];
  return file === undefined || file === '' ? null : readFileSync(file, 'utf8').trim();
}

/** A HS256 token as the api takes it, valid for five minutes. */
function signedToken(key: string | null): string | null {
  if (key === null) return null;
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { sub: 'smoke', role: 'admin', exp: Math.floor(Date.now() / 1000) + 300 };
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`;
}

function digits(phone: string): string {
  const found = phone.replaceAll(/\D/g, '');
  if (found.length < 12 || found.length > 15) throw new Error(`${phone} is no phone number with country and area code`);
  return found;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Error(`${text} is no number of seconds`);
  return value;
}

function verdict(good: boolean, says: string): Verdict {
  return good ? done(says) : failed(says);
}

function done(says: string): Verdict {
  return { ok: true, says };
}

function failed(says: string): Verdict {
  return { ok: false, says };
}

function skipped(says: string): Verdict {
  return { ok: 'skipped', says };
}

function noToken(): Verdict {
  return skipped('neither SMOKE_TOKEN nor JWT_SECRET_KEY is set');
}

function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error instanceof Error ? error.message : String(error)}${cause}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${reason(error)}\n`);
  process.exitCode = 2;
}
