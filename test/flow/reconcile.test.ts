/** Messages whose webhook never came are found at Evolution, each once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile, reconcileInboxJob } from '../../src/crons/reconcile-inbox.ts';
import { INSTANCE, startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

const MINUTE = 60_000;
const RUN = { tick: new Date(), signal: new AbortController().signal };

/** A number that has been here for a day, whose webhooks Evolution then drops. */
async function deafSystem(t: { after(hook: () => Promise<void>): void }, workers: number): Promise<System> {
  const system = await startSystem(t, { workers });
  await system.query(`update instances set created_at = now() - interval '1 day'`);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  system.simulator.setWebhook(null);
  return system;
}

function hearsAgain(system: System): void {
  system.simulator.setWebhook(`${system.url}/webhook/evolution`, WEBHOOK_SECRET);
}

const inbound = async (system: System) => (await system.dump()).filter((line) => line.startsWith('in ')).toSorted();

test('X2 I15 on the timer: after half an hour of dropped events each message comes back once: the young answered, the old listed to a person', async (t) => {
  const system = await deafSystem(t, 1);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  const bia = system.simulator.addContact({ name: 'Bia', phone: '5511912340002', addressing: 'lid-hidden' });
  const caio = system.simulator.addContact({ name: 'Caio', phone: '5511912340003' });
  system.simulator.inbound({ contactId: ana.id, text: 'antiga', ageMs: 121 * MINUTE });
  system.simulator.inbound({ contactId: bia.id, text: 'nova', ageMs: 29 * MINUTE });
  const late = system.simulator.inbound({ contactId: caio.id, text: 'atrasada', ageMs: 5 * MINUTE });
  hearsAgain(system);
  // Two schedulers, and a worker told by a reconnect: all at once.
  const schedulers = [await system.openContext('scheduler'), await system.openContext('scheduler')];
  const found = await Promise.all([...schedulers.map((ctx) => reconcileInboxJob.run(ctx, RUN)), reconcile(system.ctx, INSTANCE)]);
  // Whoever comes second finds what the first has left.
  assert.ok(found.reduce<number>((sum, each) => sum + Number(each), 0) >= 3, JSON.stringify(found));
  // And Evolution's own retry comes after all.
  await system.simulator.repeatWebhook({ messageId: late.id });
  await system.until(() => system.simulator.sends({ sent: true }).length >= 2, 'two answers');
  await system.until(async () => (await inbound(system)).every((line) => !line.startsWith('in contact received')), 'all have an outcome');
  assert.deepEqual(await inbound(system), [
    'in contact answered: atrasada',
    'in contact answered: nova',
    'in contact skipped(too_old): antiga',
  ]);
  assert.deepEqual(await system.query('select reason, controls from handoffs'), [{ reason: 'too_old', controls: false }]);
  assert.deepEqual(
    new Set(system.simulator.sends({ sent: true }).map((send) => send.number)),
    new Set([`${bia.lid.split('@')[0]}@lid`, '5511912340003@s.whatsapp.net']),
  );
  assert.equal(await reconcileInboxJob.run(system.ctx, RUN), 0, 'nothing is missing any more');
});

test('X2 W15 a message that the database refuses does not stop the comparison: the others of the number are stored, and the other numbers are asked', async (t) => {
  const system = await startSystem(t, { workers: 0, simulator: { instances: [INSTANCE, 'outro'] } });
  await system.query(`insert into instances (name) values ('outro') on conflict do nothing`);
  await system.query(`update instances set created_at = now() - interval '1 day'`);
  await system.query(`alter table messages add constraint poisoned check (text <> 'veneno')`);
  system.simulator.setWebhook(null);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  for (const [index, text] of ['antes', 'veneno', 'depois'].entries())
    system.simulator.inbound({ contactId: ana.id, text, ageMs: (10 - index) * MINUTE });
  system.simulator.inbound({ contactId: ana.id, text: 'ao outro', ageMs: 5 * MINUTE, instance: 'outro' });
  assert.equal(await reconcileInboxJob.run(system.ctx, RUN), 3);
  assert.deepEqual((await inbound(system)).toSorted(), [
    'in contact received: antes',
    'in contact received: ao outro',
    'in contact received: depois',
  ]);
  assert.equal(system.lines.filter(({ level, message }) => level === 'ERROR' && message.startsWith('Message is refused')).length, 1);
});

test('X2 on connection.update open: a number that was away is compared at once, without the timer', async (t) => {
  const system = await deafSystem(t, 1);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  system.simulator.inbound({ contactId: ana.id, text: 'perdida', ageMs: 3 * MINUTE });
  await system.query(`update instances set status = 'connecting'`);
  hearsAgain(system);
  assert.equal(
    (
      await system.webhook({
        event: 'connection.update',
        instance: INSTANCE,
        data: { instance: INSTANCE, state: 'open', statusReason: 200 },
      })
    ).status,
    200,
  );
  await system.until(async () => (await inbound(system)).includes('in contact answered: perdida'), 'found and answered');
  await system.until(() => system.simulator.sends({ sent: true }).length > 0, 'the answer');
  assert.equal(system.simulator.sends({ sent: true }).length, 1);
});

test('X2 an Evolution that does not answer has not been compared: the next run finds what this one could not', async (t) => {
  const system = await deafSystem(t, 0);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  // More than a page, in more than one window.
  for (let index = 0; index < 130; index++)
    system.simulator.inbound({ contactId: ana.id, text: `m${index}`, ageMs: (100 - (index % 90)) * MINUTE });
  const { id } = system.simulator.fault({ target: 'find', kind: 'status', status: 500, times: null });
  assert.equal(await reconcile(system.ctx, INSTANCE), null);
  assert.deepEqual(await inbound(system), []);
  system.simulator.clearFaults(id);
  assert.equal(await reconcile(system.ctx, INSTANCE), 130);
  assert.equal(new Set(await inbound(system)).size, 130);
  assert.equal(await reconcile(system.ctx, INSTANCE), 0);
});

test('X2 I6 a person answered on the phone while the webhooks were dropped: the agent does not answer it once more', async (t) => {
  const system = await deafSystem(t, 1);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  const asked = system.simulator.inbound({ contactId: ana.id, text: 'posso ir amanhã?', ageMs: 50 * MINUTE });
  const told = system.simulator.owner({ contactId: ana.id, text: 'pode sim' });
  const at = Math.floor(Date.now() / 1000) - 40 * 60;
  const upsert = (id: string, fromMe: boolean, text: string, seconds: number) => ({
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: '5511912340001@s.whatsapp.net', fromMe, id },
      message: { conversation: text },
      messageType: 'conversation',
      messageTimestamp: seconds,
    },
  });
  // Forty minutes after, by Evolution's retries, in whatever order.
  assert.equal((await system.webhook(upsert(told.id, true, 'pode sim', at))).status, 200);
  assert.equal((await system.webhook(upsert(asked.id, false, 'posso ir amanhã?', at - 600))).status, 200);
  await system.until(async () => (await inbound(system)).includes('in contact skipped(answered_by_person): posso ir amanhã?'), 'skipped');
  assert.equal(system.simulator.sends().length, 0);
  assert.equal(system.simulator.wire().claude.length, 0, 'and no model is paid for it');
});
