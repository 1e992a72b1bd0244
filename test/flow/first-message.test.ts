import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSystem } from '../support/system.ts';

for (const queue of ['postgres', 'redis'] as const) {
  test(`L1 the first message is answered through webhook, queue, turn, limits and sender (${queue} queue)`, async (t) => {
    const system = await startSystem(t, { queue });
    const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
    system.simulator.script([{ match: 'preço', text: 'Olá, Maria! Vou verificar o preço com a equipe.' }]);
    system.simulator.inbound({ contactId: maria.id, text: 'Oi, qual o preço?' });
    await system.simulator.waitFor((wire) => wire.sends.some((send) => send.text.startsWith('Olá, Maria')), 20_000);
    await system.until(async () => (await system.dump()).some((line) => line.includes('delivered')), 'the ack');
    assert.deepEqual(await system.dump(), [
      'in contact answered: Oi, qual o preço?',
      'out agent delivered: Olá, Maria! Vou verificar o preço com a equipe.',
    ]);
  });
}
