/**
 * Environment -> Config. The only reader of `process.env`. All problems come back at once; each names its variable and says what to do,
 * and none shows a value (a RUN_MODE that is wrong and the path of a missing file are the exceptions that the manuals ask for).
 */
import { readFileSync } from 'node:fs';

import { z } from 'zod';

import { backup, retention, secrets } from './config/care.ts';
import type { Backup, Retention } from './config/care.ts';
import type { SecretKeys } from './process/secrets.ts';
import { readVariables } from './config/environment.ts';
import type { Environment, Report } from './config/environment.ts';
import * as features from './config/features.ts';
import type { Chatwoot, Claude, Evolution, Google, Meta, Slack, Speech, Voyage } from './config/features.ts';
import { http } from './config/http.ts';
import type { Http } from './config/http.ts';
import { people } from './config/people.ts';
import type { People } from './config/people.ts';
import { outbound } from './config/outbound.ts';
import type { Outbound } from './config/outbound.ts';
import { decoded, tracing } from './config/tracing.ts';
import type { Tracing } from './config/tracing.ts';
import { isLoopback } from './config/variable-types.ts';
import { QUEUE_NEEDS_SESSION, saysTransactionPooler } from './db/pooler-words.ts';
import { RUN_MODES, runs } from './process/liveness.ts';
import type { LogLevel } from './process/log-levels.ts';
import { NOT_USED, SECRET_VARIABLES } from './config/variables.ts';
import type { VariableName, Variables } from './config/variables.ts';

/** `admin` is a command on the command line: it comes from `loadConfig`'s options, never from RUN_MODE. */
export type Mode = (typeof RUN_MODES)[number] | 'admin';

/** Exact, the runbooks search for it. */
export const RUN_MODE_MISSING = 'RUN_MODE environment variable is required!';
/** Exact; the value follows after a space. */
export const RUN_MODE_INVALID = 'ERROR: Invalid RUN_MODE:';
/** Beside either of them: what it may be. */
export const RUN_MODE_HINT = `RUN_MODE is one of ${RUN_MODES.join(', ')}, in small letters`;

const JWT_SECRET_MIN_BYTES = 32;
const WEBHOOK_SECRET_MIN_CHARS = 16;
const DEFAULT_WORKER_CONCURRENCY = 200;

export type Breaker = {
  /** Failures within a minute, at least half of the calls, that open it. */
  readonly failures: number;
  /** Wait before the first probe; doubles with each failed probe up to `maxResetSeconds`. */
  readonly resetSeconds: number;
  readonly maxResetSeconds: number;
};

export type Config = {
  readonly mode: Mode;
  readonly app: {
    readonly name: string;
    /** The `service` of log lines: the app's name as a slug, and the mode. */
    readonly service: string;
    /** null: the agent names none. */
    readonly company: string | null;
    /** Address at which people reach the API, for links; without a trailing slash. */
    readonly baseUrl: string | null;
    readonly environment: string;
    readonly production: boolean;
    readonly debug: boolean;
    readonly timeZone: string;
    readonly version: string;
    readonly gitSha: string | null;
    readonly buildTime: string | null;
    readonly shutdownGraceMs: number;
  };
  readonly http: Http;
  readonly log: {
    readonly level: LogLevel;
    readonly pretty: boolean;
    /** Every configured secret, so that no log line can hold one. */
    readonly secrets: readonly string[];
  };
  /** null: no traces. */
  readonly tracing: Tracing | null;
  readonly auth: {
    /** null: no token is accepted (never in production). */
    readonly jwtSecret: string | null;
    readonly jwtSecretPrevious: string | null;
    /** A token that would be valid for longer is refused. */
    readonly maxTokenDays: number;
  };
  readonly database:
    | { readonly kind: 'postgres'; readonly url: string }
    | { readonly kind: 'supabase'; readonly url: string; readonly serviceKey: string }
    | { readonly kind: 'embedded' };
  /** The Postgres address of the owner, for migrations, backups and restores; null with supabase-js alone and with the embedded database. */
  readonly migrationsUrl: string | null;
  /** The project that the database must say it belongs to. */
  readonly supabaseProjectRef: string | null;
  /** `installation`: the name of its keys in Redis, where it is not the database's own. */
  readonly queue: { readonly kind: 'redis'; readonly url: string; readonly installation: string | null } | { readonly kind: 'postgres' };
  readonly evolution: Evolution | null;
  readonly webhook: {
    /** null: webhooks are not authenticated (never in production). */
    readonly secret: string | null;
    readonly secretPrevious: string | null;
  };
  readonly outbound: Outbound;
  readonly turn: {
    readonly debounceMs: number;
    readonly debounceMaxMs: number;
    readonly humanDelay: boolean;
    readonly maxMessageAgeMinutes: number;
    /** Parts of an answer that have not left are withdrawn when the contact writes again. */
    readonly withdrawParts: boolean;
    readonly takeoverMinutes: number;
    /** Messages of other programs through Evolution's API are a person's. */
    readonly takeoverFromApi: boolean;
  };
  readonly backup: Backup;
  /** null: no secret can be kept in the database. */
  readonly secrets: SecretKeys | null;
  readonly retention: Retention;
  readonly people: People;
  /** Turns that one worker runs at the same time. */
  readonly workerConcurrency: number;
  readonly breakers: { readonly evolution: Breaker; readonly claude: Breaker; readonly database: Breaker };
  /** What the agent may begin by itself; all false in pilot mode. */
  readonly autonomous: {
    readonly pilotMode: boolean;
  };
  /** null: inbound is stored and handed to a person. */
  readonly claude: Claude | null;
  /** null: voice notes stay unheard. */
  readonly speech: Speech | null;
  readonly voyage: Voyage | null;
  /** Private addresses, HOST:PORT, that calls to where a tenant says may reach all the same. */
  readonly allowPrivate: readonly string[];
  readonly chatwoot: Chatwoot | null;
  readonly slack: Slack | null;
  readonly google: Google | null;
  readonly meta: Meta | null;
};

export type LoadedConfig = { ok: true; config: Config; warnings: string[] } | { ok: false; problems: string[] };

/** With MULTI_CHIP_ENABLED=false one number counts; null: all that are registered. */
export function onlyInstance({ outbound, evolution }: Pick<Config, 'outbound' | 'evolution'>): string | null {
  return outbound.multiChip ? null : (evolution?.instance ?? null);
}

/** A copy of the process's environment. Nothing else in the product reads it. */
export function readEnv(): Environment {
  return { ...process.env };
}

/**
 * Builds the deep-frozen configuration. Reads files named by the environment and package.json, changes nothing, never throws on bad input.
 * With `options.mode` (command line tools) RUN_MODE is not read. A bad RUN_MODE is the first problem; the rules that depend on the mode
 * are then left out.
 */
export function loadConfig(env: Environment, options: { mode?: Mode } = {}): LoadedConfig {
  const mode = options.mode ?? modeOf(env['RUN_MODE']);
  const { values: v, report, problems, warnings } = readVariables(env);
  if (mode === null) problems.unshift(env['RUN_MODE'] ? `${RUN_MODE_INVALID} ${env['RUN_MODE']}` : RUN_MODE_MISSING);

  const environment = environmentOf(v, report);
  const production = environment === 'production';
  const evolution = features.evolution(v, report);
  const config: Config = {
    mode: mode ?? 'admin',
    app: app(v, mode ?? 'admin', environment, production, report),
    http: http(v, mode, production, report),
    log: { level: v.LOG_LEVEL, pretty: v.LOG_PRETTY, secrets: secretsOf(v) },
    tracing: tracing(v, report),
    auth: auth(v, production, report),
    database: database(v, production, report),
    migrationsUrl: ownersUrl(v) ?? null,
    supabaseProjectRef: v.SUPABASE_PROJECT_REF ?? null,
    queue: v.REDIS_URL ? { kind: 'redis', url: v.REDIS_URL, installation: v.INSTALLATION_ID ?? null } : { kind: 'postgres' },
    evolution,
    webhook: webhook(v, production, report),
    outbound: outbound(v, production, report),
    turn: turn(v, report),
    backup: backup(v, report),
    secrets: secrets(v, report),
    retention: retention(v),
    people: people(v),
    workerConcurrency: v.WORKER_CONCURRENCY ?? v.PIPELINE_MAX_CONCURRENT ?? DEFAULT_WORKER_CONCURRENCY,
    breakers: {
      evolution: breaker('EVOLUTION', v, report),
      claude: breaker('CLAUDE', v, report),
      database: breaker('DATABASE', v, report),
    },
    autonomous: autonomous(v, report),
    claude: features.claude(v, report),
    speech: features.speech(v, report),
    voyage: features.voyage(v),
    allowPrivate: v.HTTP_ALLOW_PRIVATE ?? [],
    chatwoot: features.chatwoot(v, report),
    slack: features.slack(v, report),
    google: features.google(v, report),
    meta: features.meta(v, report),
  };
  checkEvolution(evolution, mode, production, report);
  if (production) {
    refuseSamples(v, report);
    warnOfLoopback(v, report);
    if (![v.SLACK_WEBHOOK_URL, v.SLACK_BOT_TOKEN, v.GESTOR_WHATSAPP].some((each) => each !== undefined))
      report.warn(
        'SLACK_WEBHOOK_URL, GESTOR_WHATSAPP: neither is set; nobody is told of a customer who waits for a person, or of an alert',
      );
    if (v.NOME_EMPRESA === undefined) report.warn('NOME_EMPRESA: not set; the agent names no company');
  }
  for (const [name, why] of NOT_USED) if (report.isSet(name)) report.warn(`${name}: ${why}`);
  return problems.length > 0 ? { ok: false, problems } : { ok: true, config: deepFreeze(config), warnings };
}

const MIGRATION_VARIABLES = ['MIGRATE_DATABASE_URL', 'DATABASE_URL', 'SUPABASE_DB_URL', 'REDIS_URL'] as const;

/**
 * What `npm run migrate` needs: the address of the owner of the tables, and whether the queue lives there too. Nothing else is read, so that it
 * runs in production where no other variable is set, or is wrong.
 */
export function migrationTarget(env: Environment): { ok: true; url: string; queue: boolean } | { ok: false; problems: string[] } {
  const names = MIGRATION_VARIABLES.flatMap((name) => [name, `${name}_FILE`]);
  const { values: v, problems } = readVariables(Object.fromEntries(names.map((name) => [name, env[name]])));
  const url = ownersUrl(v);
  if (problems.length === 0 && url === undefined)
    problems.push('DATABASE_URL (or SUPABASE_DB_URL): must be set to the Postgres to migrate');
  return problems.length > 0 || url === undefined ? { ok: false, problems } : { ok: true, url, queue: v.REDIS_URL === undefined };
}

function ownersUrl(v: Variables): string | undefined {
  return v.MIGRATE_DATABASE_URL ?? v.DATABASE_URL ?? v.SUPABASE_DB_URL;
}

function modeOf(raw: string | undefined): Mode | null {
  return RUN_MODES.find((mode) => mode === raw) ?? null;
}

function environmentOf(v: Variables, report: Report): string {
  if (v.ENVIRONMENT && v.APP_ENV && v.ENVIRONMENT !== v.APP_ENV) {
    report.problem('ENVIRONMENT, APP_ENV: must say the same; set one of them, the other follows');
  }
  const environment = v.ENVIRONMENT ?? v.APP_ENV ?? 'development';
  if (environment !== 'production' && /^(?:prod|prd|live)/.test(environment)) {
    report.warn('ENVIRONMENT: is not exactly "production", so this is a test environment and OUTBOUND_ALLOWLIST is in force');
  }
  return environment;
}

function app(v: Variables, mode: Mode, environment: string, production: boolean, report: Report): Config['app'] {
  if (v.DEBUG && production) report.problem('DEBUG: must be false in production; it shows internals to callers');
  return {
    name: v.APP_NAME,
    service: `${slug(v.APP_NAME)}-${mode}`,
    company: v.NOME_EMPRESA ?? null,
    baseUrl: v.APP_BASE_URL ?? null,
    environment,
    production,
    debug: v.DEBUG,
    timeZone: v.TZ,
    version: packageVersion(),
    gitSha: v.GIT_SHA ?? v.RAILWAY_GIT_COMMIT_SHA ?? null,
    buildTime: v.BUILD_TIME ?? null,
    shutdownGraceMs: v.SHUTDOWN_GRACE_MS,
  };
}

function slug(name: string): string {
  const ascii = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return ascii.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'whats-agents';
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}

/** Secrets in addresses (a database's password) count too: as they are and as they are once decoded. */
function secretsOf(v: Variables): string[] {
  const found = new Set<string>();
  // A header's value is the secret, its name is not.
  for (const [, value = ''] of (v.OTEL_EXPORTER_OTLP_HEADERS ?? '').matchAll(/=([^,]{8,})/g)) found.add(value).add(decoded(value));
  for (const name of SECRET_VARIABLES) {
    const value = v[name];
    if (value === undefined) continue;
    found.add(value);
    if (!URL.canParse(value)) continue;
    const { password } = new URL(value);
    if (password !== '') found.add(password).add(decoded(password));
  }
  return [...found];
}

function auth(v: Variables, production: boolean, report: Report): Config['auth'] {
  if (production) mustBeSet(['JWT_SECRET_KEY'], 'in production; make one with `openssl rand -hex 32`', report);
  for (const name of ['JWT_SECRET_KEY', 'JWT_SECRET_KEY_PREVIOUS'] as const) {
    const value = v[name];
    if (production && value !== undefined && Buffer.byteLength(value) < JWT_SECRET_MIN_BYTES) {
      report.problem(`${name}: must have at least ${JWT_SECRET_MIN_BYTES} bytes in production; make one with \`openssl rand -hex 32\``);
    }
  }
  requireCurrent('JWT_SECRET_KEY', 'JWT_SECRET_KEY_PREVIOUS', production, report);
  return { jwtSecret: v.JWT_SECRET_KEY ?? null, jwtSecretPrevious: v.JWT_SECRET_KEY_PREVIOUS ?? null, maxTokenDays: v.TOKEN_MAX_DAYS };
}

function database(v: Variables, production: boolean, report: Report): Config['database'] {
  report.together(['SUPABASE_URL', 'SUPABASE_SERVICE_KEY']);
  if (v.DATABASE_URL) {
    if (saysTransactionPooler(v.DATABASE_URL) && !report.isSet('REDIS_URL')) report.problem(QUEUE_NEEDS_SESSION);
    return { kind: 'postgres', url: v.DATABASE_URL };
  }
  if (v.SUPABASE_URL && v.SUPABASE_SERVICE_KEY) {
    mustBeSet(['REDIS_URL'], 'when the database is reached through SUPABASE_URL alone; or set DATABASE_URL', report);
    return { kind: 'supabase', url: v.SUPABASE_URL, serviceKey: v.SUPABASE_SERVICE_KEY };
  }
  const asked = (['DATABASE_URL', 'SUPABASE_URL', 'SUPABASE_SERVICE_KEY'] as const).some((name) => report.isSet(name));
  if (production && !asked)
    report.problem(
      'DATABASE_URL: must be set in production, or SUPABASE_URL and SUPABASE_SERVICE_KEY; there is no embedded database there',
    );
  return { kind: 'embedded' };
}

function webhook(v: Variables, production: boolean, report: Report): Config['webhook'] {
  if (production) mustBeSet(['EVOLUTION_WEBHOOK_SECRET'], 'in production; make one with `openssl rand -hex 32`', report);
  for (const name of ['EVOLUTION_WEBHOOK_SECRET', 'EVOLUTION_WEBHOOK_SECRET_PREVIOUS'] as const) {
    const value = v[name];
    if (production && value !== undefined && value.length < WEBHOOK_SECRET_MIN_CHARS) {
      report.problem(`${name}: must have at least ${WEBHOOK_SECRET_MIN_CHARS} characters in production`);
    }
  }
  requireCurrent('EVOLUTION_WEBHOOK_SECRET', 'EVOLUTION_WEBHOOK_SECRET_PREVIOUS', production, report);
  return { secret: v.EVOLUTION_WEBHOOK_SECRET ?? null, secretPrevious: v.EVOLUTION_WEBHOOK_SECRET_PREVIOUS ?? null };
}

function turn(v: Variables, report: Report): Config['turn'] {
  if (v.DEBOUNCE_MAX_MS < v.DEBOUNCE_MS) report.problem('DEBOUNCE_MAX_MS: must not be less than DEBOUNCE_MS');
  return {
    debounceMs: v.DEBOUNCE_MS,
    debounceMaxMs: v.DEBOUNCE_MAX_MS,
    humanDelay: v.HUMAN_DELAY,
    maxMessageAgeMinutes: v.MAX_MESSAGE_AGE_MINUTES,
    withdrawParts: v.WITHDRAW_UNSENT_PARTS,
    takeoverMinutes: v.TAKEOVER_MINUTES,
    takeoverFromApi: v.TAKEOVER_FROM_API,
  };
}

function breaker(prefix: 'EVOLUTION' | 'CLAUDE' | 'DATABASE', v: Variables, report: Report): Breaker {
  const resetSeconds = v[`${prefix}_BREAKER_RESET_SECONDS`];
  const maxResetSeconds = v[`${prefix}_BREAKER_MAX_RESET_SECONDS`];
  if (maxResetSeconds < resetSeconds) {
    report.problem(`${prefix}_BREAKER_MAX_RESET_SECONDS: must not be less than ${prefix}_BREAKER_RESET_SECONDS`);
  }
  return { failures: v[`${prefix}_BREAKER_FAILURES`], resetSeconds, maxResetSeconds };
}

const SWITCHES = [
  'DISCOVERY_AUTOMATICO_ENABLED',
  'OFERTA_AUTOMATICA_ENABLED',
  'REATIVACAO_AUTOMATICA_ENABLED',
  'FEEDBACK_AUTOMATICO_ENABLED',
] as const;

function autonomous(v: Variables, report: Report): Config['autonomous'] {
  for (const name of SWITCHES)
    if (v[name])
      report.warn(`${name}: is not taken over from the older image and switches nothing on (campaigns, follow-up set, directive add)`);
  return { pilotMode: v.PILOT_MODE };
}

function checkEvolution(evolution: Evolution | null, mode: Mode | null, production: boolean, report: Report): void {
  if (evolution !== null || mode === null || !(runs(mode, 'api') || runs(mode, 'worker'))) return;
  const names = ['EVOLUTION_API_URL', 'EVOLUTION_API_KEY', 'EVOLUTION_INSTANCE'] as const;
  if (names.some((name) => report.isSet(name))) return; // half a set, or a bad value: told already
  if (production) mustBeSet(names, 'in production', report);
  else report.warn('EVOLUTION_API_URL, EVOLUTION_API_KEY, EVOLUTION_INSTANCE: not set; nothing can be sent to WhatsApp');
}

/** The secrets of .env.example are long enough to pass every other rule, and public. */
function refuseSamples(v: Variables, report: Report): void {
  for (const name of SECRET_VARIABLES)
    if (v[name]?.includes('change-me')) report.problem(`${name}: still has the sample value of .env.example`);
}

/** No default leads to this machine. An address that was set to do so may be meant, on one machine without containers, so it only warns. */
function warnOfLoopback(v: Variables, report: Report): void {
  const addresses = [
    'DATABASE_URL',
    'SUPABASE_URL',
    'REDIS_URL',
    'EVOLUTION_API_URL',
    'ANTHROPIC_BASE_URL',
    'CHATWOOT_URL',
    'APP_BASE_URL',
  ] as const;
  for (const name of addresses) {
    const address = v[name];
    if (address !== undefined && isLoopback(address))
      report.warn(`${name}: leads to this machine; in a container that is the container itself`);
  }
}

function mustBeSet(names: readonly VariableName[], when: string, report: Report): void {
  const missing = names.filter((name) => !report.isSet(name));
  if (missing.length > 0) report.problem(`${missing.join(', ')}: must be set ${when}`);
}

/** In production a missing current secret is a problem already. */
function requireCurrent(current: VariableName, previous: VariableName, production: boolean, report: Report): void {
  if (!production && report.isSet(previous) && !report.isSet(current))
    report.problem(`${current}: must be set too when ${previous} is set`);
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
