/** Numbers that say that they are connected, take sends, and hear nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateAlerts } from '../../src/watch/alerts.ts';
import { checkInstancesJob } from '../../src/crons/check-instances.ts';
import { aRun } from '../support/jobs.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Listened = { wake: number[]; deaf: string[]; hears: string[] };

/** A number of three weeks; somebody wrote at this hour on the days that are told. */
async function silentSystem(t: { after(hook: () => Promise<void>): void }, days: readonly number[]): Promise<System> {
  const system = await startSystem(t);
  system.simulator.connection('open');
  await system.until(async () => (await system.query(`select 1 from instances where paired and phone is not null`)).length > 0, 'paired');
  await system.query(`update instances set created_at = now() - interval '21 days', status_at = now() - interval '1 day'`);
  await system.query(
    `select ensure_conversation(i, ensure_contact(i, '5511912349999', null, 'Ana'), '5511912349999@s.whatsapp.net', true) from instances i`,
  );
  await system.query(
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_id, provider_at, created_at)
      select 'default', c.instance_id, c.id, 1000 + d, 'in', 'contact', 'text', 'answered', 'oi', 'OLD' || d, now(), now() - make_interval(days => d, mins => 30)
      from conversations c, unnest($1::int[]) d`,
    [days],
  );
  return system;
}

const listen = async (system: System, minutes = 0): Promise<Listened> =>
  (await system.query<{ l: Listened }>(`select listen_numbers(now() + make_interval(mins => $1)) as l`, [minutes]))[0]?.l ?? {
    wake: [],
    deaf: [],
    hears: [],
  };
const all = Array.from({ length: 14 }, (_, index) => index + 1);

test('W16 a deaf number: an unusual silence, one message to itself, no receipt: told, restarted, and over when it hears', async (t) => {
  const system = await silentSystem(t, all);
  system.simulator.trouble({ kind: 'deaf', heals: 'restart' });
  await checkInstancesJob.run(system.ctx, aRun());
  await system.until(
    async () => (await system.query(`select 1 from messages where kind = 'operator' and status = 'sent'`)).length === 1,
    'the test',
  );
  assert.deepEqual(await listen(system, 1), { wake: [], deaf: [], hears: [] }, 'a receipt takes a moment');
  const both = await Promise.all([listen(system, 4), listen(system, 4)]);
  assert.deepEqual(
    both.map(({ deaf }) => deaf.length).toSorted((a, b) => a - b),
    [0, 1],
  );
  await evaluateAlerts(system.ctx, ['seconds']);
  const texts = await system.query<{ text: string }>(`select text from notices where kind = 'alert' order by id`);
  assert.match(texts[0]?.text ?? '', /diz que está conectado e não ouve nada/);
  const claimed = await system.query<{ c: unknown }>(`select claim_restarts('[]') as c`);
  assert.deepEqual(claimed[0]?.c, [{ instance: 'julia-dev', reason: 'deaf', restarts: 1 }]);
  system.simulator.trouble(null);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  system.simulator.inbound({ contactId: ana.id, text: 'alguém aí?' });
  await system.until(async () => (await system.dump()).some((line) => line.endsWith('alguém aí?')), 'heard');
  await system.query(`update instances set deaf_since = deaf_since - interval '10 minutes'`);
  assert.deepEqual((await listen(system)).hears, ['julia-dev']);
});

test('W16 a number that hears: its message to itself is acknowledged, nobody is told, and it is not asked again for 6 hours', async (t) => {
  const system = await silentSystem(t, all);
  await checkInstancesJob.run(system.ctx, aRun());
  await system.until(
    async () => (await system.query(`select 1 from messages where kind = 'operator' and delivered_at is not null`)).length === 1,
    'the receipt',
  );
  for (const minutes of [4, 20, 350]) assert.deepEqual(await listen(system, minutes), { wake: [], deaf: [], hears: [] }, String(minutes));
  assert.deepEqual(await system.query(`select deaf_since from instances`), [{ deaf_since: null }]);
});

test('W16 a silence that is usual asks nothing: a young number, one that nobody writes to at this hour or weekday, one that just heard', async (t) => {
  const cases: [string, readonly number[], string | null][] = [
    ['nobody writes at this hour', [], null],
    ['now and then', [1, 3, 4, 8, 9, 12], null],
    ['never on this weekday', all.filter((day) => day % 7 !== 0), null],
    ['a young number', all, `update instances set created_at = now() - interval '5 days'`],
    ['connected a moment ago', all, `update instances set status_at = now() - interval '20 minutes'`],
    ['not connected', all, `update instances set status = 'close'`],
    ['somebody wrote', all, `update messages set created_at = now() - interval '10 minutes' where provider_id = 'OLD1'`],
  ];
  for (const [name, days, change] of cases) {
    const system = await silentSystem(t, days);
    if (change !== null) await system.query(change);
    assert.deepEqual(await listen(system), { wake: [], deaf: [], hears: [] }, name);
    await system.close();
  }
});
