/** Each message once, over many workers at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queueReplies, sendRow } from '../support/sends.ts';
import { startSystem } from '../support/system.ts';

const phoneOf = (base: number, index: number) => `55119${base + index}`;

test('O1 each once: 4 workers, 1,000 items over 125 conversations, woken by everybody', async (t) => {
  const system = await startSystem(t, {
    queue: 'redis',
    workers: 4,
    env: { MAX_RESPOSTAS_POR_HORA: '100000', LOG_LEVEL: 'INFO' },
    simulator: { ackMs: null },
  });
  system.simulator.setWebhook(null); // echoes have tests of their own, here they only take time
  const texts = Array.from({ length: 8 }, (_, part) => `parte ${part}`);
  const lanes: { conversation: number; ids: number[] }[] = [];
  for (let index = 0; index < 125; index++) lanes.push(await queueReplies(system, phoneOf(71_000_000, index), texts));
  const other = await system.openContext('scheduler');
  await Promise.all(
    lanes.flatMap(({ conversation }) => [
      system.ctx.queues.wakeSend(conversation),
      other.queues.wakeSend(conversation),
      other.queues.wakeSendLater(conversation, 1),
    ]),
  );
  await system.simulator.waitFor((wire) => wire.sends.filter((send) => send.id !== null).length >= 1_000, 120_000);
  await system.until(async () => (await system.query(`select 1 from messages where status <> 'sent' limit 1`)).length === 0, 'all sent');
  const sends = system.simulator.sends();
  assert.equal(sends.length, 1_000);
  for (const [index, { ids }] of lanes.entries()) {
    const mine = sends.filter((send) => send.jid === `${phoneOf(71_000_000, index)}@s.whatsapp.net`);
    assert.deepEqual(
      mine.map((send) => send.text),
      texts,
    );
    if (index % 25 === 0)
      assert.deepEqual(
        (await Promise.all(ids.map((id) => sendRow(system, id)))).map((row) => row.provider_id),
        mine.map((send) => send.id),
      );
  }
});
