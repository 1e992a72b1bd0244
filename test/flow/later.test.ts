/** From the contact's words to the message at its minute, and the ladder of who went quiet, through the front door. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandNamed, runCommand } from '../../src/admin/all.ts';
import { JOBS } from '../../src/crons/all.ts';
import { momentOf } from '../../src/words/dates.ts';
import { zoneOf } from '../../src/words/zone.ts';
import { aRun } from '../support/jobs.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const ANA = { id: 'cli:ana', tenant: 'default' };
const run = (system: System, name: string, ctx = system.ctx) => JOBS.find((job) => job.name === name)?.run(ctx, aRun());
const asked = (system: System, name: string, args: object) => runCommand(commandNamed(name), system.ctx, args, ANA);
const delivered = (system: System, text: string) =>
  system.until(async () => (await system.dump()).some((line) => line.startsWith('out') && line.endsWith(`delivered: ${text}`)), text);

test('L11: the contact’s words go into the tool, code makes the minute of them; it fires once over two schedulers; hours hold it as all else', async (t) => {
  const system = await startSystem(t, { env: { HORARIO_INICIO: '00:00', HORARIO_FIM: '23:59' } });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([
    { tools: [{ name: 'set_reminder', input: { when: 'terça', about: 'levar o contrato amanhã' } }] },
    { tools: [{ name: 'set_reminder', input: { when: 'semana que vem', about: 'levar o contrato' } }] },
    { tools: [{ name: 'set_reminder', input: { when: 'depois de amanhã às 9h', about: 'levar o contrato' } }] },
    { text: 'Combinado, eu lembro você!' },
  ]);
  const before = new Date();
  system.simulator.inbound({ contactId: maria.id, text: 'Me lembra depois de amanhã às 9h de levar o contrato?' });
  await delivered(system, 'Combinado, eu lembro você!');
  const calls = await system.query<{ ok: boolean; output: string }>('select ok, output from tool_calls order by id');
  const zone = zoneOf(system.config.app.timeZone);
  const meant = [before, new Date()].map((now) => momentOf('depois de amanhã às 9h', now, zone));
  const words = meant.map((moment) => (moment.kind === 'at' ? moment.words : ''));
  assert.deepEqual(
    calls.map(({ ok }) => ok),
    [false, false, true],
  );
  assert.match(calls[0]?.output ?? '', /não vai o dia/);
  assert.match(calls[1]?.output ?? '', /Pergunte ao cliente: Que dia da semana\?/);
  assert.ok(
    words.some((each) => calls[2]?.output === `Lembrete marcado para ${each}. Diga isso ao cliente.`),
    calls[2]?.output,
  );
  const [reminder] = await system.query<{ id: number; due_at: Date; words: string }>('select id::int, due_at, words from reminders');
  assert.ok(meant.some((each) => each.kind === 'at' && each.at.getTime() === reminder?.due_at.getTime()));
  assert.equal(await run(system, 'fire_reminders'), 0, 'its minute has not come');
  await system.query('update reminders set due_at = now()');
  const scheduler = await system.openContext('scheduler');
  await Promise.all([run(system, 'fire_reminders'), run(system, 'fire_reminders', scheduler)]);
  await delivered(system, 'Lembrete: levar o contrato');
  await run(system, 'fire_reminders');
  assert.equal((await system.dump()).filter((line) => line.includes('Lembrete:')).length, 1);
  const list = await asked(system, 'reminder list', { all: true });
  assert.ok(list.ok);
  assert.match(
    commandNamed('reminder list').text(list.result, String),
    /levar o contrato \("depois de amanhã às 9h"; conversation \d+, Maria\)/,
  );
  assert.deepEqual(await asked(system, 'reminder cancel', { id: reminder?.id, reason: 'x' }).then(({ ok }) => ok), false);
});

test('L12: a ladder by command: its step leaves by the job, the contact’s next words end it, off ends what runs; a wrong ladder is refused by what is wrong', async (t) => {
  const system = await startSystem(t, { env: { HORARIO_INICIO: '00:00', HORARIO_FIM: '23:59', NOME_EMPRESA: 'Loja Pitanga' } });
  for (const [steps, fault] of [
    ['Oi, tudo bem?', /begin with how long/],
    ['5min Oi', /between 30 minutes/],
    ['1d Oi {name}', /\{name\} is no place/],
    [Array.from({ length: 6 }, () => '1d Oi').join('\n'), /at most 5 steps/],
  ] as const) {
    const refusal = await asked(system, 'follow-up set', { steps });
    assert.ok(!refusal.ok);
    assert.match(refusal.message, fault);
  }
  assert.ok((await asked(system, 'follow-up set', { steps: '1h Oi {nome}, ainda posso ajudar? // 2d Fico por aqui, na {loja}.' })).ok);
  // WhatsApp tells whole seconds
  await system.query(`update follow_up_ladders set enabled_at = enabled_at - interval '1 second'`);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ text: 'Temos! Quer que eu separe?' }, { text: 'Separado.' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Tem a azul?' });
  await delivered(system, 'Temos! Quer que eu separe?');
  assert.equal(await run(system, 'follow_up_steps'), 1);
  await system.query('update follow_ups set due_at = now()');
  await run(system, 'follow_up_steps');
  await delivered(system, 'Oi Maria, ainda posso ajudar?');
  system.simulator.inbound({ contactId: maria.id, text: 'Quero sim' });
  await delivered(system, 'Separado.');
  await run(system, 'follow_up_steps');
  const list = await asked(system, 'follow-up list', {});
  assert.ok(list.ok);
  const text = commandNamed('follow-up list').text(list.result, String);
  assert.match(text, /^ {2}1h Oi \{nome\}, ainda posso ajudar\?$/m);
  assert.match(text, /conversation \d+, Maria: 1 said; cancelled, because the contact wrote/);
  const off = await asked(system, 'follow-up off', {});
  assert.deepEqual(off.ok && off.result, { ended: 0 });
});
