/**
 * The whole product on this machine: a Postgres of its own, api, worker and scheduler as the processes that production runs, and
 * the simulator in place of WhatsApp (and of Claude, when there is no ANTHROPIC_API_KEY). `./scripts/dev` starts it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';

import { SignJWT } from 'jose';

import { randomPassword } from '../src/people/passwords.ts';
import { MODES } from '../src/process/liveness.ts';
import { defaultAgent } from '../src/turns/default-agent.ts';
import { CONSOLE_USER, ensureConsoleUser } from './lib/console-user.ts';
import { removePostgresData, startPostgres } from './lib/embedded-postgres.ts';
import { startGuarded } from './lib/guarded-process.ts';
import type { GuardedProcess, Log } from './lib/guarded-process.ts';
import { installationEnvironment, startMode, untilAnswers } from './lib/installation.ts';
import type { Mode } from './lib/installation.ts';
import { lockHolder, releaseLock, takeLock } from './lib/lock.ts';
import { portNear } from './lib/ports.ts';
import { withProgress } from './lib/progress.ts';
import { supervise } from './lib/supervise.ts';
import { answering, SAMPLE_COMPANY, teach } from './lib/teach.ts';
import type { Who } from './lib/teach.ts';
import { dataDirectory, projectRoot } from './lib/tools.ts';

const HELP = `Usage: ./scripts/dev [--reset] [--port N] [--simulator-port N]

Starts an embedded Postgres, applies the migrations, starts api, worker, scheduler and the simulator, and prints what to
open. Ctrl-C stops everything. Data is kept in .data/dev, and what another terminal needs for the admin commands in
.data/dev/env.

  --reset             first delete the data of earlier runs
  --port N            the API's port (default 8000; the next free one when taken). Worker and scheduler take the ones after it
  --simulator-port N  the simulator's port (default 4010, likewise)
  --help              this text

With ANTHROPIC_API_KEY in the environment the real Claude answers, else the simulator's persona. With REDIS_URL the queue
lives in that Redis, else in Postgres. Other variables of .env.example reach the processes too, but for those that name a
real WhatsApp or a real database.

At the first start in a terminal it asks whose agent it is; without an answer that of the sample shop (samples/) answers. Jobs that
did what they had to are not shown here: npm run admin -- job list.
`;

const DIRECTORY = path.join(dataDirectory, 'dev');
const POSTGRES = path.join(DIRECTORY, 'postgres');
const LOCK = path.join(DIRECTORY, 'pid');
const ADDRESSES = path.join(DIRECTORY, 'addresses.json');
const SHELL = path.join(DIRECTORY, 'env');
const INSTANCE = 'julia-dev';
/** the simulator's own default */
const EVOLUTION_API_KEY = 'simulator-key';

type Name = 'postgres' | 'migrate' | 'simulator' | Mode | 'dev';
type Ports = Record<'postgres' | 'simulator' | Mode, number>;
type Secrets = { webhook: string; jwt: string; console: string };
type Addresses = { chat: string; console?: string; health: string };

/** Why everything is to stop: a person wants it, or something is wrong. */
class Stop extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', short: 'h' },
      reset: { type: 'boolean' },
      port: { type: 'string', default: '8000' },
      'simulator-port': { type: 'string', default: '4010' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const wished = { api: parsePort(values.port), simulator: parsePort(values['simulator-port']) };

  await mkdir(DIRECTORY, { recursive: true });
  if (!(await takeLock(LOCK))) return tellRunning();
  const stop = stopOnSignals();
  try {
    if (values.reset) await reset();
    await runAll(wished, await asked(stop.signal), stop);
    return 0;
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    if (error.message !== '') say('dev', error.message);
    return error.exitCode;
  } finally {
    await releaseLock(LOCK);
  }
}

/** Runs until `stop` is aborted, then throws its reason. Whatever was started by then is stopped first, the newest first. */
async function runAll(wished: { api: number; simulator: number }, who: Who, stop: AbortController): Promise<void> {
  const started = performance.now();
  const ports = await choosePorts(wished);
  const secrets = await readSecrets();
  await using stack = new AsyncDisposableStack();

  const postgresLog: string[] = [];
  const postgres = await withProgress(
    'starting Postgres',
    () => startPostgres({ dataDir: POSTGRES, port: ports.postgres, log: (line) => postgresLog.push(line) }),
    (line) => say('postgres', line),
  );
  stack.defer(() => postgres.stop());
  void postgres.exited().then(() => stop.abort(new Stop(`Postgres ended:\n${postgresLog.slice(-20).join('\n')}`, 1)));
  const own = ownEnvironment({ ports, secrets, databaseUrl: postgres.urlOf('postgres') });
  await writeForShell(own);
  const environment = { ...callersEnvironment(), ...own, HEALTH_DETAILS: 'public', LOG_PRETTY: 'true' }; // only this machine reaches it

  await migrate(environment, stop.signal);
  await ensureConsoleUser(postgres.urlOf('postgres'), secrets.console);
  const { DATABASE_URL: databaseUrl = '' } = own;
  const taught = await teach(databaseUrl, who, {
    origin: `http://127.0.0.1:${ports.simulator}`,
    secrets: { current: secretsKey(secrets), previous: null },
  });
  if (taught !== null) say('dev', taught);
  const token = await operatorToken(secrets.jwt);

  const simulator = ['simulator/main.ts', '--port', String(ports.simulator), '--instance', INSTANCE];
  const { name, company } = await answering(databaseUrl);
  const product = ['--product', `http://127.0.0.1:${ports.api}`, '--agent', name, '--company', company];
  const webhook = ['--webhook', `http://127.0.0.1:${ports.api}/webhook/evolution`, '--secret', secrets.webhook];
  await launch('simulator', (log) => startNode([...simulator, ...webhook, ...product], { ...environment, PRODUCT_TOKEN: token }, log), {
    stop,
    stack,
  });
  // The scheduler first and the API last, so that stopping, which goes the other way, closes the front door first.
  for (const mode of [...MODES].reverse()) {
    const command = [process.execPath, '--import', './src/telemetry.ts', 'src/main.ts'];
    await launch(mode, (log) => startMode(mode, environment, { port: ports[mode], command, log }), { stop, stack });
  }

  await untilReady('simulator', `http://127.0.0.1:${ports.simulator}/sim/state`, stop.signal);
  for (const mode of MODES) await untilReady(mode, `http://127.0.0.1:${ports[mode]}/ready`, stop.signal);

  await tellAddresses(ports, secrets, Math.round((performance.now() - started) / 100) / 10);
  await aborted(stop.signal);
}

/** At the first start, who sits at the terminal says for whom the agent speaks; NOME_EMPRESA of the shell says it without being asked. */
async function asked(signal: AbortSignal): Promise<Who> {
  const known = process.env['NOME_EMPRESA'];
  if (known !== undefined && known !== '') return { company: known, name: defaultAgent.name };
  const isFirst = !existsSync(POSTGRES);
  if (!isFirst || !process.stdin.isTTY || !process.stdout.isTTY) return null;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const company = (
      await terminal.question(`Whose agent is it? Your company's name (Enter: ${SAMPLE_COMPANY}, the sample shop): `, { signal })
    ).trim();
    if (company === '') return null;
    const name = (await terminal.question(`What is it called? (Enter: ${defaultAgent.name}): `, { signal })).trim();
    return { company, name: name === '' ? defaultAgent.name : name };
  } catch (error) {
    if (signal.aborted) throw signal.reason as Stop; // a Stop, always
    throw error;
  } finally {
    terminal.close();
  }
}

/** The first signal stops in order, the second ends this process at once; the guards then take the others down. */
function stopOnSignals(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(130);
      say('dev', 'stopping (once more to stop at once) ...');
      stop.abort(new Stop('', 0));
    });
  }
  return stop;
}

async function tellRunning(): Promise<number> {
  const pid = await lockHolder(LOCK);
  const addresses = await readAddresses();
  process.stderr.write(`./scripts/dev already runs in this directory (pid ${pid ?? 'unknown'}).\n`);
  if (addresses !== null)
    process.stderr.write(`  chat page  ${addresses.chat}\n  console    ${addresses.console ?? ''}\n  health     ${addresses.health}\n`);
  process.stderr.write(`Stop it with Ctrl-C where it runs, or with: kill ${pid ?? ''}\n`);
  return 1;
}

async function reset(): Promise<void> {
  await removePostgresData(POSTGRES);
  say('dev', 'deleted the data of earlier runs');
}

async function choosePorts(wished: { api: number; simulator: number }): Promise<Ports> {
  const taken = new Set<number>();
  async function choose(name: Name, port: number): Promise<number> {
    const chosen = await portNear(port, taken);
    taken.add(chosen);
    if (chosen !== port && !taken.has(port)) say('dev', `port ${port} is taken: ${name} uses ${chosen}`);
    return chosen;
  }
  const api = await choose('api', wished.api);
  return {
    api,
    worker: await choose('worker', api + 1),
    scheduler: await choose('scheduler', api + 2),
    simulator: await choose('simulator', wished.simulator),
    postgres: await choose('postgres', 54_329),
  };
}

/** Random, made once: tokens and links stay valid over restarts. */
async function readSecrets(): Promise<Secrets> {
  const file = path.join(DIRECTORY, 'secrets.json');
  try {
    const found: Secrets = JSON.parse(await readFile(file, 'utf8'));
    // of an earlier version
    if (typeof found.console !== 'string') throw new Error('no password of the console');
    return found;
  } catch {
    const made: Secrets = { webhook: randomBytes(32).toString('hex'), jwt: randomBytes(32).toString('hex'), console: randomPassword() };
    await writeFile(file, JSON.stringify(made), { mode: 0o600 });
    return made;
  }
}

/** What this machine has for the processes; it wins over the caller's. The real Claude is reached with the caller's key. */
function ownEnvironment({ ports, secrets, databaseUrl }: { ports: Ports; secrets: Secrets; databaseUrl: string }): Record<string, string> {
  const simulator = { url: `http://127.0.0.1:${ports.simulator}`, apiKey: EVOLUTION_API_KEY };
  // a REDIS_URL comes from the caller
  const all = installationEnvironment({ environment: 'development', databaseUrl, redisUrl: null, simulator, instance: INSTANCE });
  const { ANTHROPIC_API_KEY: _key, ANTHROPIC_BASE_URL: _url, ...rest } = all;
  return {
    ...(realClaude() ? rest : all),
    // the caller's own service hears what is really said
    ...(process.env['STT_BASE_URL'] === undefined ? { STT_BASE_URL: `${simulator.url}/speech`, STT_API_KEY: 'stt-simulator' } : {}),
    APP_BASE_URL: `http://127.0.0.1:${ports.api}`,
    // The simulator's Slack, so that a handoff reaches somebody; a channel of the caller's wins.
    ...(hasChannel() ? {} : { SLACK_WEBHOOK_URL: `${simulator.url}/slack/hook` }),
    EVOLUTION_WEBHOOK_SECRET: secrets.webhook,
    JWT_SECRET_KEY: secrets.jwt,
    SECRETS_KEY: secretsKey(secrets),
    // the simulator's order service
    HTTP_ALLOW_PRIVATE: `127.0.0.1:${ports.simulator}`,
  };
}

/** Seals what is kept in this machine's database. */
function secretsKey({ jwt }: Secrets): string {
  return createHash('sha256').update(`secrets of ${jwt}`).digest('hex');
}

/** The caller's, without what names a real WhatsApp, a real database or production: a shell that was set up for it cannot send to real people from here. */
function callersEnvironment(): NodeJS.ProcessEnv {
  const real = /^(SUPABASE_|DATABASE_URL|EVOLUTION_|META_|JWT_SECRET|APP_ENV$|RUN_MODE$|PORT$|OPS_PORT$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !real.test(name)));
}

/** What a second terminal needs for the admin commands and for the lines of the runbook; never a key out of the caller's shell. */
async function writeForShell(own: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(own).map(([name, value]) => `export ${name}='${value}'\n`);
  await writeFile(SHELL, lines.join(''), { mode: 0o600 });
}

function realClaude(): boolean {
  return (process.env['ANTHROPIC_API_KEY'] ?? '') !== '' || (process.env['ANTHROPIC_API_KEY_FILE'] ?? '') !== '';
}

function hasChannel(): boolean {
  return ['SLACK_WEBHOOK_URL', 'SLACK_BOT_TOKEN', 'GESTOR_WHATSAPP'].some((name) => (process.env[name] ?? '') !== '');
}

async function migrate(environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
  const run = await startNode(['src/migrate.ts'], environment, (line) => say('migrate', line));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => run.stop());
  const code = await Promise.race([run.exited, aborted(signal)]);
  if (code !== 0) throw new Stop('The migrations failed (see above). --reset starts with an empty database.', 1);
}

type Running = { stop: AbortController; stack: AsyncDisposableStack };

async function launch(name: Name, start: (log: Log) => Promise<GuardedProcess>, { stop, stack }: Running): Promise<void> {
  const program = await supervise({
    start,
    log: (line) => say(name, line),
    onHopeless: (lastLines) => stop.abort(new Stop(`${name} does not start. Its last lines:\n${lastLines.join('\n')}`, 1)),
  });
  stack.defer(() => program.stop());
}

function startNode(args: readonly string[], env: NodeJS.ProcessEnv, log: Log): Promise<GuardedProcess> {
  return startGuarded(process.execPath, args, { stopSignal: 'TERM', env, cwd: projectRoot, log });
}

async function untilReady(name: Name, url: string, signal: AbortSignal): Promise<void> {
  await withProgress(
    `waiting for ${name}`,
    () => untilAnswers(url, { signal }),
    (line) => say('dev', line),
  ).catch((error: Error) => {
    throw error instanceof Stop ? error : new Stop(`${name} is not ready: ${error.message}`, 1);
  });
}

/** With it the chat page asks who answers in a conversation, and gives it back. */
function operatorToken(secret: string): Promise<string> {
  const claims = { role: 'operator', tenant: 'default' };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('chat-page')
    .setExpirationTime('30d')
    .sign(Buffer.from(secret));
}

/** Never resolves; rejects with the reason once aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    // a Stop, always
    const fail = () => reject(signal.reason as Stop);
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail, { once: true });
  });
}

async function tellAddresses(ports: Ports, secrets: Secrets, seconds: number): Promise<void> {
  const api = `http://127.0.0.1:${ports.api}`;
  const addresses: Addresses = {
    chat: `http://127.0.0.1:${ports.simulator}/chat`,
    console: `${api}/console`,
    health: `${api}/health/deep`,
  };
  await writeFile(ADDRESSES, JSON.stringify(addresses));
  const lines = [
    `Ready in ${seconds} s. Ctrl-C stops everything.`,
    '',
    `Chat page   ${addresses.chat}   <- write here as a contact`,
    `Console     ${api}/console   <- work here as the team: ${CONSOLE_USER}, password ${secrets.console}`,
    `Health      ${addresses.health}`,
    `API         ${api}/docs`,
    `Commands    . .data/dev/env && npm run admin -- status   (in another terminal; psql "$DATABASE_URL" too)`,
    `Claude      ${realClaude() ? 'the real one (ANTHROPIC_API_KEY is set)' : "the simulator's persona (set ANTHROPIC_API_KEY for the real one)"}`,
  ];
  const width = Math.max(...lines.map((line) => line.length));
  const rule = '─'.repeat(width + 2);
  process.stdout.write(`\n┌${rule}┐\n${lines.map((line) => `│ ${line.padEnd(width)} │\n`).join('')}└${rule}┘\n\n`);
}

async function readAddresses(): Promise<Addresses | null> {
  try {
    const found: Addresses = JSON.parse(await readFile(ADDRESSES, 'utf8'));
    return found;
  } catch {
    // it is still starting
    return null;
  }
}

const COLORS: Record<Name, number> = { dev: 1, postgres: 35, migrate: 35, simulator: 36, api: 32, worker: 33, scheduler: 34 };

/** Every minute they say that there was nothing to do; `job list` has them. What failed is shown. */
const QUIET = /\bINFO: Job executed: .*"outcome":"(?:done|skipped)"/;

function say(name: Name, text: string): void {
  if (name === 'scheduler' && QUIET.test(text)) return;
  const prefix = name.padEnd(9);
  const shown = process.stdout.isTTY ? `\u001B[${COLORS[name]}m${prefix}\u001B[0m` : prefix;
  process.stdout.write(
    text
      .split('\n')
      .map((line) => `${shown} | ${line}\n`)
      .join(''),
  );
}

function parsePort(value: string): number {
  const port = Number(value);
  if (Number.isInteger(port) && port > 0 && port < 65_530) return port;
  throw new Stop(`${value} is no port`, 2);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = 2;
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
}
