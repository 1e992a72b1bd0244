/** job list, job run: by hand, at the command line and over HTTP, under the scheduler's own lock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { COMMANDS, runCommand } from '../../src/admin/all.ts';
import type { Outcome } from '../../src/admin/command.ts';
import { startProgram } from '../support/process.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

async function command(system: System, name: string, args: object = {}, tenant = 'default'): Promise<Outcome<never>> {
  const found = COMMANDS.find((each) => each.name === name);
  assert.ok(found);
  return (await runCommand(found, system.ctx, args, { id: 'test:ana', tenant })) as Outcome<never>;
}

async function token(role: string): Promise<string> {
  const jwt = new SignJWT({ sub: 'ana', role, tenant: 'default' }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('5 minutes');
  return jwt.sign(new TextEncoder().encode(JWT_SECRET));
}

async function runs(system: System, job: string): Promise<string[]> {
  const rows = await system.query<{ line: string }>(
    `select status || ' ' || coalesce(error, '-') as line from job_runs where job = $1 order by id`,
    [job],
  );
  return rows.map(({ line }) => line);
}

test('S6 A11 job run and job list at the command line', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const admin = async (...args: string[]) => {
    const program = startProgram(t, 'src/admin/cli.ts', { args, env: { USER: 'ana', DATABASE_URL: system.databaseUrl } });
    return { code: await program.ended, out: program.stdout.join('\n'), err: program.stderr.join('\n') };
  };
  const [ran, unknown] = await Promise.all([admin('job', 'run', 'purge_old'), admin('job', 'run', 'no_such_job')]);
  assert.deepEqual([ran.code, ran.out], [0, 'purge_old is done (0).'], ran.err);
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /there is no job no_such_job; these are: sweep_turns, /);
  assert.deepEqual(await runs(system, 'purge_old'), ['done -']);
  assert.deepEqual(await system.query(`select actor, action, subject from audit_log`), [
    { actor: 'cli:ana', action: 'job.run', subject: 'purge_old' },
  ]);
  const listed = await admin('job', 'list');
  assert.match(listed.out, /purge_old +\[17 \* \* \* \*\] .*\n    done at /);
  assert.match(listed.out, /sweep_turns +\[\* \* \* \* \*\] .*\n    has not run yet/);
});

test('S6 job run over HTTP needs a token; the lock is that of the scheduler', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const post = async (role: 'operator' | 'sender' | null) =>
    fetch(`${system.url}/admin/job/run`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(role === null ? {} : { authorization: `Bearer ${await token(role)}` }) },
      body: JSON.stringify({ name: 'sweep_turns' }),
    });
  assert.equal((await post(null)).status, 401);
  assert.equal((await post('sender')).status, 403);
  assert.deepEqual(await runs(system, 'sweep_turns'), []);
  // Under way: another tick of it, or this minute's.
  await system.query(
    `insert into job_runs (job, tick, worker, lease_until) values ('sweep_turns', now() - interval '10 minutes', 'scheduler', now() + interval '1 minute')`,
  );
  const busy = await post('operator');
  assert.deepEqual(
    [busy.status, ((await busy.json()) as { error: { message: string } }).error.message],
    [409, 'sweep_turns is running now'],
  );
  await system.query(`update job_runs set status = 'done'`);
  const answers = await Promise.all([post('operator'), post('operator'), post('operator')]);
  const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
  // A minute may have begun between them; then two of them ran.
  assert.ok(statuses[0] === 200 && statuses[2] === 409, String(statuses));
  assert.equal((await runs(system, 'sweep_turns')).length, 1 + statuses.filter((status) => status === 200).length);
  assert.deepEqual(new Set(await runs(system, 'sweep_turns')), new Set(['done -']));
});

test('S6 only the tenant that owns the installation runs jobs', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`insert into tenants (id, name) values ('other', 'other')`);
  const outcome = await command(system, 'job run', { name: 'purge_old' }, 'other');
  assert.ok(!outcome.ok && outcome.kind === 'forbidden');
  assert.ok((await command(system, 'job list')).ok);
});
