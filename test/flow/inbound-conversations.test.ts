/** What becomes of messages on their way through webhook, queue, turn and sender: bursts, order, people, addresses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import { SignJWT } from 'jose';
import { flushPostgresQueue } from '../../scripts/lib/postgres-queue.ts';
import { INSTANCE, JWT_SECRET, startSystem, testedVersion } from '../support/system.ts';
import { promptIn } from '../support/turns.ts';
import type { System } from '../support/system.ts';

const MARIA = '5511912345678';

for (const queue of ['postgres', 'redis'] as const) {
  test(`I2 dedupe: the same message five times at once, and again later with the queue flushed: one row, one turn, one answer (${queue})`, async (t) => {
    const system = await startSystem(t, { queue });
    system.simulator.script([{ text: 'Certo!', repeat: true }]);
    const body = upsert('SAME', 'Oi');
    const statuses = await Promise.all(Array.from({ length: 5 }, async () => (await system.webhook(body)).status));
    assert.deepEqual(statuses, [200, 200, 200, 200, 200]);
    await answers(system, 1);
    if (system.redis) {
      const redis = new Redis(system.redis.url);
      await redis.flushall();
      redis.disconnect();
    } else {
      await flushPostgresQueue((sql) => system.query(sql));
    }
    assert.equal((await system.webhook(body)).status, 200);
    // A message after it goes the whole way, so the repeat had its chance.
    await system.webhook(upsert('NEXT', 'E agora?'));
    await answers(system, 2);
    assert.deepEqual(await system.query('select status from turns'), [{ status: 'committed' }, { status: 'committed' }]);
    assert.deepEqual(
      (await system.dump()).filter((line) => line.startsWith('in ')),
      ['in contact answered: Oi', 'in contact answered: E agora?'],
    );
  });
}

test('I3 debounce: three messages inside the window are one turn, one call with all three in order, one answer', async (t) => {
  const system = await startSystem(t, { env: { DEBOUNCE_MS: '1500', DEBOUNCE_MAX_MS: '10000' } });
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  for (const text of ['Oi', 'tudo bem?', 'queria um orçamento']) await system.webhook(upsert(text, text));
  await answers(system, 1);
  assert.deepEqual(seenTexts(system), [['Oi', 'tudo bem?', 'queria um orçamento']]);
  const [wait] = await system.query<{ ms: number }>(
    'select (extract(epoch from min(t.started_at) - max(m.created_at)) * 1000)::int as ms from messages m join turns t on t.id = m.turn_id where direction = $1',
    ['in'],
  );
  assert.ok((wait?.ms ?? 0) >= 1_400, `the turn began ${wait?.ms} ms after the last of them`);
  assert.deepEqual(await system.query('select status from turns'), [{ status: 'committed' }]);
});

test('I4 during the answer: a message that lands while the model works stops that call; one answer, to both', async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ text: 'resposta velha', delayMs: 60_000 }, { text: 'resposta aos dois' }]);
  await system.webhook(upsert('A', 'primeira'));
  await system.until(() => system.lines.some((line) => line.message === 'Processing message...'), 'the turn under way');
  await system.webhook(upsert('B', 'segunda'));
  await answers(system, 1);
  assert.equal(system.simulator.sends({ sent: true })[0]?.text, 'resposta aos dois');
  assert.deepEqual(
    system.simulator.wire().claude.map((call) => call.status === 200),
    [false, true],
    'the stale call was cut off',
  );
  assert.deepEqual(seenTexts(system).at(-1), ['primeira', 'segunda']);
  assert.deepEqual(await system.query('select status from turns order by id'), [{ status: 'superseded' }, { status: 'committed' }]);
  assert.deepEqual(
    (await system.dump()).filter((line) => line.startsWith('in ')),
    ['in contact answered: primeira', 'in contact answered: segunda'],
  );
});

test('I5 order: two workers, 20 messages in one conversation, shuffled: turns never overlap, each message has one turn, read in the order of the provider', async (t) => {
  const system = await startSystem(t, { workers: 2, env: { DEBOUNCE_MS: '1', DEBOUNCE_MAX_MS: '5' } });
  system.simulator.script([{ text: 'Certo!', repeat: true, delayMs: 40 }]);
  const start = Math.floor(Date.now() / 1000) - 600;
  const order = Array.from({ length: 20 }, (_, index) => (index * 7) % 20);
  await Promise.all(order.map((index) => system.webhook(upsert(`M${index}`, `mensagem ${index}`, { at: start + index }))));
  await system.until(
    async () => (await system.query(`select 1 from messages where direction = 'in' and status <> 'answered'`)).length === 0,
    'all answered',
  );
  assert.deepEqual(
    await system.query('select a.id from turns a join turns b on a.id < b.id where a.ended_at is null or b.started_at < a.ended_at'),
    [],
  );
  const perTurn = await system.query<{ texts: string[] }>(
    'select array_agg(text order by provider_at, seq) as texts from messages where turn_id is not null and direction = $1 group by turn_id order by turn_id',
    ['in'],
  );
  assert.deepEqual(perTurn.flatMap((turn) => turn.texts).toSorted(), order.map((index) => `mensagem ${index}`).toSorted());
  // Superseded calls saw a part of what the next one saw; the last of each turn saw its messages in order.
  const seen = seenTexts(system);
  for (const { texts } of perTurn)
    assert.ok(
      seen.some((list) => list.join('|').endsWith(texts.join('|'))),
      `seen in order: ${texts.join(', ')}`,
    );
});

for (const echo of ['first', 'late'] as const) {
  test(`I6 own messages: what we send is echoed ${echo} and is no takeover; what a person types pauses the agent in that conversation only`, async (t) => {
    const system = await startSystem(t, { simulator: { echo }, env: { TAKEOVER_MINUTES: '45' } });
    system.simulator.script([{ text: 'Certo!', repeat: true }]);
    const maria = system.simulator.addContact({ name: 'Maria', phone: MARIA });
    const joao = system.simulator.addContact({ name: 'João', phone: '5511977776666' });
    system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
    await system.until(async () => (await system.dump()).includes('out agent delivered: Certo!'), 'the answer delivered');
    await system.simulator.waitFor((wire) => wire.webhooks.some((webhook) => webhook.event === 'send.message' && webhook.status === 200));
    assert.deepEqual(await system.query('select takeover_until from conversations'), [{ takeover_until: null }]);
    assert.equal((await system.dump()).length, 2, 'the echo is no message of its own');

    system.simulator.owner({ contactId: maria.id, text: 'Oi Maria, aqui é a Ana' });
    await system.until(
      async () => (await system.dump()).some((line) => /^out human (sent|delivered): Oi Maria, aqui é a Ana$/.test(line)),
      'what she typed',
    );
    system.simulator.inbound({ contactId: maria.id, text: 'Oi Ana!' });
    system.simulator.inbound({ contactId: joao.id, text: 'Bom dia' });
    await system.until(async () => (await system.dump()).includes('in contact handed_over(takeover): Oi Ana!'), 'left to her');
    await answers(system, 2);
    const [minutes] = await system.query<{ minutes: number }>(
      'select round(extract(epoch from takeover_until - takeover_since) / 60)::int as minutes from conversations where takeover_until is not null',
    );
    assert.equal(minutes?.minutes, 45);
    // Her time is over: the next message is answered, and the model has read what she wrote.
    await system.query(`update conversations set takeover_until = now() - interval '1 second' where takeover_until is not null`);
    system.simulator.inbound({ contactId: maria.id, text: 'E o prazo?' });
    await answers(system, 3);
    assert.ok(JSON.stringify(system.simulator.wire().claude.at(-1)?.request).includes('[pessoa da equipe] Oi Maria, aqui é a Ana'));
  });
}

test('I7 groups: groups, status, broadcasts, newsletters and our own number are neither stored nor answered', async (t) => {
  const system = await startSystem(t);
  for (const jid of [
    '120363043111111111@g.us',
    'status@broadcast',
    '1700000000@broadcast',
    '120363043222222222@newsletter',
    '5511900000002@s.whatsapp.net',
  ]) {
    for (const fromMe of [false, true]) {
      const body = upsert(`X${jid}${fromMe}`, 'Oi', { jid, fromMe });
      assert.equal((await system.webhook({ ...body, sender: '5511900000002:7@s.whatsapp.net' })).status, 200);
    }
  }
  await system.webhook(upsert('DIRECT', 'Oi'));
  await answers(system, 1);
  assert.deepEqual(
    (await system.dump()).filter((line) => line.startsWith('in ')),
    ['in contact answered: Oi'],
  );
  assert.deepEqual(await system.query('select count(*)::int as n from conversations'), [{ n: 1 }]);
});

test('I8 lid: a person with a hidden number is answered at the lid; when the number shows, history and contact become one and the answer arrives', async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const maria = system.simulator.addContact({ name: 'Maria', phone: MARIA, lid: '123456789012345', addressing: 'lid-hidden' });
  system.simulator.inbound({ contactId: maria.id, text: 'um' });
  await answers(system, 1);
  system.simulator.updateContact(maria.id, { addressing: 'pn' });
  system.simulator.inbound({ contactId: maria.id, text: 'dois' });
  await answers(system, 2);
  // 2.3.6 names the other address of a chat only where WhatsApp hides the phone; newer ones always, and they write the phone over the lid.
  const old = testedVersion() === '2.3.6';
  assert.deepEqual(
    await system.query('select count(*)::int as n from contacts where merged_into is null'),
    [{ n: old ? 2 : 1 }],
    'for 2.3.6 nothing says yet that they are one',
  );
  system.simulator.updateContact(maria.id, { addressing: 'lid' });
  system.simulator.inbound({ contactId: maria.id, text: 'três' });
  await answers(system, 3);
  assert.deepEqual(
    system.simulator.sends({ sent: true }).map((send) => send.jid),
    ['123456789012345@lid', `${MARIA}@s.whatsapp.net`, old ? '123456789012345@lid' : `${MARIA}@s.whatsapp.net`],
  );
  assert.deepEqual(await system.query('select count(*)::int as n from contacts where merged_into is null'), [{ n: 1 }]);
  assert.deepEqual(await system.query('select count(distinct conversation_id)::int as n from messages'), [{ n: 1 }]);
  assert.ok(
    ['um', 'dois', 'três'].every((text) => JSON.stringify(system.simulator.wire().claude.at(-1)?.request).includes(`"${text}"`)),
    'the model reads one history',
  );
});

test('I12 numbers: with and without the ninth digit, from a jid and as people write it, it is one contact', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  for (const user of ['5511999999999', '551199999999', '5511999999999:12'])
    await system.webhook(upsert(user, user, { jid: `${user}@s.whatsapp.net` }));
  const token = await new SignJWT({ sub: 'test', role: 'admin', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('5m')
    .sign(new TextEncoder().encode(JWT_SECRET));
  for (const to of ['11 99999-9999', '+55 (11) 99999-9999', '5511999999999', '0055 11 9999 9999', '1199999999']) {
    const response = await fetch(`${system.url}/api/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ to, text: to, kind: 'manual' }),
    });
    assert.equal(response.status, 202, to);
  }
  assert.deepEqual(await system.query('select kind, address from contact_addresses'), [{ kind: 'pn', address: '5511999999999' }]);
  assert.deepEqual(
    await system.query('select count(distinct conversation_id)::int as conversations, count(*)::int as messages from messages'),
    [{ conversations: 1, messages: 8 }],
  );
});

type Extra = { at?: number; jid?: string; fromMe?: boolean };

function upsert(id: string, text: string, extra: Extra = {}): Record<string, unknown> {
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: extra.jid ?? `${MARIA}@s.whatsapp.net`, fromMe: extra.fromMe ?? false, id },
      pushName: 'Maria',
      message: { conversation: text },
      messageType: 'conversation',
      messageTimestamp: extra.at ?? Math.floor(Date.now() / 1000),
    },
  };
}

/** Resolves when so many messages have left; fails when there are more. */
async function answers(system: System, count: number): Promise<void> {
  await system.until(async () => {
    const [row] = await system.query<{ n: number }>(
      `select count(*)::int as n from messages where author = 'agent' and status in ('sent', 'delivered', 'read')`,
    );
    return row?.n === count;
  }, `${count} answers`);
  assert.equal(system.simulator.sends({ sent: true }).length, count);
}

/** The new texts of each call of the model: those after its last answer. */
function seenTexts(system: System): string[][] {
  return system.simulator.wire().claude.map(({ model, request }) => {
    const { texts } = promptIn(model, request);
    return texts.slice(texts.findLastIndex((text) => text.startsWith('assistant: ')) + 1).map((text) => text.slice('user: '.length));
  });
}
