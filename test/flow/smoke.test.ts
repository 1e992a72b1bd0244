/** scripts/smoke.sh against a running system: what it finds, what it leaves, and what nobody hears of. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { INSTANCE, JWT_SECRET, startSystem, WEBHOOK_SECRET } from '../support/system.ts';

const SECRETS = { JWT_SECRET_KEY: JWT_SECRET, EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET, EVOLUTION_INSTANCE: INSTANCE };
const PHONE = '5511900000001';

test('D7 smoke: without options it only reads, and says so of a system that is well', async (t) => {
  const system = await startSystem(t);
  const before = await rows(system);
  const { code, stdout } = await smoke([system.url], SECRETS);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^ok {6}health .*\nok {6}ready .*\nok {6}deep health /m);
  assert.match(stdout, /^ok {6}webhook unsigned +401/m);
  assert.match(stdout, /^ok {6}database read +200/m);
  assert.doesNotMatch(stdout, /FAILED/);
  assert.deepEqual(await rows(system), before);
});

test('D7 smoke: --round-trip stores a webhook and queues a message that can never leave', async (t) => {
  const system = await startSystem(t, { workers: 1 });
  const { code, stdout } = await smoke([system.url, '--without-docs', '--round-trip', PHONE], SECRETS);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^ok {6}inbound stored +SMOKE-/m);
  assert.match(stdout, /^ok {6}outbound queued +message \d+: 200 queued/m);
  // A second run finds the pause, and makes no other one.
  assert.equal((await smoke([system.url, '--round-trip', PHONE], SECRETS)).code, 0);
  assert.deepEqual(await system.query(`select status, scope, target from julia_status`), [
    { status: 'pausado', scope: 'campaign', target: 'smoke-test' },
  ]);
  await system.until(async () => (await system.query(`select 1 from messages where reason = 'paused_campaign'`)).length > 0, 'held');
  // Held while it is young, and expired after that: claimed at whatever time, it does not leave.
  for (const minutes of [0, 2, 2, 2]) {
    await system.query(
      `select claim_send(conversation_id, $1::jsonb, now() + make_interval(mins => $2)) from messages where kind = 'campaign' group by conversation_id`,
      [JSON.stringify({ ...system.ctx.sendPolicy, random: 0 }), minutes],
    );
  }
  assert.deepEqual(await system.query(`select distinct status from messages where kind = 'campaign'`), [{ status: 'expired' }]);
  assert.deepEqual(await system.query('select 1 from turns'), []);
  assert.deepEqual(system.simulator.wire().sends, []);
});

test('D7 smoke: --answer waits for the answer of the agent on the wire', async (t) => {
  const system = await startSystem(t, { workers: 1, env: { DEBOUNCE_MS: '0' } });
  system.simulator.addContact({ name: 'Maria', phone: PHONE });
  system.simulator.script([{ text: 'Das 8h às 18h.' }]);
  const { code, stdout } = await smoke([system.url, '--without-docs', '--answer', PHONE], SECRETS);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^ok {6}answered +in /m);
  assert.deepEqual(
    system.simulator.wire().sends.map((send) => send.text),
    ['Das 8h às 18h.'],
  );
});

test('D7 smoke: what is not there, or not known, is told and counted', async (t) => {
  const system = await startSystem(t);
  const unsigned = await smoke([system.url, '--without-docs'], {});
  assert.equal(unsigned.code, 0);
  assert.match(unsigned.stdout, /^skipped database read +neither SMOKE_TOKEN nor JWT_SECRET_KEY/m);
  const stranger = await smoke([system.url, '--without-docs'], { JWT_SECRET_KEY: 'another-key-of-thirty-two-bytes-or-more' });
  assert.equal(stranger.code, 1);
  assert.match(stranger.stdout, /^FAILED {2}database read +401/m);
  const nobody = await smoke(['http://127.0.0.1:9', '--without-docs'], {});
  assert.equal(nobody.code, 1);
  assert.match(nobody.stdout, /^FAILED {2}health .*(?:ECONNREFUSED|bad port)/m);
  for (const wrong of [[], ['no-address'], [system.url, '--round-trip', '123'], [system.url, '--unknown']]) {
    assert.equal((await smoke(wrong, {})).code, 2, wrong.join(' '));
  }
});

async function rows(system: Awaited<ReturnType<typeof startSystem>>): Promise<unknown> {
  return system.query(
    `select (select count(*) from messages) as messages, (select count(*) from contacts) as contacts, (select count(*) from webhook_events) as webhooks`,
  );
}

function smoke(args: string[], env: Record<string, string>): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve) => {
    execFile(path.join(projectRoot, 'scripts/smoke.sh'), args, { env: { PATH: process.env['PATH'], ...env } }, (error, stdout) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout });
    });
  });
}
