/**
 * An update without loss, with real processes: replicas are replaced one by one while webhooks come in, and the version before works on the newer schema. The
 * version before is the newest release (tag v*); until there is one it is this very code, on a schema that has gone on without it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '../../scripts/lib/ports.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { startBalancer } from '../support/balancer.ts';
import { startSite } from '../support/site.ts';
import { startWebhookLoad } from '../support/webhook-load.ts';

const run = promisify(execFile);
/** What a later release may bring under the rules of migrations: nothing that is there goes or changes its meaning. */
const NEXT_RELEASE = `
  alter table messages add column if not exists sentiment text;
  alter table contacts add column if not exists language text not null default 'pt';
  create table if not exists later_things (id bigint generated always as identity primary key, tenant_id text not null references tenants (id));
  create or replace function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('20991231000000'::text) $$;
  insert into schema_migrations (name, checksum) values ('20991231000000_next.sql', 'x')`;

test('P10 D1 three apis are replaced one by one under 20 webhooks a second, and the schema goes on meanwhile: no answer but 2xx, nothing lost', async (t) => {
  const site = await startSite(t);
  const ports = [await freePort(), await freePort(), await freePort()];
  const balancer = await startBalancer();
  t.after(() => balancer.close());
  balancer.upstreams.push(...ports.map((port) => `http://127.0.0.1:${port}`));
  const start = (port: number) => site.startReady('api', { PORT: String(port) });
  let apis = await Promise.all(ports.map(start));
  await site.startReady('worker');
  const load = startWebhookLoad(t, balancer.url);

  await load.answered(20);
  await site.query(NEXT_RELEASE);
  for (const [index, port] of ports.entries()) {
    // As compose does it: the old one ends before the new one begins.
    apis[index]?.signal('SIGTERM');
    assert.equal(await apis[index]?.ended, 0, 'it ends in order');
    apis = apis.with(index, await start(port));
    await load.answered(10);
  }
  const answers = await load.stop();

  assert.deepEqual(
    answers.filter(({ status }) => status < 200 || status > 299),
    [],
  );
  const stored = await site.query<{ id: string; times: number }>(
    `select provider_id as id, count(*)::int as times from messages where direction = 'in' group by 1 order by 1`,
  );
  assert.deepEqual(
    stored,
    answers.map(({ id }) => ({ id, times: 1 })).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
  );
  await site.until(
    async () => (await site.query(`select from messages where direction = 'in' and status = 'received'`)).length === 0,
    'an outcome for each of them',
  );
  t.diagnostic(`${answers.length} webhooks, 3 of 3 apis replaced, 0 refused, 0 lost`);
});

test('D1 the version before works on this schema and on the next one: a message is answered, its migrate says so and goes on', async (t) => {
  const site = await startSite(t);
  const release = await placePreviousRelease(t);
  t.diagnostic(release.tag === null ? 'no release yet: this code stands for the version before' : `the version before is ${release.tag}`);
  await site.query(NEXT_RELEASE);
  const migrating = await run(process.execPath, [path.join(release.folder, 'src/migrate.ts')], {
    cwd: release.folder,
    // as the owner, who alone may migrate
    env: { ...site.env, DATABASE_URL: site.databaseUrl, RUN_MODE: 'api' },
  });
  assert.match(migrating.stdout, /newer than this version|up to date/);
  const main = path.join(release.folder, 'src/main.ts');
  await site.startReady('api', {}, main);
  await site.startReady('worker', {}, main);
  const maria = site.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  site.simulator.inbound({ contactId: maria.id, text: 'Oi! Qual o horário?' });
  await site.until(() => site.simulator.sends().length > 0, 'the answer of the version before');
  assert.deepEqual(await site.query(`select status from messages where direction = 'in'`), [{ status: 'answered' }]);
});

/** The code of the newest release before this one, in a folder of its own, with the packages of this one. */
async function placePreviousRelease(t: TestContext): Promise<{ folder: string; tag: string | null }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-before-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const tag = await previousTag();
  if (tag === null) {
    for (const each of ['src', 'supabase', 'package.json'])
      await cp(path.join(projectRoot, each), path.join(folder, each), { recursive: true });
  } else {
    const archive = path.join(folder, 'release.tar');
    await run('git', ['archive', '--output', archive, tag, 'src', 'supabase', 'package.json'], { cwd: projectRoot });
    await mkdir(folder, { recursive: true });
    await run('tar', ['-xf', archive, '-C', folder]);
  }
  await symlink(path.join(projectRoot, 'node_modules'), path.join(folder, 'node_modules'));
  return { folder, tag };
}

/** The newest tag v* that is not this very commit; null without one (a shallow clone has none). */
async function previousTag(): Promise<string | null> {
  const { stdout } = await run('git', ['tag', '--list', 'v*', '--sort=-version:refname', '--no-contains', 'HEAD'], {
    cwd: projectRoot,
  }).catch(() => ({ stdout: '' }));
  return stdout.split('\n')[0]?.trim() || null;
}
