/** A stored day on today's code: what was decided by the real processes is decided again, and what differs is named with both reasons. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rehearse } from '../../rehearsal/rehearse.ts';
import { readDay } from '../../rehearsal/stored.ts';
import { startSystem } from '../support/system.ts';

const HOUR_MS = 3_600_000;

test('X14 rehearsal: a day is decided again as it was, and a decision that differs is named with both reasons', async (t) => {
  const system = await startSystem(t, { env: { DEBOUNCE_MS: '200', DEBOUNCE_MAX_MS: '1000' }, workers: 1 });
  const { simulator } = system;
  const [ana, bia] = [
    simulator.addContact({ name: 'Ana', phone: '5511912340001' }),
    simulator.addContact({ name: 'Bia', phone: '5511912340002' }),
  ];
  const asked = simulator.inbound({ contactId: ana.id, text: 'Oi, tudo bem?' });
  simulator.inbound({ contactId: bia.id, text: 'Quero parar de receber mensagens' });
  const settled = async (inbound: number): Promise<boolean> => {
    const [row] = await system.query<{ done: number; open: number }>(
      `select count(*) filter (where direction = 'in' and status <> 'received')::int as done,
         count(*) filter (where status in ('received', 'queued', 'sending', 'uncertain', 'sent'))::int as open from messages`,
    );
    return row?.done === inbound && row.open === 0;
  };
  await system.until(() => settled(2), 'both are answered and their answers delivered');
  const now = Date.now();
  const read = () => readDay(system.databaseUrl, new Date(now - HOUR_MS), new Date(now + HOUR_MS));

  const same = await rehearse(await read());
  assert.deepEqual(same.differences, []);
  assert.equal(same.messages, 2);
  assert.ok(same.events >= 4, `${same.events} events: the words, echoes and receipts`);

  // As if the code of then had left the one aside, and had met the other for the second time.
  await system.query(`update messages set status = 'skipped', reason = 'too_old' where provider_id = $1`, [asked.id]);
  await system.query(
    `update webhook_events set results = '[{"outcome": "repeated"}]' where body -> 'data' -> 'key' ->> 'id' = $1 and event = 'messages.upsert'`,
    [asked.id],
  );
  const { differences } = await rehearse(await read());
  assert.deepEqual(
    differences.map(({ what, was, is }) => [what, was, is]),
    [
      ['event', 'repeated', 'stored'],
      ['message', 'skipped (too_old)', 'answered'],
    ],
  );
});
