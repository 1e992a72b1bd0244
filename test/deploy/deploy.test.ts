/** scripts/deploy, the steps of the workflow, against a fake `railway` and a fake installation. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { readProject } from '../support/compose.ts';
import { fakeRailway } from '../support/fake-railway.ts';
import type { FakeRailway } from '../support/fake-railway.ts';

const [API, WORKER, SCHEDULER] = ['whats-agents-api', 'whats-agents-worker', 'whats-agents-scheduler'];
const SHA = 'c0ffee0';

type TestHooks = { after(hook: () => Promise<void>): void };

test('D6 deploy: three services, one after the other, each with its identity, then the commit answers and nothing is rolled back', async (t) => {
  const { railway, app, step } = await setting(t);
  app.answer = deep({});
  for (const name of ['preflight', 'remember', 'deploy', 'health']) assert.equal((await step(name)).code, 0, name);
  const { calls, services } = await railway.state();
  assert.deepEqual(
    calls.filter((call) => !call.startsWith('deployment list')).map((call) => call.replace(/BUILD_TIME=\S+/, 'BUILD_TIME=now')),
    [API, WORKER, SCHEDULER].flatMap((service) => [
      `variable set GIT_SHA=${SHA} BUILD_TIME=now --service ${service} --skip-deploys`,
      `up --detach --json --service ${service} --message ${SHA}`,
    ]),
  );
  for (const list of Object.values(services))
    assert.deepEqual(
      list.map((each) => each.status),
      ['SUCCESS', 'REMOVED'],
    );
});

test('D6 deploy: a service that does not come up stops the deploy, and the ones before it go back', async (t) => {
  const { railway, step } = await setting(t);
  await railway.change({ ends: { [WORKER]: 'CRASHED' } });
  await step('remember');
  const deployed = await step('deploy');
  assert.equal(deployed.code, 1);
  assert.match(deployed.stderr, /whats-agents-worker: the deployment made-2 ended as CRASHED/);
  await railway.change({ ends: {} });
  const back = await step('rollback');
  assert.equal(back.code, 0, back.stderr);
  assert.match(
    back.stdout,
    /whats-agents-api is back at api-1 \(as made-3\)\nwhats-agents-worker still runs worker-1\nwhats-agents-scheduler still runs scheduler-1\n/,
  );
});

test('D6 health: what is not well in time, is another commit, or lacks a worker, is not healthy', async (t) => {
  const { app, step } = await setting(t);
  const wrong: [AppAnswer, RegExp][] = [
    [{ ...deep({ status: 'unhealthy', reasons: ['the database does not answer'] }), status: 503 }, /503 unhealthy: the database/],
    [deep({ git_sha: 'another' }), /another commit answers \(another\)/],
    [deep({ status: 'degraded', reasons: ['no worker is running: nothing is answered'] }), /no worker is running/],
    [{ status: 502, body: 'Bad gateway' }, /502 with something else/],
  ];
  for (const [answer, says] of wrong) {
    app.answer = answer;
    const { code, stderr } = await step('health');
    assert.equal(code, 1);
    assert.match(stderr, says);
  }
});

test('D6 rollback: after a deploy that is not healthy all services go back to what was remembered', async (t) => {
  const { railway, step } = await setting(t);
  await step('remember');
  await step('deploy');
  assert.equal((await step('health')).code, 1);
  const back = await step('rollback');
  assert.equal(back.code, 0, back.stderr);
  const { calls } = await railway.state();
  const ids = calls.filter((call) => call.startsWith('api ')).map((call) => /--raw-var id=(\S+)/.exec(call)?.[1]);
  assert.deepEqual(ids, ['api-1', 'worker-1', 'scheduler-1']);
});

test('D6 health: the words that it looks for are those of /health/deep', () => {
  for (const mode of ['worker', 'scheduler']) assert.ok(readProject('src/watch/health-words.ts').includes(`'no ${mode} is running`), mode);
});

test('D6 health: it waits, and degraded is well enough when worker and scheduler are there', async (t) => {
  const { app, step } = await setting(t);
  let looks = 0;
  app.answer = () => {
    looks += 1;
    return looks < 3 ? deep({ git_sha: 'the-one-before' }) : deep({ status: 'degraded', reasons: ['everything is paused (julia_status)'] });
  };
  assert.equal((await step('health')).code, 0);
  assert.equal(looks, 3);
});

test('D6 rollback: one that cannot go back does not keep the others, and it is told', async (t) => {
  const { railway, step } = await setting(t);
  await step('remember');
  await step('deploy');
  await railway.change({ keeps: [API ?? ''] });
  const back = await step('rollback');
  assert.equal(back.code, 1);
  assert.match(back.stdout, /whats-agents-api: railway api .* failed: This deployment cannot be rolled back to/);
  assert.match(back.stdout, /whats-agents-worker is back at worker-1/);
  assert.match(back.stdout, /whats-agents-scheduler is back at scheduler-1/);
});

test('D6 rollback: after a first deployment there is nothing to go back to, and it says so', async (t) => {
  const { step } = await setting(t, { [API ?? '']: [], [WORKER ?? '']: [], [SCHEDULER ?? '']: [] });
  await step('remember');
  await step('deploy');
  const back = await step('rollback');
  assert.equal(back.code, 1);
  assert.match(back.stdout, /whats-agents-api: there is nothing to go back to/);
});

test('D6 note, preflight, usage: the note reaches Slack or does no harm; a refused key stops the deploy before it begins', async (t) => {
  const { app, step, url } = await setting(t);
  assert.match((await step('note', ['all', 'well'])).stdout, /not set: no note/);
  app.answer = { status: 200, body: 'ok' };
  assert.match((await step('note', ['all', 'well'], { SLACK_WEBHOOK_URL: url })).stdout, /the note is in Slack/);
  assert.deepEqual(app.posted, [{ text: 'all well' }]);
  const away = await step('note', ['all', 'well'], { SLACK_WEBHOOK_URL: 'http://127.0.0.1:9' });
  assert.equal(away.code, 0);
  assert.match(away.stdout, /Slack: no answer/);

  const keys = { SUPABASE_URL: url, SUPABASE_SERVICE_KEY: 'a-key-of-tests', ANTHROPIC_API_KEY: 'another-key', ANTHROPIC_BASE_URL: url };
  assert.equal((await step('preflight', [], keys)).code, 0);
  app.answer = { status: 401, body: {} };
  const refused = await step('preflight', [], keys);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /SUPABASE_SERVICE_KEY: 401, refused\nANTHROPIC_API_KEY: 401, refused/);
  assert.doesNotMatch(refused.stdout, /a-key-of-tests|another-key/);

  assert.equal((await step('remember', [], { RAILWAY_APP_URL: '' })).code, 1);
  assert.equal((await step('fly')).code, 2);
  assert.equal((await step('deploy', [], { GITHUB_SHA: '' })).code, 2);
});

type AppAnswer = { status: number; body: unknown };
type App = { answer: AppAnswer | (() => AppAnswer); posted: unknown[] };
type Step = (name: string, words?: string[], env?: Record<string, string>) => Promise<{ code: number; stdout: string; stderr: string }>;

async function setting(
  t: TestHooks,
  services = { [API ?? '']: one('api-1'), [WORKER ?? '']: one('worker-1'), [SCHEDULER ?? '']: one('scheduler-1') },
): Promise<{ railway: FakeRailway; app: App; step: Step; url: string }> {
  const railway = await fakeRailway(t, services);
  const app: App = { answer: { status: 503, body: {} }, posted: [] };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (request.method === 'POST') app.posted.push(JSON.parse(Buffer.concat(parts).toString()));
      const { status, body } = typeof app.answer === 'function' ? app.answer() : app.answer;
      response.writeHead(status, { 'content-type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => server.close(() => resolve())));
  // a TCP server's address is never a string
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const remembered = path.join(path.dirname(railway.env['FAKE_RAILWAY'] ?? ''), 'before.json');
  const step: Step = (name, words = [], env = {}) =>
    new Promise((resolve) => {
      execFile(
        process.execPath,
        [path.join(projectRoot, 'scripts/deploy/main.ts'), name, ...words, '--every', '0', '--tries', '4'],
        { env: { ...railway.env, RAILWAY_APP_URL: url, GITHUB_SHA: SHA, DEPLOY_STATE: remembered, ...env } },
        (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
      );
    });
  return { railway, app, step, url };
}

function one(id: string): { id: string; status: string }[] {
  return [{ id, status: 'SUCCESS' }];
}

function deep(change: { status?: string; git_sha?: string; reasons?: string[] }): AppAnswer {
  return { status: 200, body: { status: 'healthy', git_sha: SHA, reasons: [], ...change } };
}
