/** A turn's job sends what the turn wrote: after the death of the worker that wrote it too, and never with all places of a worker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWorker } from '../../src/worker.ts';
import { startSystem } from '../support/system.ts';
import { openStage, turn } from '../support/turns.ts';

test('O1 a worker that died between its commit and the send: whoever takes up the job of its turn sends the answer', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Abrimos às oito.' }]);
  const conversation = await stage.hear('oi');
  assert.deepEqual(await turn(stage.ctx, conversation), { kind: 'done' });
  assert.deepEqual(await stage.system.dump(), ['in contact answered: oi', 'out agent queued: Abrimos às oito.']);
  assert.deepEqual((await stage.ctx.queues.counts()).send, { wait: 0, delayed: 0, active: 0, prioritized: 0 }, 'nobody has woken the lane');
  const worker = await startWorker(stage.ctx);
  t.after(() => worker.stop(1_000));
  await stage.ctx.queues.wakeTurn(conversation, 0); // as BullMQ does with the job of a worker that is gone
  await stage.system.simulator.waitFor((wire) => wire.sends.some((send) => send.id !== null), 15_000);
  assert.deepEqual(
    stage.system.simulator.sends().map((send) => send.text),
    ['Abrimos às oito.'],
  );
});

test('O9 sends that do not come back take half of the places for turns at most: somebody else is answered meanwhile', async (t) => {
  const system = await startSystem(t, { env: { WORKER_CONCURRENCY: '4', DEBOUNCE_MS: '0', HUMAN_DELAY: 'false' } });
  const gate = Promise.withResolvers<void>();
  const stuck = 4;
  system.simulator.fault({ target: 'send', kind: 'slow', ms: 0, times: stuck, match: { text: 'devagar' }, until: gate.promise });
  system.simulator.script([
    { match: 'lento', text: 'devagar', repeat: true },
    { match: 'urgente', text: 'ligeiro' },
  ]);
  for (let index = 0; index < stuck; index++) {
    const { id } = system.simulator.addContact({ name: `Contato ${index}`, phone: `551197300000${index}` });
    system.simulator.inbound({ contactId: id, text: 'lento' });
  }
  await system.simulator.waitFor((wire) => wire.sends.length === stuck, 20_000);
  const { id } = system.simulator.addContact({ name: 'Maria', phone: '5511973000009' });
  system.simulator.inbound({ contactId: id, text: 'urgente' });
  await system.simulator.waitFor((wire) => wire.sends.some((send) => send.text === 'ligeiro' && send.id !== null), 20_000);
  assert.ok(
    system.simulator
      .wire()
      .sends.filter((send) => send.text === 'devagar')
      .every((send) => send.id === null),
    'the others have not left yet',
  );
  gate.resolve();
  await system.simulator.waitFor((wire) => wire.sends.filter((send) => send.id !== null).length === stuck + 1, 20_000);
});
