import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimSend } from '../../src/outbox/calls.ts';
import { startSystem } from '../support/system.ts';

const SENTENCE = 'Esta é uma frase de exemplo com um tamanho razoável para uma conversa. ';

test('O8 X3 the contact writes between two parts: the rest is withdrawn, and the next answer knows what was said', async (t) => {
  const system = await startSystem(t, { env: { HUMAN_DELAY: 'true', LLM_MAX_TOKENS: '1000' } });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([
    { match: 'explica', text: `PRIMEIRA ${SENTENCE.repeat(5)}SEGUNDA ${SENTENCE.repeat(5)}TERCEIRA ${SENTENCE.repeat(5)}` },
    { match: 'espera', text: 'Claro, o que houve?' },
  ]);
  system.simulator.inbound({ contactId: maria.id, text: 'me explica tudo' });
  await system.simulator.waitFor((wire) => wire.sends.some((send) => send.text.startsWith('PRIMEIRA')), 20_000);
  system.simulator.inbound({ contactId: maria.id, text: 'espera!' });
  await system.simulator.waitFor((wire) => wire.sends.some((send) => send.text === 'Claro, o que houve?'), 20_000);
  await system.until(
    async () => !(await system.dump()).some((line) => line.includes('queued') || line.includes('sending')),
    'an empty lane',
  );

  const wire = system.simulator.sends().map((send) => send.text.split(' ')[0]);
  assert.deepEqual(wire, ['PRIMEIRA', 'Claro,']);
  const cancelled = (await system.dump()).filter((line) => line.includes('cancelled(contact_wrote)'));
  assert.ok(cancelled.length >= 1);
  const last = system.simulator.wire().claude.at(-1)?.request as { messages: { role: string; content: unknown }[] } | undefined;
  const [said, told] = ['assistant', 'user'].map((role) => JSON.stringify(last?.messages.filter((each) => each.role === role)));
  assert.match(said ?? '', /PRIMEIRA/, 'what was said is in the prompt');
  assert.doesNotMatch(said ?? '', /SEGUNDA|TERCEIRA/, 'I20: what was withdrawn is none of our lines');
  assert.match(told ?? '', /\[sistema: não foi enviado, o cliente escreveu antes: .*TERCEIRA/, 'but the model knows of it');
});

test('O8 nothing of the answer had left: its question is unanswered again and both are answered together', async (t) => {
  const system = await startSystem(t, { env: { HUMAN_DELAY: 'true' } });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([
    { match: 'e o preço', text: 'Abrimos às 8h, e o preço a equipe confirma.' },
    { match: 'horário', text: 'Abrimos às 8h. '.repeat(20) },
  ]);
  system.simulator.inbound({ contactId: maria.id, text: 'qual o horário?' });
  // The answer is typed: it is committed, and nothing of it is on the wire.
  await system.simulator.waitFor((wire) => wire.presences.length > 0, 20_000);
  system.simulator.inbound({ contactId: maria.id, text: 'e o preço?' });
  await system.simulator.waitFor((wire) => wire.sends.length > 0, 20_000);
  await system.until(async () => (await system.dump()).some((line) => line.includes('delivered')), 'the ack');
  assert.deepEqual(
    system.simulator.sends().map((send) => send.text),
    ['Abrimos às 8h, e o preço a equipe confirma.'],
  );
  assert.deepEqual(
    (await system.dump()).filter((line) => line.startsWith('in')),
    ['in contact answered: qual o horário?', 'in contact answered: e o preço?'],
  );
});

test('O8 WITHDRAW_UNSENT_PARTS=false: all parts leave although the contact writes', async (t) => {
  const system = await startSystem(t, { env: { HUMAN_DELAY: 'true', WITHDRAW_UNSENT_PARTS: 'false' } });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([
    { match: 'explica', text: `PRIMEIRA ${SENTENCE.repeat(5)}SEGUNDA ${SENTENCE}` },
    { match: 'espera', text: 'Claro.' },
  ]);
  system.simulator.inbound({ contactId: maria.id, text: 'me explica tudo' });
  await system.simulator.waitFor((wire) => wire.sends.some((send) => send.text.startsWith('PRIMEIRA')), 20_000);
  system.simulator.inbound({ contactId: maria.id, text: 'espera!' });
  await system.simulator.waitFor((wire) => wire.sends.some((send) => send.text === 'Claro.'), 25_000);
  assert.deepEqual(
    system.simulator.sends().map((send) => send.text.split(' ')[0]),
    ['PRIMEIRA', 'SEGUNDA', 'Claro.'],
  );
});

test('X3 typing extends the debounce up to its cap: what is still being written belongs to the same turn', async (t) => {
  const system = await startSystem(t, { env: { DEBOUNCE_MS: '5000', DEBOUNCE_MAX_MS: '30000' } });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ match: 'horário', text: 'Às 8h.' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'oi' });
  const woken = () => system.lines.filter((line) => line.message === 'Turn woken').map((line) => Number(line.context['delay_ms']));
  await system.until(() => woken().some((ms) => ms <= 5000), 'the debounce');
  // The typing that the message itself ended says nothing.
  system.simulator.typing({ contactId: maria.id, presence: 'composing', force: true });
  await system.query(`update messages set created_at = created_at - interval '1 second' where created_at > now() - interval '2 seconds'`);
  system.simulator.typing({ contactId: maria.id, presence: 'composing', force: true });
  await system.until(() => woken().some((ms) => ms > 5_000), 'the longer wait');
  system.simulator.inbound({ contactId: maria.id, text: 'qual o horário?' });
  await system.simulator.waitFor((wire) => wire.sends.length > 0, 20_000);
  await system.until(
    async () => (await system.dump()).filter((line) => line.startsWith('in contact answered')).length === 2,
    'both answered',
  );
  assert.equal(system.simulator.wire().claude.length, 1, 'one turn, one call');
});

test('O2 a worker died between claim and wire: not found where Evolution keeps the chat, the message is sent once after all', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ match: 'oi', text: 'Olá, Maria!' }]);
  const turns = await system.addWorker();
  system.simulator.fault({
    target: 'send',
    kind: 'status',
    status: 500,
    body: { status: 500, error: 'Internal Server Error', response: { message: 'Connection Closed' } },
    times: 1,
  });
  system.simulator.inbound({ contactId: maria.id, text: 'oi' });
  // The first try surely did not leave; the worker goes away before the second.
  await system.until(async () => (await system.dump()).some((line) => line.includes('queued(connection_closed)')), 'the retry');
  await turns.stop(2_000);
  await system.query(`update messages set due_at = now() where status = 'queued'`);
  const [row] = await system.query<{ conversation_id: string }>('select conversation_id from messages limit 1');
  const claim = await claimSend(system.ctx.db, Number(row?.conversation_id), system.ctx.sendPolicy, 0);
  assert.equal(claim.action, 'send');
  // Dead now, and long enough ago.
  await system.query(
    `update messages set claimed_at = now() - interval '3 minutes', lease_until = now() - interval '1 second' where status = 'sending'`,
  );
  await system.addWorker();
  await system.ctx.queues.wakeSend(Number(row?.conversation_id));
  await system.until(async () => (await system.dump()).some((line) => line.includes('delivered: Olá')), 'the answer');
  assert.equal(system.simulator.sends({ sent: true }).length, 1);
});
