/** What a hole of the gateway lets strangers send, and Evolution then keeps: put aside at the door, it does not come back when Evolution is asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../src/crons/reconcile-inbox.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const HOUR = 3_600_000;
const MARIA = '5511912340001';
const STRANGER = '5511912340002';

type Forged = { system: System; maria: string; stranger: string };

/** A number that has been here for a day; webhooks are posted by the test alone. */
async function quiet(t: { after(hook: () => Promise<void>): void }): Promise<Forged> {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`update instances set created_at = now() - interval '1 day'`);
  system.simulator.setWebhook(null);
  const maria = system.simulator.addContact({ name: 'Maria', phone: MARIA }).id;
  return { system, maria, stranger: system.simulator.addContact({ name: 'Estranho', phone: STRANGER }).id };
}

async function post(system: System, id: string, text: string, beside: object = {}, phone = MARIA): Promise<void> {
  const data = {
    key: { remoteJid: `${phone}@s.whatsapp.net`, fromMe: false, id },
    message: { conversation: text },
    messageTimestamp: Math.floor(Date.now() / 1000) - 300,
    ...beside,
  };
  assert.equal((await system.webhook({ event: 'messages.upsert', instance: INSTANCE, data })).status, 200);
}

const marked = { requestId: '3EB0AA' };
const compare = async (system: System) => {
  await system.query(`update instances set reconciled_at = null`);
  return reconcile(system.ctx, INSTANCE);
};
async function counted(system: System): Promise<number> {
  const metrics = await (await fetch(`${system.url}/metrics`)).text();
  return Number(/^julia_webhooks_total\{[^}]*outcome="forged"[^}]*\} (\d+)/m.exec(metrics)?.[1] ?? 0);
}

test('Z4 what the door put aside as forged is dropped by the comparison with Evolution too, and counted once, however often it looks', async (t) => {
  const { system, maria } = await quiet(t);
  const { id } = system.simulator.inbound({ contactId: maria, text: 'cancele tudo', ageMs: 300_000 });
  system.simulator.inbound({ contactId: maria, text: 'bom dia', ageMs: 200_000 });
  await post(system, id, 'cancele tudo', marked);
  assert.equal(await counted(system), 1);
  assert.equal(await compare(system), 1, 'the real one was missing');
  assert.equal(await compare(system), 0);
  assert.equal(await compare(system), 0);
  assert.deepEqual(await system.dump(), ['in contact received: bom dia']);
  assert.equal(await counted(system), 2);
  assert.equal((await system.query(`select from webhook_events where event = 'reconcile' and 'forged_resend' = any (ignored)`)).length, 1);
});

test('Z4 the same message without the mark is the real one: it is stored after all, and a mark that comes later changes nothing', async (t) => {
  const { system, maria } = await quiet(t);
  const { id } = system.simulator.inbound({ contactId: maria, text: 'oi', ageMs: 300_000 });
  await post(system, id, 'oi', marked);
  assert.equal(await compare(system), 0);
  await post(system, id, 'oi');
  assert.deepEqual(await system.dump(), ['in contact received: oi']);
  assert.deepEqual(await system.query('select from forged_messages'), []);
  await post(system, id, 'oi', marked);
  assert.equal(await compare(system), 0);
  assert.deepEqual(await system.dump(), ['in contact received: oi']);
});

test('Z4 whoever chooses the id of a message in another chat lifts nothing', async (t) => {
  const { system, maria } = await quiet(t);
  const { id } = system.simulator.inbound({ contactId: maria, text: 'cancele tudo', ageMs: 300_000 });
  await post(system, id, 'cancele tudo', marked);
  await post(system, id, 'meu', {}, STRANGER);
  assert.equal(await compare(system), 0);
  // and marked in both chats, it is never lifted
  await post(system, id, 'meu', marked, STRANGER);
  await post(system, id, 'meu', {}, STRANGER);
  assert.equal(await compare(system), 0);
  assert.deepEqual(await system.dump(), ['in contact received: meu']);
});

test('Z4 a forged message is known for as long as a comparison may look at it: three days, and from the time on that it claims', async (t) => {
  const { system } = await quiet(t);
  await post(system, 'NOW', 'agora', marked);
  await post(system, 'LATER', 'depois', { ...marked, messageTimestamp: Math.floor((Date.now() + 100 * 24 * HOUR) / 1000) });
  const left = async (days: number) => {
    await system.query(`select purge_old('{}', 1000, now() + make_interval(days => $1))`, [days]);
    return (await system.query('select from forged_messages')).length;
  };
  assert.deepEqual([await left(2), await left(4), await left(102)], [2, 1, 1]);
  await system.query(`update instances set restored_at = now()`);
  assert.equal(await left(104), 1, 'a comparison after a restore looks back further');
  await system.query(`update instances set restored_at = null`);
  assert.equal(await left(104), 0);
});

test('Z4 a forged message of our own is no proof that a send has left', async (t) => {
  const { system } = await quiet(t);
  const of = (ids: string[]) => system.query(`select known_provider_ids($1, $2, 1) as known`, [INSTANCE, JSON.stringify(ids)]);
  await post(system, 'OURS1', 'Certo!', { ...marked, key: { remoteJid: `${MARIA}@s.whatsapp.net`, fromMe: true, id: 'OURS1' } });
  assert.deepEqual(await of(['OURS1', 'OURS2']), [{ known: ['OURS1'] }]);
});
