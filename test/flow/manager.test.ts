/** Who may speak as the manager: an address proves nothing, since the gateway has a hole through which a stranger's message comes as anybody's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, command, shown, wordIn } from '../support/manager.ts';
import { INSTANCE, startSystem, withEdits } from '../support/system.ts';
import type { System, SystemOptions } from '../support/system.ts';

const MANAGER = '5511987650000';
const STRANGER_LID = '777000111222333';

type Hooks = { after(hook: () => Promise<void>): void };

async function open(t: Hooks, options: SystemOptions = {}): Promise<System & { manager: string }> {
  const system = await startSystem(t, { ...options, env: { GESTOR_WHATSAPP: MANAGER, ...options.env } });
  system.simulator.script([{ match: '', text: 'Oi!' }]);
  return Object.assign(system, { manager: system.simulator.addContact({ name: 'Gestora', phone: MANAGER }).id });
}

let ids = 0;
/** What Evolution would post of a message with this key, whoever wrote it. */
async function forged(system: System, text: string, key: object = {}, instance = INSTANCE): Promise<string> {
  const id = `3EB0${String(++ids).padStart(16, '0')}`;
  const answer = await system.webhook({
    event: 'messages.upsert',
    instance,
    data: {
      key: { remoteJid: `${MANAGER}@s.whatsapp.net`, fromMe: false, id, ...key },
      message: { conversation: text },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  });
  assert.equal(answer.status, 200);
  return id;
}

async function ended(system: System, id: string): Promise<string> {
  return system.until(
    async () =>
      (
        await system.query<{ line: string }>(
          `select status || coalesce('(' || reason || ')', '') as line from messages where provider_id = $1 and status <> 'received'`,
          [id],
        )
      )[0]?.line,
    'the end of the message',
  );
}

/** Nothing is on its way to the manager any more. */
async function answered(system: System): Promise<void> {
  const waiting = `select 1 from messages where kind = 'operator' and status in ('queued', 'sending', 'uncertain')`;
  await system.until(async () => (await system.query(waiting)).length === 0, 'all answers on their way');
}

async function paused(system: System): Promise<boolean> {
  const [last] = await system.query<{ status: string }>('select status from julia_status order by id desc limit 1');
  return last?.status === 'pausado';
}

test('Z1 a stranger who writes as the manager gets no command carried out: the word goes to the manager’s phone, and to nowhere else', async (t) => {
  const system = await open(t);
  assert.match(await ask(system, system.manager, 'pausar motivo: teste'), /^⏸️/);
  // With a lid of the stranger's beside the manager's phone: answers in this chat go to the lid.
  for (const key of [{}, { remoteJid: `${STRANGER_LID}@lid`, remoteJidAlt: `${MANAGER}@s.whatsapp.net`, addressingMode: 'lid' }]) {
    assert.equal(await ended(system, await forged(system, 'retomar', key)), 'answered(command_asked)');
    await answered(system);
  }
  assert.ok(await paused(system));
  const sent = system.simulator.sends().map(({ number }) => number.split('@')[0]);
  assert.deepEqual(
    sent.map((number) => number === MANAGER),
    [true, true, true],
    sent.join(),
  );
  // A notice about anything goes there too, though the stranger's chat is the newest one of that phone.
  await system.query(`select add_notice('{"tenant": "default", "key": "x", "kind": "alert", "text": "aviso x", "urgent": true}')`);
  const { deliverNotices } = await import('../../src/notices/notices.ts');
  await deliverNotices(system.ctx);
  const notice = await system.until(() => system.simulator.sends({ text: '🚨 aviso x', sent: true })[0]);
  assert.equal(notice.number.split('@')[0], MANAGER);
});

test('Z1 a word counts once, for its own command, within five minutes; a repeated message commands nothing', async (t) => {
  const system = await open(t);
  await ask(system, system.manager, 'pausar');
  const resume = wordIn(await ask(system, system.manager, 'retomar'));
  const status = wordIn(await ask(system, system.manager, 'status'));
  assert.match(await ask(system, system.manager, `confirmar ${status}`), /^⏸️ Em pausa/, 'each word is for its own command');
  assert.ok(await paused(system));
  assert.match(await ask(system, system.manager, `confirmar ${resume}`), /^▶️ Tudo continua/);
  await ask(system, system.manager, 'pausar');
  // The same words again, under another id, as an answer that was recorded would come.
  assert.equal(await ended(system, await forged(system, `confirmar ${resume}`)), 'answered(command_wrong)');
  await answered(system);
  assert.ok(await paused(system));
  const late = wordIn(await ask(system, system.manager, 'retomar'));
  await system.query(`update messages set created_at = created_at - interval '6 minutes' where meaning ? 'asked'`);
  assert.match(await ask(system, system.manager, `confirmar ${late}`), /^Este código não vale/);
  assert.ok(await paused(system));
});

test('Z1 a command and its word are asked for in the conversation where they were given: another chat of that phone has none', async (t) => {
  const system = await open(t);
  await ask(system, system.manager, 'pausar');
  const word = wordIn(await ask(system, system.manager, 'retomar'));
  const key = { remoteJid: `${STRANGER_LID}@lid`, remoteJidAlt: '5511955550000@s.whatsapp.net', addressingMode: 'lid' };
  await forged(system, `confirmar ${word}`, key);
  await forged(system, `confirmar ${word}`, { remoteJid: '5511955550000@s.whatsapp.net' });
  await system.until(async () => (await system.query(`select 1 from messages where text like 'confirmar%'`)).length === 2);
  assert.ok(await paused(system));
  assert.deepEqual(await system.query(`select 1 from messages where text like 'confirmar%' and meaning ? 'command'`), []);
});

test('Z1 wrong words lock all of it for an hour, told once to people and audited; the stop goes on', async (t) => {
  const system = await open(t, { slack: 'webhook' });
  for (let n = 0; n < 5; n++) assert.match(await ask(system, system.manager, `confirmar ${10_000_000 + n}`), /^Este código não vale/);
  assert.match(await ask(system, system.manager, 'retomar'), /^Por uma hora/);
  assert.equal(await ended(system, await forged(system, 'status')), 'answered(command_locked)');
  assert.equal(await ended(system, await forged(system, 'confirmar 12345678')), 'answered(command_locked)');
  assert.match(await ask(system, system.manager, 'pausar'), /^⏸️/);
  assert.equal(shown(system, system.manager).length, 7, 'one sentence says that it is locked');
  const told = await system.until(() => system.simulator.slackTexts().filter((text) => text.includes('em nome do gestor')));
  assert.equal(told.length, 1);
  assert.deepEqual(
    await system.query(
      `select details ->> 'why' as why, count(*)::int as n from audit_log where action = 'manager.refused' group by 1 order by 1`,
    ),
    [
      { why: 'locked', n: 1 },
      { why: 'wrong_word', n: 5 },
    ],
  );
  await system.query(`update messages set created_at = created_at - interval '61 minutes' where meaning ? 'command'`);
  assert.match(await command(system, system.manager, 'retomar'), /^▶️/, 'an hour later');
});

test('Z1 commands that nobody proves are no way to write to the manager without end', async (t) => {
  const system = await open(t);
  const ends: string[] = [];
  for (let n = 0; n < 22; n++) ends.push(await ended(system, await forged(system, 'retomar')));
  assert.deepEqual(ends.slice(18), [
    'answered(command_asked)',
    'answered(command_asked)',
    'answered(command_locked)',
    'answered(command_locked)',
  ]);
  await system.query(`update messages set reason = 'command' where reason = 'command_asked'`);
  await system.query(
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text, meaning, provider_at)
      select tenant_id, instance_id, conversation_id, 1000 + n, 'in', 'contact', 'text', 'answered', 'command', 'pausar', '{"command": {"kind": "help"}}', now()
      from (select * from messages limit 1) m, generate_series(1, 40) n`,
  );
  await system.query('update conversations set last_seq = 2000');
  const before = (await system.query(`select 1 from messages where kind = 'operator'`)).length;
  assert.equal(await ended(system, await forged(system, 'pausar')), 'answered(command)');
  assert.ok(await paused(system), 'the stop is obeyed without a word');
  assert.equal((await system.query(`select 1 from messages where kind = 'operator'`)).length, before);
});

test(
  'Z1 an edited message commands nothing: neither what was talk, nor what waits for its word, nor what waits for a worker',
  withEdits(),
  async (t) => {
    const system = await open(t);
    await ask(system, system.manager, 'pausar');
    const talk = system.simulator.inbound({ contactId: system.manager, text: 'bom dia' });
    await system.until(async () => (await system.dump()).includes('in contact received: bom dia'));
    assert.ok(system.simulator.edit(talk.id, 'retomar'));
    await system.until(async () => (await system.dump()).some((line) => line.endsWith(': retomar')), 'the edit');
    assert.deepEqual(await system.query(`select 1 from messages where text = 'retomar' and meaning ? 'command'`), []);

    const status = system.simulator.inbound({ contactId: system.manager, text: 'status' });
    const word = wordIn(await system.until(() => shown(system, system.manager).find((text) => text.includes('"status"'))));
    const edit = { protocolMessage: { type: 14, key: { id: status.id }, editedMessage: { conversation: 'retomar tudo' } } };
    assert.equal(
      (
        await system.webhook({
          event: 'messages.upsert',
          instance: INSTANCE,
          data: {
            key: { remoteJid: `${MANAGER}@s.whatsapp.net`, fromMe: false, id: '3EB0EDED' },
            message: edit,
            messageTimestamp: Date.now() / 1000,
          },
        })
      ).status,
      200,
    );
    await system.until(async () => (await system.dump()).some((line) => line.endsWith(': retomar tudo')), 'the second edit');
    assert.match(await ask(system, system.manager, `confirmar ${word}`), /^Este código não vale/);
    assert.ok(await paused(system));
  },
);

test('Z1 a command that is edited before a worker takes it is answered as none', async (t) => {
  const system = await open(t, { workers: 0 });
  const id = await forged(system, 'pausar');
  await system.webhook({
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: `${MANAGER}@s.whatsapp.net`, fromMe: false, id: '3EB0EDEE' },
      message: { protocolMessage: { type: 14, key: { id }, editedMessage: { conversation: 'retomar' } } },
      messageTimestamp: Date.now() / 1000,
    },
  });
  await system.addWorker();
  assert.equal(await ended(system, id), 'answered(command_wrong)');
  assert.deepEqual(await system.query('select 1 from julia_status'), []);
});

test('Z1 on a second number, and without the phone in the message itself, the manager’s words are talk', async (t) => {
  const system = await open(t, { simulator: { instances: [INSTANCE, 'second'] } });
  await system.query(`select ensure_instance('second', null)`);
  const second = await forged(system, 'pausar', {}, 'second');
  await system.until(async () => (await system.query('select 1 from messages where provider_id = $1', [second]))[0]);
  // The lid is known as the manager's from here on.
  await forged(system, 'oi', { remoteJid: `${STRANGER_LID}@lid`, remoteJidAlt: `${MANAGER}@s.whatsapp.net`, addressingMode: 'lid' });
  const lid = await forged(system, 'pausar', { remoteJid: `${STRANGER_LID}@lid`, addressingMode: 'lid' });
  await system.until(async () => (await system.query('select 1 from messages where provider_id = $1', [lid]))[0]);
  assert.deepEqual(await system.query(`select 1 from messages where meaning ? 'command'`), []);
  assert.equal(await paused(system), false);
});

test('Z1 GESTOR_PAUSAR_SEM_CODIGO=false: the stop needs its word too', async (t) => {
  const system = await open(t, { env: { GESTOR_PAUSAR_SEM_CODIGO: 'false' } });
  const word = wordIn(await ask(system, system.manager, 'pausar'));
  assert.equal(await paused(system), false);
  assert.match(await ask(system, system.manager, `confirmar ${word}`), /^⏸️/);
});
