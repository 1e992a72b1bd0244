/** The steps of a deploy to Railway, in the order of .github/workflows/ci.yml: `node scripts/deploy/main.ts --help`. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { dataDirectory } from '../lib/tools.ts';
import { deployments, OVER, rollBack, SERVICES, setVariables, SUCCESS, upload } from './railway.ts';
import type { Service } from './railway.ts';

const HELP = `Usage: node scripts/deploy/main.ts STEP [--sha SHA] [--every SECONDS] [--tries N]

  preflight asks Supabase and Anthropic whether the keys at hand are still good; what is not set is not asked
  remember  writes down which deployment of each service runs now
  deploy    uploads this directory to api, worker and scheduler, one after the other, and waits until each one runs
  health    asks RAILWAY_APP_URL/health/deep until this very commit answers, with a worker and a scheduler beside it
  rollback  starts what remember wrote down again, in all services, and waits until it runs
  note TEXT posts TEXT to SLACK_WEBHOOK_URL; does nothing when that is not set

  --sha SHA        the commit (default: GITHUB_SHA)
  --every SECONDS  between two looks (default 5)
  --tries N        looks before it is given up (default 120: ten minutes)

Needs Railway's command line on PATH, and RAILWAY_TOKEN. DEPLOY_STATE names the file that
remember writes (default: .data/deploy/before.json). Exit code: 0 done, 1 failed, 2 wrong usage.
`;

const REMEMBERED = process.env['DEPLOY_STATE'] ?? path.join(dataDirectory, 'deploy', 'before.json');
const remembered = z.record(z.string(), z.string().nullable());
const deepHealth = z.object({ status: z.string(), git_sha: z.string().nullable(), reasons: z.array(z.string()) });

type Patience = { everyMs: number; tries: number };

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      sha: { type: 'string', default: process.env['GITHUB_SHA'] ?? '' },
      every: { type: 'string', default: '5' },
      tries: { type: 'string', default: '120' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const patience = { everyMs: Number(values.every) * 1000, tries: Number(values.tries) };
  if (!Number.isFinite(patience.everyMs) || !Number.isInteger(patience.tries)) return usage('--every and --tries are numbers');
  const [step, ...words] = positionals;
  if (step === 'note') {
    await note(words.join(' '));
    return 0;
  }
  if (words.length > 0) return usage(`${words.join(' ')}: what is that?`);
  if ((step === 'deploy' || step === 'health') && values.sha === '') return usage('--sha (or GITHUB_SHA) says which commit it is');
  switch (step) {
    case 'preflight':
      return preflight();
    case 'remember':
      await remember();
      return 0;
    case 'deploy':
      await deploy(values.sha, patience);
      return 0;
    case 'health':
      await health(values.sha, patience);
      return 0;
    case 'rollback':
      return rollback(patience);
    default:
      return usage(`there is no step ${step ?? ''}`);
  }
}

/** A deploy with a revoked key would pass every check and answer nobody. */
async function preflight(): Promise<number> {
  const { SUPABASE_URL, SUPABASE_SERVICE_KEY, ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL } = process.env;
  const asked: [string, string, Record<string, string>][] = [];
  if (SUPABASE_URL && SUPABASE_SERVICE_KEY) {
    const headers = { apikey: SUPABASE_SERVICE_KEY, authorization: `Bearer ${SUPABASE_SERVICE_KEY}` };
    asked.push(['SUPABASE_SERVICE_KEY', `${SUPABASE_URL.replace(/\/+$/, '')}/rest/v1/`, headers]);
  }
  if (ANTHROPIC_API_KEY) {
    const base = (ANTHROPIC_BASE_URL || 'https://api.anthropic.com').replace(/\/+$/, '');
    asked.push(['ANTHROPIC_API_KEY', `${base}/v1/models`, { 'x-api-key': ANTHROPIC_API_KEY, 'anthropic-version': '2023-06-01' }]);
  }
  let refused = 0;
  for (const [name, address, headers] of asked) {
    const status = await fetch(address, { headers, signal: AbortSignal.timeout(10_000) }).then(
      (response) => response.status,
      () => 'no answer',
    );
    const bad = status === 401 || status === 403;
    if (bad) refused += 1;
    say(`${name}: ${status}${bad ? ', refused' : ''}`);
  }
  return refused === 0 ? 0 : 1;
}

async function remember(): Promise<void> {
  // told before anything is deployed, not when it has to be checked
  if (!URL.canParse(process.env['RAILWAY_APP_URL'] ?? '')) throw new Error('RAILWAY_APP_URL: must be the public address of the api');
  const before: Record<string, string | null> = {};
  for (const service of SERVICES) {
    before[service] = await running(service);
    say(`${service} runs ${before[service] ?? 'nothing yet'}`);
  }
  await mkdir(path.dirname(REMEMBERED), { recursive: true });
  await writeFile(REMEMBERED, JSON.stringify(before));
}

/** The api first: its pre-deploy command migrates. The code that still runs elsewhere works with the new schema. */
async function deploy(sha: string, patience: Patience): Promise<void> {
  const identity = { GIT_SHA: sha, BUILD_TIME: new Date().toISOString().replace(/\.\d+Z$/, 'Z') };
  for (const service of SERVICES) {
    await setVariables(service, identity);
    const id = await upload(service, sha);
    say(`${service}: ${id} is under way`);
    const status = await settled(service, id, patience);
    if (status !== SUCCESS) throw new Error(`${service}: the deployment ${id} ended as ${status}; railway logs ${id}`);
    say(`${service} runs ${id}`);
  }
}

async function health(sha: string, { everyMs, tries }: Patience): Promise<void> {
  const address = `${(process.env['RAILWAY_APP_URL'] ?? '').replace(/\/+$/, '')}/health/deep`;
  if (!URL.canParse(address)) throw new Error('RAILWAY_APP_URL: must be the public address of the api');
  let last = 'no answer';
  for (let look = 1; look <= tries; look += 1) {
    last = await complaint(address, sha);
    if (last === '') {
      say(`healthy: ${sha} answers at ${address}`);
      return;
    }
    if (look < tries) await delay(everyMs);
  }
  throw new Error(`${address} is not well after ${tries} looks: ${last}`);
}

/** What is wrong, or nothing. Degraded is well, unless it is because a service of this deploy is missing. */
async function complaint(address: string, sha: string): Promise<string> {
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(10_000) });
    const body = deepHealth.safeParse(await response.json().catch(() => null));
    if (!body.success) return `${response.status} with something else than deep health`;
    const { status, git_sha: found, reasons } = body.data;
    if (response.status !== 200) return `${response.status} ${status}: ${reasons.join('; ')}`;
    if (found !== sha) return `another commit answers (${found ?? 'it does not say which'})`;
    return reasons.filter((reason) => /^no (?:worker|scheduler) is running/.test(reason)).join('; ');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** All of them: an api of one version with a worker of another is what nobody has tested. */
async function rollback(patience: Patience): Promise<number> {
  const before = remembered.parse(JSON.parse(await readFile(REMEMBERED, 'utf8')));
  let failures = 0;
  for (const service of SERVICES) {
    try {
      say(await restore(service, before[service] ?? null, patience));
    } catch (error) {
      // The others are brought back all the same.
      failures += 1;
      say(`${service}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return failures === 0 ? 0 : 1;
}

async function restore(service: Service, before: string | null, patience: Patience): Promise<string> {
  const now = await running(service);
  if (now === before) return `${service} still runs ${before ?? 'nothing'}`;
  if (before === null) throw new Error('there is nothing to go back to: this was its first deployment');
  const known = new Set((await deployments(service)).map(({ id }) => id));
  await rollBack(before);
  // The rollback makes a new deployment; which one is seen from the list.
  for (let look = 0; look < patience.tries; look += 1) {
    const made = (await deployments(service)).find(({ id, status }) => (id === before ? status === SUCCESS : !known.has(id)));
    if (made?.status === SUCCESS) return `${service} is back at ${before} (as ${made.id})`;
    if (made !== undefined && OVER.has(made.status)) throw new Error(`going back to ${before} ended as ${made.status}`);
    await delay(patience.everyMs);
  }
  throw new Error(`going back to ${before} did not end in time`);
}

async function running(service: Service): Promise<string | null> {
  return (await deployments(service)).find(({ status }) => status === SUCCESS)?.id ?? null;
}

async function settled(service: Service, id: string, { everyMs, tries }: Patience): Promise<string> {
  let status = 'unknown';
  for (let look = 0; look < tries; look += 1) {
    status = (await deployments(service)).find((each) => each.id === id)?.status ?? status;
    if (OVER.has(status)) return status;
    await delay(everyMs);
  }
  return `${status}, and not at an end in time`;
}

/** A note that cannot be posted must not fail a deploy that went well. */
async function note(text: string): Promise<void> {
  const address = process.env['SLACK_WEBHOOK_URL'] ?? '';
  if (address === '') return say('SLACK_WEBHOOK_URL is not set: no note');
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ text }) };
  const status = await fetch(address, { ...options, signal: AbortSignal.timeout(10_000) }).then(
    (response) => response.status,
    () => 'no answer',
  );
  say(status === 200 ? 'the note is in Slack' : `Slack: ${status}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function usage(text: string): number {
  process.stderr.write(`${text}\n${HELP}`);
  return 2;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
