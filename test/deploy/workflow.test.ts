/** .github/workflows/ci.yml and .railway/railway.ts: what they promise, as data. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createRailwayContext, project } from 'railway/iac';
import { parse } from 'yaml';
import program from '../../.railway/railway.ts';
import { SERVICES } from '../../scripts/deploy/railway.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { knownVariables } from '../../src/config/environment.ts';
import { readProject } from '../support/compose.ts';

type Step = {
  id?: string;
  name?: string;
  if?: string;
  run?: string;
  uses?: string;
  env?: Record<string, string>;
  with?: Record<string, unknown>;
};
type Job = { needs?: string; if?: string; steps: Step[]; env?: Record<string, string>; 'timeout-minutes'?: number };
const workflow = parse(readProject('.github/workflows/ci.yml')) as { jobs: Record<string, Job>; permissions: object };
const { jobs } = workflow;
const deploy = jobs['deploy']?.steps ?? [];

test('D6 workflow: lint and types, tests, image, deploy: each waits for the one before', () => {
  assert.deepEqual(
    Object.entries(jobs).map(([name, { needs }]) => `${name} after ${needs ?? 'nothing'}`),
    ['lint after nothing', 'test after lint', 'image after test', 'deploy after image'],
  );
  for (const [name, job] of Object.entries(jobs)) {
    assert.ok(job['timeout-minutes'], name);
    for (const step of job.steps) assert.ok(!('continue-on-error' in step), `${name}: nothing is let through`);
  }
  assert.match(jobs['lint']?.steps.map((step) => step.run ?? '').join('\n') ?? '', /npm run check/);
  assert.match(jobs['test']?.steps.map((step) => step.run ?? '').join('\n') ?? '', /scripts\/test/);
  assert.deepEqual(workflow.permissions, { contents: 'read' });
});

test('D6 workflow: the deploy remembers, deploys, asks for deep health, and goes back in all services when anything failed', () => {
  const steps = deploy.flatMap((step) =>
    [...(step.run ?? '').matchAll(/scripts\/deploy\/main\.ts (\w+)/g)].map(([, name]) => [name, step] as const),
  );
  assert.deepEqual(
    steps.map(([name]) => name),
    ['preflight', 'remember', 'deploy', 'health', 'rollback', 'note'],
  );
  const rollback = steps.find(([name]) => name === 'rollback')?.[1];
  assert.equal(rollback?.if, "failure() && steps.remember.outcome == 'success'");
  assert.match(steps.find(([name]) => name === 'note')?.[1].if ?? '', /^always\(\)/);
  assert.match(jobs['deploy']?.if ?? '', /refs\/heads\/main.*push/);
});

test('section 2 workflow: the secrets have the names of the manuals, and without any of them nothing fails', () => {
  const secrets = deploy.flatMap((step) => Object.values(step.env ?? {})).map((value) => /secrets\.(\w+)/.exec(value)?.[1]);
  for (const name of [
    'RAILWAY_TOKEN',
    'RAILWAY_PROJECT_ID',
    'RAILWAY_APP_URL',
    'SUPABASE_URL',
    'SUPABASE_SERVICE_KEY',
    'ANTHROPIC_API_KEY',
  ])
    assert.ok(secrets.includes(name), name);
  for (const [name, job] of Object.entries(jobs)) {
    if (name !== 'deploy') assert.doesNotMatch(JSON.stringify(job), /secrets\./, `${name} needs no secret`);
  }
  // On a fork: every step that does something is left out.
  for (const step of deploy)
    if (step.run && step.id !== 'target')
      assert.match(step.if ?? '', /steps\.target\.outputs\.there == 'yes'|steps\.remember\.outcome/, step.name);
});

test('Z14 workflow: actions by commit, the least rights, and a secret only in the step that uses it', () => {
  const text = readProject('.github/workflows/ci.yml');
  for (const [name, job] of Object.entries(jobs)) {
    assert.equal('permissions' in job, false, name);
    assert.doesNotMatch(JSON.stringify(job.env ?? {}), /secrets\./, `${name}: not for all of its steps`);
    for (const step of job.steps) {
      if (step.uses !== undefined) {
        assert.match(step.uses, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/, name);
        assert.match(text, new RegExp(`${step.uses} # v\\d+\\.\\d+\\.\\d+\\n`), 'with the release that it is');
        if (step.uses.includes('checkout')) assert.equal(step.with?.['persist-credentials'], false, name);
      }
      assert.doesNotMatch(step.run ?? '', /secrets\./, 'by the environment, not in the text of a script');
      if (/npm (?:ci|install)/.test(step.run ?? '')) assert.equal(step.env, undefined, `${name}: strangers' code runs there`);
    }
  }
  /** What each step of the deploy reads of its environment. */
  const uses: Record<string, RegExp> = {
    preflight: /^(?:SUPABASE_URL|SUPABASE_SERVICE_KEY|ANTHROPIC_API_KEY)$/,
    remember: /^RAILWAY_/,
    deploy: /^RAILWAY_/,
    health: /^RAILWAY_APP_URL$/,
    rollback: /^RAILWAY_/,
    note: /^SLACK_WEBHOOK_URL$/,
  };
  for (const step of deploy) {
    const name = /main\.ts (\w+)/.exec(step.run ?? '')?.[1];
    for (const variable of Object.keys(step.env ?? {}))
      assert.match(variable, name === undefined ? /^RAILWAY_TOKEN$/ : (uses[name] ?? /^$/), step.name);
  }
});

test('D6 workflow: every file and npm script that it runs exists', () => {
  const runs = Object.values(jobs).flatMap((job) => job.steps.flatMap((step) => step.run ?? []));
  const { scripts } = JSON.parse(readProject('package.json')) as { scripts: Record<string, string> };
  for (const run of runs) {
    for (const [, file = ''] of run.matchAll(
      /(?<![\w/.])((?:\.\/)?(?:scripts|docker)[\w./-]*\.\w+|docker-compose[\w.]+yml|\.env[\w.]+example)/g,
    ))
      assert.ok(existsSync(path.join(projectRoot, file)), file);
    for (const [, name = ''] of run.matchAll(/npm run ([\w:-]+)/g)) assert.ok(scripts[name], name);
  }
});

test('P3 railway: three services from one Dockerfile, without a start command, that are ready before they get traffic', async () => {
  const { name, resources = [] } = await program(createRailwayContext({ environment: 'production' }), project);
  assert.equal(name, 'whats-agents');
  type Made = { type: string; name: string; build: object; deploy: Deploy; variables: Record<string, object> };
  type Deploy = {
    startCommand?: string;
    healthcheckPath: string;
    restartPolicyType: string;
    drainingSeconds: number;
    preDeployCommand?: string[];
  };
  const made = JSON.parse(JSON.stringify(resources)) as Made[];
  const services = made.filter((resource) => resource.type === 'service');
  assert.deepEqual(
    services.map((service) => service.name),
    [...SERVICES],
  );
  for (const { name, build, deploy, variables } of services) {
    assert.deepEqual(build, { builder: 'DOCKERFILE', dockerfilePath: 'Dockerfile' });
    assert.equal(deploy.startCommand, undefined, 'it would replace the entry point');
    assert.equal(deploy.healthcheckPath, '/ready');
    assert.equal(deploy.restartPolicyType, 'ALWAYS');
    assert.ok(deploy.drainingSeconds * 1000 > 25_000, 'longer than SHUTDOWN_GRACE_MS');
    assert.deepEqual(variables['RUN_MODE'], { type: 'literal', value: name.replace('whats-agents-', '') });
    assert.deepEqual(variables['REDIS_URL'], { type: 'reference', resource: 'database.redis', output: 'REDIS_URL' });
    for (const variable of Object.keys(variables)) assert.ok(knownVariables.includes(variable), variable);
  }
  // only the api migrates, before it starts
  assert.deepEqual(
    services.map(({ deploy }) => deploy.preDeployCommand),
    [['node src/migrate.ts'], undefined, undefined],
  );
  assert.deepEqual(services[0]?.variables['DATABASE_URL'], { type: 'sharedReference', name: 'DATABASE_URL' });
  // What the README and the configuration ask for is passed on, so that nobody sets a variable that no service sees.
  const asked = [...readProject('README.md').matchAll(/^\| ((?:`[A-Z_]+`(?:, | or )?)+) \|/gm)].flatMap(
    ([, names = '']) => names.match(/[A-Z_]+/g) ?? [],
  );
  assert.ok(asked.length > 8, asked.join());
  for (const variable of [...asked, 'TZ', 'SUPABASE_URL', 'SUPABASE_SERVICE_KEY', 'SUPABASE_DB_URL', 'SECRETS_KEY', 'SLACK_ALLOWED_USERS'])
    for (const { name: service, variables } of services) assert.ok(variables[variable], `${service} does not get ${variable}`);
});
