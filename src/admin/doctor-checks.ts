/**
 * What the command `doctor` checks. Every check is bounded in time and they run at once; none changes anything or tells a secret.
 */
import { statfs } from 'node:fs/promises';
import type { Config } from '../config.ts';
import { loadConfig } from '../config.ts';
import type { Environment } from '../config/environment.ts';
import { openAdminContext } from '../context.ts';
import { libraryFault, releaseFault } from '../whatsapp/release.ts';
import {
  failed,
  fine,
  judgeClock,
  judgeDisk,
  judgeModel,
  judgeMedia,
  judgePeople,
  judgePrefix,
  judgeProcesses,
  judgeRights,
  skipped,
  warning,
} from '../watch/diagnosis.ts';
import type { Finding } from '../watch/diagnosis.ts';
import { shortPrefixes } from '../turns/prefix.ts';
import { numberInWords } from '../watch/health-words.ts';
import type { HealthRows } from '../watch/health-words.ts';
import { GONE_SECONDS, MODES, RUN_MODES, runs } from '../process/liveness.ts';
import { closedMend, closedReason } from '../numbers/trouble-words.ts';
import { isCuredByRestart } from '../whatsapp/send-fault.ts';
import { alertSnapshot } from '../watch/alert-calls.ts';
import type { AlertRows } from '../watch/alert-calls.ts';
import { DatabaseAway, DatabaseRefused } from '../db/failures.ts';
import { migrationNames } from '../db/migrate.ts';
import { healthSnapshot } from '../watch/health-calls.ts';
import { listKnowledge } from '../knowledge/calls.ts';
import { lacksOf } from './agents.ts';
import { hasPrice } from '../claude/prices.ts';
import { listAgents } from '../turns/agent-calls.ts';
import { faultsOf } from '../turns/agent-words.ts';
import { listInstances } from '../numbers/calls.ts';
import { schemaVersion, sessionRights } from '../db/server-calls.ts';
import { toError } from '../process/errors.ts';
import { lookLive } from './doctor-live.ts';
import { createLogger } from '../process/log.ts';
import { within } from '../process/wait.ts';
import { webhookFaultsOf } from '../numbers/webhook-check.ts';

/** A check that takes longer has failed. Milliseconds. */
const CHECK_MS = 8_000;
/** A real call of the model may take its time. Milliseconds. */
const LIVE_MS = 35_000;

type Found = Omit<Finding, 'check'>;
type Tools = Awaited<ReturnType<typeof openAdminContext>>;

/** `live`: with one real call of the model and one of each service, see doctor-live.ts. */
export async function examine(env: Environment, { live = false }: { live?: boolean } = {}): Promise<Finding[]> {
  const loaded = loadConfig(env, { mode: 'admin' });
  const variables = checkVariables(env);
  if (!loaded.ok) return named('variables', variables);
  const { config } = loaded;
  const log = createLogger({
    level: 'CRITICAL',
    service: config.app.service,
    pretty: false,
    secrets: config.log.secrets,
    destination: process.stderr,
  });
  const apart = [check('claude', () => checkClaude(config)), check('disk', checkDisk), check('clock', () => checkEvolutionClock(config))];
  const liveWithout = async () => (live ? check('live', () => lookLive(config, null), LIVE_MS) : []);
  if (config.database.kind === 'embedded') {
    const none = skipped('DATABASE_URL is not set: ./scripts/dev brings its own database, and shows its address');
    const evolution = config.evolution === null ? named('evolution', [EVOLUTION_NOT_SET]) : [];
    return [
      ...named('variables', variables),
      ...named('database', [none]),
      ...evolution,
      ...(await Promise.all([...apart, liveWithout()])).flat(),
    ];
  }
  try {
    await using tools = await openAdminContext(config, log);
    // Asked once: a database that is slow is not asked the same three times.
    let asked: Promise<AlertRows> | null = null;
    const rows = (): Promise<AlertRows> => (asked ??= alertSnapshot(tools.db, false));
    const about = await Promise.all([
      check('database', () => checkDatabase(tools)),
      check('schema', () => checkSchema(tools)),
      check('rights', () => checkRights(tools)),
      check('queue', () => checkQueue(tools)),
      check('processes', () => checkProcesses(tools)),
      check('evolution', () => checkEvolution(tools, rows)),
      check('gateway', () => checkGateway(tools)),
      check('webhook', () => checkWebhooks(tools)),
      ...apart,
      check('clock', () => checkDatabaseClock(tools)),
      check('claude', () => checkWaiting(rows)),
      check('claude', () => checkPrefixes(tools)),
      check('media', () => checkMedia(tools, rows)),
      check('people', () => checkPeople(tools, rows)),
      check('switches', () => checkSwitches(tools)),
      check('agents', () => checkAgents(tools)),
      ...(live ? [check('live', () => lookLive(config, tools), LIVE_MS)] : []),
    ]);
    return [...named('variables', variables), ...about.flat()];
  } catch (error) {
    // The one thing that opening asks the database.
    return [
      ...named('variables', variables),
      ...named('database', [databaseTrouble(config, toError(error))]),
      ...(await Promise.all([...apart, liveWithout()])).flat(),
    ];
  }
}

/** Contract: never throws. What a check throws is a finding: it is what does not work. */
async function check(name: Finding['check'], work: () => Promise<Found[]>, limitMs = CHECK_MS): Promise<Finding[]> {
  try {
    return named(name, await within(limitMs, work()));
  } catch (error) {
    const away =
      name === 'database' ? 'is the database running, and is DATABASE_URL right?' : 'mend the database first, then run doctor again';
    return named(name, [
      name === 'database' ? failed(toError(error).message, away) : skipped(`could not be checked: ${toError(error).message}; ${away}`),
    ]);
  }
}

/** What is found twice (both models, one address) is told once. */
function named(check: Finding['check'], found: Found[]): Finding[] {
  return [...new Map(found.map((each) => [each.says, { check, ...each }])).values()];
}

/** As each mode would read them: what one of them refuses is told once. */
function checkVariables(env: Environment): Found[] {
  const all = RUN_MODES.map((mode) => loadConfig({ ...env, RUN_MODE: mode }));
  const problems = new Set(all.flatMap((each) => (each.ok ? [] : each.problems)));
  const warnings = new Set(all.flatMap((each) => (each.ok ? each.warnings : [])));
  const where = 'correct it in .env (or where your host keeps variables) and restart; docs/configuration.md lists all of them';
  const found = [...[...problems].map((each) => failed(each, where)), ...[...warnings].map((each) => warning(each, where))];
  return found.length === 0 ? [fine('all that are set are right, and nothing that is needed is missing')] : found;
}

function databaseTrouble(config: Config, error: Error): Found {
  // The product refuses it too, and says so in these words.
  if (error.message.startsWith('SUPABASE_PROJECT_REF'))
    return failed(error.message, 'set SUPABASE_PROJECT_REF to the project of this database, or correct the address of the database');
  const variable = config.database.kind === 'supabase' ? 'SUPABASE_URL, SUPABASE_SERVICE_KEY' : 'DATABASE_URL';
  return failed(
    `${variable}: ${error.message}`,
    'is the database running, and are address and password right? psql "$DATABASE_URL" -c "select 1"',
  );
}

async function checkDatabase({ db, config }: Tools): Promise<Found[]> {
  try {
    await schemaVersion(db);
    return [fine('it answers')];
  } catch (error) {
    // It answers, without our functions: the next check says so.
    if (error instanceof DatabaseRefused) return [fine('it answers')];
    return [databaseTrouble(config, toError(error))];
  }
}

async function checkSchema({ db }: Tools): Promise<Found[]> {
  const needed = (await migrationNames()).at(-1)?.split('_')[0] ?? '';
  const there = await schemaVersion(db).catch((error: unknown) => {
    if (error instanceof DatabaseRefused) return null;
    throw error;
  });
  if (there === null) return [failed('the tables of this product are not there', 'npm run migrate')];
  if (there < needed) return [failed(`it is at ${there}, this version needs ${needed}`, 'npm run migrate')];
  if (there > needed) return [warning(`it is at ${there}, newer than this version (${needed})`, 'run the newer version of the image')];
  return [fine(`it is at ${there}, as this version needs`)];
}

async function checkRights({ db, config }: Tools): Promise<Found[]> {
  return [judgeRights(await sessionRights(db), config.app.production)];
}

/** A database that answers, and lacks the tables. Anything else is the database itself. */
const NO_TABLES = /does not exist|permission denied|no schema has been selected/i;

async function checkQueue({ queues, config }: Tools): Promise<Found[]> {
  try {
    await queues.ping();
    const installation = await queues.installation();
    return [
      fine(
        installation === null
          ? 'it lives in the database, which has its tables'
          : `Redis answers; this is the installation ${installation}`,
      ),
    ];
  } catch (error) {
    const { message } = toError(error);
    if (config.queue.kind === 'redis' && error instanceof DatabaseAway)
      return [skipped(`Redis is asked in the name of the installation, which the database has not told (${message}); mend that first`)];
    if (config.queue.kind === 'postgres')
      return [
        NO_TABLES.test(message)
          ? failed(`the tables of the queue do not answer: ${message}`, 'npm run migrate')
          : skipped(`it lives in the database, which does not answer (${message}); mend that first`),
      ];
    return [
      failed(
        `REDIS_URL: Redis does not answer: ${message}`,
        'docker compose -f docker-compose.prod.yml up -d redis; redis-cli -u "$REDIS_URL" ping',
      ),
    ];
  }
}

async function checkProcesses({ db }: Tools): Promise<Found[]> {
  const { processes } = await healthSnapshot(db);
  const seen: Record<string, number> = {};
  for (const mode of MODES) {
    for (const { mode: as, seen_seconds: age } of processes) if (runs(as, mode)) seen[mode] = Math.min(seen[mode] ?? Infinity, age);
  }
  return [judgeProcesses(seen, GONE_SECONDS)];
}

/** The numbers of the database, and the one of the environment when it is not among them yet. */
async function numbersOf({ db, config }: Tools): Promise<string[]> {
  const stored = (await listInstances(db)).map((each) => each.name);
  return [...new Set([...stored, ...(config.evolution === null ? [] : [config.evolution.instance])])];
}

const EVOLUTION_NOT_SET = failed(
  'EVOLUTION_API_URL, EVOLUTION_API_KEY and EVOLUTION_INSTANCE are not set',
  'set them; docs/evolution.md says how',
);

async function checkEvolution(tools: Tools, rows: () => Promise<AlertRows>): Promise<Found[]> {
  const { whatsapp } = tools;
  if (whatsapp === null) return [EVOLUTION_NOT_SET];
  const release = await whatsapp.version();
  const fault = release.kind === 'ok' ? releaseFault(release.version) : null;
  const told =
    release.kind === 'failed'
      ? []
      : [fault === null ? fine(`it is ${release.version}`) : warning(fault, 'set EVOLUTION_IMAGE; docs/evolution.md, 5.5')];
  const { numbers: known, breakers } = await rows();
  const numbers = await Promise.all(
    (await numbersOf(tools)).map(async (name) => {
      const connect = `npm run admin -- instance connect ${name}`;
      const answer = await whatsapp.connectionState(name);
      const row = known.find((each) => each.name === name);
      if (answer.kind === 'ok') return judgeNumber(name, answer.state, row, breakers);
      if (answer.class === 'unknown_instance') return failed(`Evolution does not know the number ${name}`, connect);
      if (answer.class === 'unauthorized') return failed('Evolution refuses EVOLUTION_API_KEY', KEY_MEND);
      if (answer.class === 'unlicensed')
        return failed(
          `Evolution wants its licence to be activated (${answer.detail})`,
          'open that page and activate it; docs/evolution.md, 5.5',
        );
      return failed(
        `Evolution does not answer at EVOLUTION_API_URL (${answer.class})`,
        'docker compose -f docker-compose.prod.yml up -d evolution; is the address right from here?',
      );
    }),
  );
  return [...told, ...numbers];
}

/** Apart from what can be fixed: no stable release was, when this was written. */
async function checkGateway({ whatsapp }: Tools): Promise<Found[]> {
  const release = await whatsapp?.version();
  if (release === undefined || release.kind === 'failed') return [];
  const fault = libraryFault(release.version);
  return [
    fault === null
      ? fine(`${release.version} is not known to let strangers write as anybody`)
      : warning(fault, 'docs/security.md, "The gateway has a hole", says what the product does about it and when to move'),
  ];
}

/** What Evolution says of a number, beside what its sends came to: it may say `open`, and refuse each of them. */
function judgeNumber(name: string, state: string, row: HealthRows['numbers'][number] | undefined, breakers: HealthRows['breakers']): Found {
  const closed = { name, status: state, code: state === 'close' ? (row?.code ?? null) : null };
  const why = closedReason(closed);
  if (state === 'connecting' && row?.paired === true) return failed(`the number ${name} is not connected (${state})`, restartMend(name));
  if (state !== 'open')
    return failed(`the number ${name} is not connected (${state})${why === null ? '' : `: ${why}`}`, closedMend(closed));
  const trouble = row === undefined ? null : numberInWords({ ...row, status: state, fault: null, webhook_wrong: false }, breakers);
  if (trouble === null) return fine(`the number ${name} is connected`);
  if (row?.deaf === true) return failed(trouble, restartMend(name));
  const reason = breakers.find((each) => each.breaker === 'evolution' && each.instance === name)?.reason ?? row?.held ?? null;
  return failed(`the number ${name} is connected, and all the same: ${trouble}`, mendOf(reason, name));
}

function restartMend(name: string): string {
  return `nothing, it is restarted by itself; at once: npm run admin -- instance restart ${name}`;
}

function mendOf(reason: string | null, name: string): string {
  if (reason === 'restricted' || reason === 'number_restricted') return closedMend({ name, status: 'close', code: 403 });
  if (reason === 'unauthorized' || reason === 'number_unauthorized') return KEY_MEND;
  if (isCuredByRestart(reason)) return restartMend(name);
  return 'npm run admin -- breaker list says when it is tried next; what waits leaves by itself';
}

const KEY_MEND = 'set it to the AUTHENTICATION_API_KEY of Evolution, or to the key of the number';

async function checkWebhooks(tools: Tools): Promise<Found[]> {
  const { whatsapp, config } = tools;
  if (whatsapp === null) return [skipped('without Evolution there is none')];
  const found = await Promise.all(
    (await numbersOf(tools)).map(async (name) => {
      const faults = await webhookFaultsOf({ whatsapp, config, db: tools.db }, name, AbortSignal.timeout(CHECK_MS));
      if (faults === null) return [skipped('Evolution does not say: mend that first')];
      const mend = `npm run admin -- instance connect ${name}`;
      return faults.length === 0
        ? [fine(`that of ${name} is set as it must be`)]
        : faults.map((fault) => failed(`${name}: ${fault}`, mend));
    }),
  );
  return found.flat();
}

/** Asks for the model by its name: costs nothing, and tells of a wrong key and of a model that is gone. */
async function checkClaude({ claude }: Config): Promise<Found[]> {
  if (claude === null)
    return [warning('ANTHROPIC_API_KEY is not set: every conversation goes to a person', 'set it: console.anthropic.com')];
  const base = (claude.baseUrl ?? 'https://api.anthropic.com').replace(/\/+$/, '');
  return Promise.all(
    [...new Set([claude.model, claude.complexModel])].map(async (model) => {
      try {
        const response = await fetch(`${base}/v1/models/${encodeURIComponent(model)}`, {
          headers: { 'x-api-key': claude.apiKey, 'anthropic-version': '2023-06-01' },
          signal: AbortSignal.timeout(CHECK_MS - 1_000),
        });
        await response.body?.cancel();
        if (response.ok) return fine(`the key is accepted, and ${model} is there`);
        if (response.status === 401 || response.status === 403)
          return failed('Claude refuses ANTHROPIC_API_KEY', 'make a new key at console.anthropic.com and set it');
        if (response.status === 404)
          return failed(`there is no model ${model}`, 'set LLM_MODEL or LLM_MODEL_COMPLEX to a model that exists');
        return warning(`Claude answers ${response.status}`, 'look at status.anthropic.com; the product tries again by itself');
      } catch (error) {
        return failed(
          `Claude does not answer at ${new URL(base).host}: ${toError(error).message}`,
          `is the way out open? curl -sI ${base}`,
        );
      }
    }),
  );
}

async function checkWaiting(rows: () => Promise<AlertRows>): Promise<Found[]> {
  const { breakers, deferred } = await rows();
  const found = judgeModel(breakers, deferred);
  return found === null ? [] : [found];
}

/** Caching is silent: below its model's floor an agent is paid in full, and nothing says so. */
async function checkPrefixes({ db, config }: Tools): Promise<Found[]> {
  const { claude } = config;
  if (claude === null) return [];
  return (await listAgents(db)).flatMap((agent) =>
    shortPrefixes(agent, agent.company ?? config.app.company, claude).map(({ model, tokens, floor }) =>
      judgePrefix(agent.name, model, tokens, floor),
    ),
  );
}

/** What nobody has told the agents yet, and words that are not read to contacts. */
async function checkAgents({ db, config }: Tools): Promise<Found[]> {
  const agents = await listAgents(db);
  const known = await Promise.all(agents.map(async ({ tenant_id: tenant }) => (await listKnowledge(db, tenant)).length));
  const ceilings = config.claude?.ceilings ?? null;
  const found = agents.flatMap((agent, index) => [
    ...[agent.model, agent.model_complex].flatMap((model) =>
      ceilings === null || model === null || hasPrice(model, new Date())
        ? []
        : [
            failed(
              `the agent ${agent.slug} names the model ${model}, whose price nobody knows here: with a ceiling of money (MAX_USD_*) it is never asked`,
              'npm run admin -- agent save --model NAME, then publish; or take the ceiling away',
            ),
          ],
    ),
    ...faultsOf(agent, config.app.company).map(({ code, says }) =>
      failed(
        `the words of the agent ${agent.slug}, version ${agent.version}, are not read to contacts (${code}: ${says})`,
        'npm run admin -- agent rollback; or agent save another one',
      ),
    ),
    ...lacksOf(agent, { company: config.app.company, documents: known[index] ?? 0 }).map(({ says, command }) =>
      warning(`the agent ${agent.slug}: ${says}`, command),
    ),
  ]);
  return found.length > 0
    ? found
    : [fine(`${agents.map(({ name, company }) => `${name} of ${company ?? config.app.company}`).join(', ')}: nothing is missing`)];
}

async function checkMedia({ config }: Tools, rows: () => Promise<AlertRows>): Promise<Found[]> {
  return [judgeMedia({ speech: config.speech !== null, model: config.claude !== null }, (await rows()).media)];
}

async function checkPeople({ config }: Tools, rows: () => Promise<AlertRows>): Promise<Found[]> {
  const channels = [
    ...(config.slack === null ? [] : ['Slack']),
    ...(config.outbound.managerPhone === null ? [] : ['WhatsApp (GESTOR_WHATSAPP)']),
  ];
  return [judgePeople(channels, (await rows()).unheard)];
}

async function checkDatabaseClock({ db }: Tools): Promise<Found[]> {
  const sent = Date.now();
  const { now } = await healthSnapshot(db);
  return [judgeClock('the database', now.getTime(), sent, Date.now())];
}

async function checkEvolutionClock({ evolution }: Config): Promise<Found[]> {
  if (evolution === null) return [];
  try {
    const sent = Date.now();
    const response = await fetch(evolution.url, { signal: AbortSignal.timeout(CHECK_MS - 1_000), redirect: 'manual' });
    const got = Date.now();
    await response.body?.cancel();
    const date = Date.parse(response.headers.get('date') ?? '');
    return Number.isNaN(date) ? [] : [judgeClock('Evolution', date, sent, got)];
  } catch {
    return []; // the check `evolution` tells that it does not answer
  }
}

async function checkDisk(): Promise<Found[]> {
  const place = process.cwd();
  const { bavail, blocks, bsize } = await statfs(place);
  return [judgeDisk(place, bavail * bsize, blocks * bsize)];
}

async function checkSwitches({ db, config }: Tools): Promise<Found[]> {
  const { paused } = await healthSnapshot(db);
  const found: Found[] = [];
  if (paused !== null)
    found.push(warning('everything is paused (julia_status)', 'npm run admin -- status says by whom and why; npm run admin -- resume'));
  if (config.outbound.allowlist !== 'everyone' && config.outbound.allowlist.length === 0)
    found.push(
      warning(
        'OUTBOUND_ALLOWLIST is empty outside production: nobody gets a message',
        'set ENVIRONMENT=production, or list the numbers that may get one',
      ),
    );
  return found.length === 0 ? [fine('nothing is paused, and messages may leave')] : found;
}
