/** The stop button in the middle of a campaign, and an opt-out in the last moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimSend, sweepSends } from '../../src/outbox/calls.ts';
import { clocked, states } from '../support/sends.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const FREE = { MAX_MSGS_POR_HORA: '100000', MAX_MSGS_POR_DIA: '100000' };

async function enqueueMany(system: System, count: number): Promise<number[]> {
  const rows = await system.query<{ lane: number }>(
    `select (enqueue_message(jsonb_build_object('instance', $1::text, 'phone', '55119' || (85000000 + g), 'text', 'oferta ' || g, 'kind', 'campaign', 'campaign_id', 'natal')) ->> 'conversation_id')::int as lane
     from generate_series(1, $2) g`,
    [INSTANCE, count],
  );
  return rows.map(({ lane }) => lane);
}

const press = (system: System, status: 'pausado' | 'ativo') =>
  system.query(`insert into julia_status (status, motivo, alterado_via) values ($1, 'emergência', 'runbook')`, [status]);

test('O11 A1 scenario 2: a campaign of 500 under way, the stop button: at most one message per worker still leaves; a day and a restart later nothing; a resume is no blast', async (t) => {
  const system = await startSystem(t, {
    queue: 'redis',
    workers: 4,
    env: { ...FREE, WORKER_CONCURRENCY: '1' },
    simulator: { ackMs: null },
  });
  system.simulator.setWebhook(null); // echoes have tests of their own, here they only take time
  const lanes = await enqueueMany(system, 500);
  for (const lane of lanes) await system.ctx.queues.wakeSend(lane);
  await system.simulator.waitFor((wire) => wire.sends.length >= 40, 60_000);
  await press(system, 'pausado');
  const left = system.simulator.sends().length;
  const count = async (where: string) =>
    Number((await system.query<{ n: number }>(`select count(*)::int as n from messages where ${where}`))[0]?.n);
  await system.until(
    async () => (await count(`status = 'sending' or (status = 'queued' and reason is distinct from 'paused_all')`)) === 0,
    'all are held',
  );
  const paused = system.simulator.sends().length;
  assert.ok(paused - left <= 4, `${paused - left} left after the button`);
  assert.ok(paused < 450, `${paused} of 500 had left already`);

  const nextDay = clocked(system.ctx, { now: new Date(Date.now() + 24 * 3_600_000) });
  await system.addWorker();
  for (const lane of lanes) {
    const claim = await claimSend(nextDay.db, lane, nextDay.sendPolicy, 0);
    if (claim.action !== 'idle') assert.deepEqual([claim.action, 'reason' in claim ? claim.reason : null], ['wait', 'paused_all']);
  }
  assert.deepEqual(await sweepSends(nextDay.db, 500), [], 'the sweep wakes nobody');

  // The pace holds again, as in production.
  await system.query(`update instances set pace_min_seconds = 45, pace_max_seconds = 180`);
  await press(system, 'ativo');
  for (const lane of await sweepSends(system.ctx.db, 500)) await system.ctx.queues.wakeSend(lane);
  await system.until(
    async () => (await count(`status = 'sending' or (status = 'queued' and reason is distinct from 'pace')`)) === 0,
    'all have been looked at',
  );
  assert.equal(system.simulator.sends().length, paused + 1);
});

test('O11 scenario 9: an opt-out while the contact is shown typing: the campaign message does not leave', async (t) => {
  const system = await startSystem(t, { env: { ...FREE, HUMAN_DELAY: 'true' } });
  const [lane = 0] = await enqueueMany(system, 1);
  const [row] = await system.query<{ id: number }>(`update messages set typing_ms = 2000 returning id::int`);
  await system.ctx.queues.wakeSend(lane);
  await system.simulator.waitFor((wire) => wire.presences.length > 0, 30_000);
  await system.query(`select add_opt_out(contact_id, 'manual') from conversations where id = $1`, [lane]);
  await system.until(async () => (await states(system, [row?.id ?? 0]))[0] === 'blocked(opt_out)', 'blocked');
  assert.deepEqual(system.simulator.sends(), []);
});

test('R3 the database is away: nothing that nobody asked for leaves', async (t) => {
  const system = await startSystem(t, { workers: 0, env: FREE });
  const [lane = 0] = await enqueueMany(system, 1);
  const worker = await system.openContext('worker');
  const { sendNext } = await import('../../src/outbox/send.ts');
  const { DatabaseAway } = await import('../../src/db/failures.ts');
  const away = { ...worker, db: { ...worker.db, call: () => Promise.reject(new DatabaseAway('claim_send', 'gone')) } };
  await assert.rejects(sendNext(away, lane), DatabaseAway);
  assert.deepEqual(system.simulator.sends(), []);
  assert.deepEqual(await sendNext(worker, lane), { kind: 'idle' });
  assert.equal(system.simulator.sends().length, 1);
});
