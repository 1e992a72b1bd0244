/** Voice notes are heard before they are answered, once, and what could not be heard is said, tried again and mended. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryMediaJob } from '../../src/crons/retry-media.ts';
import { runTurn } from '../../src/turns/turn.ts';
import { voiceNote } from '../../simulator/speech.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const MARIA = { name: 'Maria', phone: '5511912345678' };
const note = (text: string) => ({ kind: 'audio' as const, base64: voiceNote(text).toString('base64'), seconds: 4 });
const answers = (system: System) => system.simulator.sends({ kind: 'text', sent: true }).map(({ text }) => text);
const heard = (system: System) => system.simulator.wire().speech.map(({ said }) => said);
const read = (system: System) => JSON.stringify(system.simulator.wire().claude.at(-1));
const texts = async (system: System) =>
  (await system.query<{ text: string }>(`select text from messages where direction = 'in' order by provider_at, seq`)).map(
    ({ text }) => text,
  );
/** As a minute later: what is to be tried again is due, and a worker tries it. */
const retry = async (system: System): Promise<void> => {
  await system.query(`update media_waits set next_at = now() where next_at is not null`);
  await retryMediaJob.run(system.ctx, { tick: new Date(), signal: new AbortController().signal });
  await system.until(async () => (await system.query('select from media_waits where next_at <= now()')).length === 0, 'the tries');
};

test('I10 a voice note is heard before it is answered: the model reads what was said, and so does the history', async (t) => {
  const system = await startSystem(t, { speech: true });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([{ text: 'Abrimos às nove.', repeat: true }]);
  system.simulator.inbound({ contactId: maria.id, media: note('Que horas vocês abrem amanhã?') });
  await system.until(() => answers(system).length === 1, 'the answer');
  assert.match(read(system), /áudio de voz, 4 s, transcrição.*Que horas vocês abrem amanhã\?/);
  assert.deepEqual(await texts(system), ['[áudio de voz, 4 s, transcrição]\nQue horas vocês abrem amanhã?']);
  assert.deepEqual(heard(system), ['Que horas vocês abrem amanhã?']);
});

test('I10 twenty voice notes in a row and a text are one turn, each in the order in which they came', async (t) => {
  const system = await startSystem(t, { speech: true, env: { DEBOUNCE_MS: '700', DEBOUNCE_MAX_MS: '20000' } });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([{ text: 'Anotei tudo.', repeat: true }]);
  // WhatsApp's clock tells whole seconds, and webhooks have no order
  for (let index = 1; index <= 20; index++)
    system.simulator.inbound({ contactId: maria.id, media: note(`item número ${index}`), ageMs: (30 - index) * 1_000 });
  system.simulator.inbound({ contactId: maria.id, text: 'é só isso' });
  await system.until(() => answers(system).length === 1, 'the answer');
  assert.deepEqual(
    (await texts(system)).map((text) => text.split('\n').at(-1)),
    [...Array.from({ length: 20 }, (_, index) => `item número ${index + 1}`), 'é só isso'],
  );
  assert.equal((await system.query('select id from turns')).length, 1);
  assert.equal(heard(system).length, 20);
  const order = [...read(system).matchAll(/item número (\d+)/g)].map(([, index]) => Number(index));
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
});

test('I10 the same file is paid for once: forwarded by another contact, and by two at the same moment', async (t) => {
  const system = await startSystem(t, { speech: true, workers: 2 });
  system.simulator.script([{ text: 'Ok.', repeat: true }]);
  for (const index of [0, 1, 2]) {
    const contact = system.simulator.addContact({ name: `Contato ${index}`, phone: `551191234567${index}` });
    system.simulator.inbound({ contactId: contact.id, media: note('promoção de hoje') });
  }
  await system.until(() => answers(system).length === 3, 'three answers');
  assert.deepEqual(heard(system), ['promoção de hoje']);
  assert.deepEqual(await system.query('select words, reader from media'), [
    { words: 'promoção de hoje', reader: 'whisper-large-v3-turbo' },
  ]);
});

test('I10 what is said aloud means what it says: an opt-out by voice holds', async (t) => {
  const system = await startSystem(t, { speech: true });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.inbound({ contactId: maria.id, media: note('Pare de me mandar mensagem') });
  await system.until(async () => (await system.query('select id from opt_outs where revoked_at is null')).length === 1, 'the opt-out');
  await system.until(() => answers(system).length === 1, 'its confirmation');
});

test('I10 silence and taps are no words: nothing is invented, and the model reads that nothing is said', async (t) => {
  const system = await startSystem(t, { speech: true });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([{ text: 'Não ouvi nada no áudio.', repeat: true }]);
  system.simulator.inbound({ contactId: maria.id, media: note('') });
  await system.until(() => answers(system).length === 1, 'the answer');
  assert.deepEqual(await texts(system), ['[áudio sem fala]']);
  assert.doesNotMatch(read(system), /Amara/);
});

for (const [what, fault] of [
  ['away', { kind: 'drop' }],
  ['out of credit', { kind: 'status', status: 402 }],
  ['answering with a page', { kind: 'answer', body: '<html>busy</html>' }],
] as const) {
  test(`I10 the speech service is ${what}: the contact is answered at once and honestly, then the history is mended and the agent goes on`, async (t) => {
    const system = await startSystem(t, { speech: true });
    const maria = system.simulator.addContact(MARIA);
    system.simulator.script([
      { match: 'ainda não ouvido', text: 'Não consegui ouvir seu áudio agora.', repeat: true },
      { match: 'quanto custa', text: 'Custa dez reais.', repeat: true },
    ]);
    system.simulator.fault({ target: 'speech', ...fault, times: null });
    system.simulator.inbound({ contactId: maria.id, media: note('quanto custa o bolo') });
    await system.until(() => answers(system).length === 1, 'an honest sentence');
    assert.deepEqual(await texts(system), ['[áudio de voz, 4 s, ainda não ouvido]']);
    await retry(system);
    assert.equal(Number((await system.query('select attempts from media_waits'))[0]?.['attempts']), 2);
    system.simulator.clearFaults();
    await retry(system);
    await system.until(() => answers(system).length === 2, 'the answer to what was said');
    assert.deepEqual(answers(system), ['Não consegui ouvir seu áudio agora.', 'Custa dez reais.']);
    assert.deepEqual(await texts(system), ['[áudio de voz, 4 s, transcrição]\nquanto custa o bolo']);
    assert.deepEqual(await system.query('select message_id from media_waits'), []);
  });
}

test('I10 a voice note that is heard while a turn answers it as unheard: that answer never goes, the next one knows what was said', async (t) => {
  const system = await startSystem(t, { speech: true, workers: 0 });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([
    { match: 'quanto custa', text: 'Custa dez reais.', repeat: true },
    { text: 'Não consegui ouvir seu áudio agora.', repeat: true },
  ]);
  system.simulator.fault({ target: 'speech', kind: 'drop', times: null });
  system.simulator.inbound({ contactId: maria.id, media: note('quanto custa o bolo') });
  await system.until(async () => (await system.query('select 1 from inbox')).length === 1, 'the message');
  const [row] = await system.query<{ id: number }>('select id::int from conversations');
  const id = row?.id ?? 0;
  const ctx = await system.openContext('worker');
  let held = false;
  const db = {
    ...ctx.db,
    async call(name: string, args: Record<string, unknown>) {
      if (name === 'complete_turns' && !held) {
        held = true;
        system.simulator.clearFaults();
        await system.query(`update media_waits set next_at = now()`);
        await runTurn(ctx, id, new AbortController().signal);
      }
      return ctx.db.call(name, args);
    },
  };
  await runTurn({ ...ctx, db }, id, new AbortController().signal);
  assert.match(read(system), /ainda não ouvido/);
  assert.deepEqual(await system.query('select status from turns'), [{ status: 'superseded' }]);
  await system.addWorker();
  await system.ctx.queues.wakeTurn(id, 0);
  await system.until(() => answers(system).length === 1, 'the answer');
  assert.deepEqual(answers(system), ['Custa dez reais.']);
});

test('I10 when the contact has gone on, or a person has written, what is heard later only mends the history', async (t) => {
  const system = await startSystem(t, { speech: true });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([{ text: 'Certo.', repeat: true }]);
  system.simulator.fault({ target: 'speech', kind: 'drop', times: null });
  system.simulator.inbound({ contactId: maria.id, media: note('quanto custa o bolo') });
  await system.until(() => answers(system).length === 1, 'an honest sentence');
  system.simulator.inbound({ contactId: maria.id, text: 'deixa, quanto custa o bolo?' });
  await system.until(() => answers(system).length === 2, 'the answer to the text');
  system.simulator.clearFaults();
  await retry(system);
  assert.match((await texts(system))[0] ?? '', /transcrição.*quanto custa o bolo/s);
  assert.deepEqual(await system.query(`select id from messages where direction = 'in' and status = 'received'`), []);
});

test('I10 five tries, each after a longer wait, then it is left: nothing is asked for ever', async (t) => {
  const system = await startSystem(t, { speech: true });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([{ text: 'Não ouvi.', repeat: true }]);
  system.simulator.fault({ target: 'speech', kind: 'drop', times: null });
  system.simulator.inbound({ contactId: maria.id, media: note('oi') });
  await system.until(() => answers(system).length === 1, 'an honest sentence');
  const waits = [];
  for (;;) {
    const [row] = await system.query<{ seconds: number | null }>(
      'select round(extract(epoch from next_at - updated_at))::int as seconds from media_waits',
    );
    waits.push(row?.seconds);
    if (row?.seconds == null) break;
    await retry(system);
  }
  assert.deepEqual(waits, [60, 120, 240, 480, 960, null]);
  assert.equal(heard(system).length, 6);
});

test('I10 what is too large or no audio is refused before anything is paid, and the model reads why', async (t) => {
  const system = await startSystem(t, { speech: true });
  system.simulator.script([{ text: 'Pode escrever?', repeat: true }]);
  const bob = system.simulator.addContact({ name: 'Bob', phone: '5511912345670' });
  system.simulator.inbound({
    contactId: bob.id,
    media: { kind: 'audio', base64: Buffer.from('isto não é um áudio, é um texto').toString('base64') },
  });
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912345671' });
  system.simulator.inbound({ contactId: ana.id, media: { ...note('x'), base64: Buffer.alloc(17 * 1_048_576, 1).toString('base64') } });
  await system.until(() => answers(system).length === 2, 'two answers');
  assert.deepEqual((await texts(system)).toSorted(), [
    '[áudio de voz, 3 s, não pôde ser ouvido: o arquivo não é um áudio]',
    '[áudio de voz, 4 s, grande demais para ser ouvido]',
  ]);
  assert.deepEqual(heard(system), []);
  assert.deepEqual(await system.query('select next_at from media_waits'), [{ next_at: null }, { next_at: null }]);
});

test("I10 a process that dies after it has paid, before the words are the message's: the next one pays nothing", async (t) => {
  const system = await startSystem(t, { speech: true, workers: 0 });
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([{ text: 'Abrimos às nove.', repeat: true }]);
  system.simulator.inbound({ contactId: maria.id, media: note('que horas abre') });
  await system.until(async () => (await system.query('select 1 from inbox')).length === 1, 'the message');
  const [row] = await system.query<{ id: number }>('select id::int from conversations');
  const id = row?.id ?? 0;
  const ctx = await system.openContext('worker');
  const db = {
    ...ctx.db,
    call: (name: string, args: Record<string, unknown>) =>
      name === 'read_media' ? Promise.reject(new Error('killed here')) : ctx.db.call(name, args),
  };
  await assert.rejects(runTurn({ ...ctx, db }, id, new AbortController().signal), /killed here/);
  assert.deepEqual(heard(system), ['que horas abre']);
  await system.addWorker();
  await system.ctx.queues.wakeTurn(id, 0);
  await system.until(() => answers(system).length === 1, 'the answer');
  assert.deepEqual(heard(system), ['que horas abre']);
  assert.deepEqual(await texts(system), ['[áudio de voz, 4 s, transcrição]\nque horas abre']);
});

test('I10 without a speech service a voice note stays what it is, and is answered', async (t) => {
  const system = await startSystem(t);
  const maria = system.simulator.addContact(MARIA);
  system.simulator.script([{ text: 'Não consigo ouvir áudios, pode escrever?', repeat: true }]);
  system.simulator.inbound({ contactId: maria.id, media: note('oi') });
  await system.until(() => answers(system).length === 1, 'the answer');
  assert.deepEqual(await texts(system), ['[áudio de voz, 4 s]']);
});

test('I10 D3 what a file says goes with the erasure of the last contact who sent it', async (t) => {
  const system = await startSystem(t, { speech: true });
  system.simulator.script([{ text: 'Ok.', repeat: true }]);
  for (const index of [0, 1]) {
    const contact = system.simulator.addContact({ name: `Contato ${index}`, phone: `551191234567${index}` });
    system.simulator.inbound({ contactId: contact.id, media: note('meu endereço é rua das flores') });
  }
  await system.until(() => answers(system).length === 2, 'two answers');
  await system.dump(); // what is on the wire is not erased
  const erase = (phone: string) =>
    system.ctx.db.call('erase_contact', { p_tenant: 'default', p_contact: null, p_phone: phone, p_actor: 'test', p_reason: 'pedido' });
  await erase('5511912345670');
  assert.equal((await system.query('select 1 from media')).length, 1, 'the other one has sent it too');
  await erase('5511912345671');
  assert.deepEqual(await system.query('select * from media'), []);
});
