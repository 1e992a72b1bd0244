/** Who speaks with our number and to it, through the front door: the owner under another address, the phone by itself, machines of WhatsApp's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handoffsJob } from '../../src/crons/handoffs.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const OURS = '5511900000002@s.whatsapp.net';
let ids = 0;

type Upsert = { key: object; message?: object; pushName?: string; secondsAgo?: number; event?: string };

/** One message as Evolution posts it; resolves with its id once it is answered with 200. */
async function post(system: System, { key, message, pushName, secondsAgo = 0, event = 'messages.upsert' }: Upsert): Promise<string> {
  const id = `3A${String(++ids).padStart(18, '0')}`;
  const data = {
    key: { fromMe: false, id, ...key },
    pushName: pushName ?? null,
    message: message ?? {},
    messageType: 'conversation',
    messageTimestamp: Math.floor(Date.now() / 1000) - secondsAgo,
  };
  const { status } = await system.webhook({ event, instance: 'julia-dev', sender: OURS, data });
  assert.equal(status, 200);
  return id;
}

function texts(system: System): string[] {
  return system.simulator.sends().map((send) => send.text ?? '');
}

test('W6 F2: the owner writes in the lid chat of a contact that is known by its phone: one conversation, and the agent is quiet', async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ match: '', text: 'Oi! Em que posso ajudar?', repeat: true }]);
  const pn = '5511916970383@s.whatsapp.net';
  await post(system, { key: { remoteJid: pn }, message: { conversation: 'oi' } });
  await system.until(() => texts(system).length === 1, 'the answer');
  await post(system, {
    key: { remoteJid: '119169703847771@lid', remoteJidAlt: pn, addressingMode: 'lid', fromMe: true },
    message: { conversation: 'Oi, aqui é a Ana, já te respondo' },
  });
  const waits = await post(system, { key: { remoteJid: pn }, message: { conversation: 'ok, aguardo' } });
  await system.until(
    async () =>
      (await system.query(`select 1 from messages where provider_id = $1 and status = 'handed_over' and reason = 'takeover'`, [waits]))[0],
    'the message is left to Ana',
  );
  assert.equal(texts(system).length, 1);
  assert.deepEqual(await system.query('select count(*)::int as n from conversations'), [{ n: 1 }]);
});

test('W6 F4: the greeting of the phone and messages without words quiet nobody; people are told once, and the customers are answered', async (t) => {
  const system = await startSystem(t, { slack: 'webhook' });
  system.simulator.script([{ match: '', text: 'Temos bolo, sim!', repeat: true }]);
  const jids = Array.from({ length: 4 }, (_, n) => `551191697039${n}0@s.whatsapp.net`);
  for (const remoteJid of jids) {
    await post(system, { key: { remoteJid }, message: { conversation: 'oi, tem bolo?' } });
    await post(system, {
      key: { remoteJid, fromMe: true },
      message: { conversation: 'Olá! Agradecemos seu contato. Como podemos ajudar?' },
    });
  }
  for (const message of [
    {},
    { messageContextInfo: { deviceListMetadataVersion: 2 } },
    { placeholderMessage: { type: 'MASK_LINKED_DEVICES' } },
  ])
    await post(system, { key: { remoteJid: jids[0], fromMe: true }, message });
  await system.until(() => texts(system).filter((text) => text === 'Temos bolo, sim!').length === 4, 'four answers');
  assert.deepEqual(await system.query(`select count(*)::int as n from conversations where takeover_until is not null`), [{ n: 0 }]);

  const ctx = await system.openContext('scheduler');
  const tick = () => handoffsJob.run(ctx, { tick: new Date(), signal: new AbortController().signal });
  assert.deepEqual(await Promise.all([tick(), tick()]).then((counts) => counts.includes(1)), true);
  const told = await system.until(() => system.simulator.slackTexts()[0], 'the notice');
  assert.match(told, /O celular do número julia-dev responde sozinho a quem escreve: "Olá! Agradecemos seu contato/);
  assert.equal(await tick(), 0);
  assert.deepEqual(await system.query(`select count(*)::int as n from notices where kind = 'greeting'`), [{ n: 1 }]);
});

test("W11 F5: machines of WhatsApp's own are never answered, and leave their reason", async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ match: '', text: 'Oi!', repeat: true }]);
  const meta = { conversation: 'A capital da França é Paris.' };
  await post(system, { key: { remoteJid: '13135550002@s.whatsapp.net' }, pushName: 'Meta AI', message: meta });
  await post(system, { key: { remoteJid: '867051314767696@bot' }, pushName: 'Meta AI', message: meta });
  await post(system, { key: { remoteJid: '0@s.whatsapp.net' }, pushName: 'WhatsApp', message: { conversation: 'Novidades!' } });
  await post(system, { key: { remoteJid: '5511912345678@s.whatsapp.net' }, message: { conversation: 'oi' } });
  await system.until(async () => (await system.dump()).includes('out agent delivered: Oi!'), 'the answer to a person');
  assert.deepEqual(await system.dump(), [
    'in contact skipped(whatsapp_machine): A capital da França é Paris.',
    'in contact answered: oi',
    'out agent delivered: Oi!',
  ]);
  assert.equal(texts(system).length, 1);
  const left = await system.query<{ reason: string }>(
    `select r ->> 'reason' as reason from webhook_events w, jsonb_array_elements(w.results) r where r ->> 'outcome' = 'ignored'`,
  );
  assert.deepEqual(left, [{ reason: 'machine' }, { reason: 'machine' }]);
});
