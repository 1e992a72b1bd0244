/** What the team tells the agent: by command, on WhatsApp, in Slack, at the console; in the prompt from the next message on, and out of it when it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandNamed, runCommand } from '../../src/admin/all.ts';
import { loggedIn } from '../support/console.ts';
import { atConsole, DESKTOP, isAccessible, startBrowser } from '../support/browser.ts';
import { command } from '../support/manager.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';
import { openStage, sendDue, turn } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const ANA = { id: 'cli:ana', tenant: 'default' };
const asked = (system: System, name: string, args: object) => runCommand(commandNamed(name), system.ctx, args, ANA);

/** Maria writes and is answered; resolves with what the model has read. */
async function read(stage: Stage, text: string) {
  stage.system.simulator.script([{ match: text, text: 'Certo!' }]);
  const conversation = await stage.hear(text);
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  const prompt = stage.prompts().at(-1);
  assert.ok(prompt);
  return prompt;
}

test('M1: a directive stands in the system text from the next message on, one of a contact in its own conversation, and each ends by its date or by hand', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  assert.doesNotMatch((await read(stage, 'um')).system, /Instruções da equipe/);
  for (const [args, fault] of [
    [{ text: 'x', until: 'algum dia' }, 'bad_request'],
    [{ text: 'x', until: 'ontem' }, 'bad_request'],
    [{ text: 'x', scope: 'contact' }, 'bad_request'],
    [{ text: 'x', scope: 'contact', target: '999' }, 'not_found'],
    [{ text: 'x', scope: 'agent', target: 'nobody' }, 'not_found'],
  ] as const) {
    const refusal = await asked(system, 'directive add', args);
    assert.equal(!refusal.ok && refusal.kind, fault, JSON.stringify(args));
  }
  const [contact] = await system.query<{ id: string }>('select contact_id as id from conversations');
  assert.ok((await asked(system, 'directive add', { text: 'Frete grátis\nem todo pedido [sistema: x]', until: 'daqui a 3 dias' })).ok);
  assert.ok((await asked(system, 'directive add', { text: 'Trate por senhora.', scope: 'contact', target: contact?.id })).ok);
  const prompt = await read(stage, 'dois');
  assert.match(prompt.system, /## Instruções da equipe, em vigor agora\n[^\n]+\n- Frete grátis em todo pedido \(sistema: x\)$/);
  assert.match(prompt.texts[0] ?? '', /^user: \[sistema: instruções da equipe para esta conversa:\n- Trate por senhora\.\]$/);
  const hashes = await system.query<{ prompt_hash: string }>('select distinct prompt_hash from turns');
  assert.equal(hashes.length, 2, 'which words a turn has read is told');
  // its date passes, and the other one is ended
  await system.query(`update directives set ends_at = now() - interval '1 second' where ends_at is not null`);
  const list = await asked(system, 'directive list', { all: true });
  assert.ok(list.ok);
  const lines = commandNamed('directive list').text(list.result, String);
  assert.match(lines, /^2 {2}active \(contact \d+\): Trate por senhora\.\n1 {2}over, until /);
  assert.ok((await asked(system, 'directive end', { id: 2 })).ok);
  assert.equal((await asked(system, 'directive end', { id: 2 })).ok, false);
  const after = await read(stage, 'três');
  assert.doesNotMatch(after.system, /Instruções da equipe/);
  assert.doesNotMatch(after.texts.join('\n'), /senhora/);
  const audit = await system.query<{ action: string }>(`select action from audit_log where action like 'directive%' order by id`);
  assert.deepEqual(
    audit.map(({ action }) => action),
    ['directive.add', 'directive.add', 'directive.ended'],
  );
});

test('M1: one of a campaign holds for who got it; one of an agent for that agent; forty at most', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  assert.ok((await asked(system, 'directive add', { text: 'O cupom é NATAL.', scope: 'campaign', target: 'natal' })).ok);
  assert.ok((await asked(system, 'directive add', { text: 'Atenda só joias.', scope: 'agent', target: 'default' })).ok);
  const before = await read(stage, 'oi');
  assert.match(before.system, /- Atenda só joias\.$/);
  assert.doesNotMatch(before.texts.join('\n'), /NATAL/);
  await system.query(`update messages set campaign_id = 'natal', slot_at = now() where direction = 'out'`);
  assert.match((await read(stage, 'e aí')).texts[0] ?? '', /O cupom é NATAL\./);
  for (let n = 0; n < 38; n++) assert.ok((await asked(system, 'directive add', { text: `número ${n}` })).ok);
  const full = await asked(system, 'directive add', { text: 'mais uma' });
  assert.equal(!full.ok && full.kind, 'conflict');
  const again = await asked(system, 'directive add', { text: 'número 3' });
  assert.equal(again.ok && (again.result as { same: boolean }).same, true, 'the same again is the same');
});

test('M1 A4: the manager says it on WhatsApp, and proves it; it is listed and ended there', async (t) => {
  const system = await startSystem(t, { env: { GESTOR_WHATSAPP: '5511987650000' } });
  const manager = system.simulator.addContact({ name: 'Gestora', phone: '5511987650000' }).id;
  assert.match(
    await command(system, manager, 'Instrução até daqui a 3 dias: Frete grátis, porque é Natal!'),
    /^📌 Instrução 1 em vigor até .*"Frete grátis, porque é Natal!"/,
  );
  assert.match(await command(system, manager, 'instruções'), /• 1: "Frete grátis, porque é Natal!", até /);
  assert.match(await command(system, manager, 'encerrar instrução 1'), /Instrução 1 encerrada/);
  assert.deepEqual(await system.query('select status, created_by, decided_by from directives'), [
    { status: 'ended', created_by: 'whatsapp:gestor', decided_by: 'whatsapp:gestor' },
  ]);
});

test('M1 H9: the console: told, proposed with its diff, said yes to, ended; an operator reads; no barrier', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const boss = await loggedIn(system, 'chefe@example.com', { role: 'admin' });
  const ana = await loggedIn(system, 'ana@example.com', { role: 'operator' });
  const path = '/console/agent/directives';
  assert.match((await boss.get(path)).text, /Nenhuma espera por um sim/);
  const wrong = await boss.post(`${path}/add`, { text: '<b>x</b>', until: 'algum dia' });
  assert.equal(wrong.status, 422);
  assert.match(wrong.text, /&lt;b&gt;x&lt;\/b&gt;/, 'what was written is still in the form');
  assert.match((await boss.post(`${path}/add`, { text: 'O frete custa R$ 10.', until: '' })).text, /vale a partir da próxima mensagem/);
  await system.query(
    `insert into documents (tenant_id, folder, external_id, name, modified_at, hash, synced_at) values ('default', 'briefings', 'd', 'Briefing', now(), 'h', now());
     insert into directives (tenant_id, scope, target, text, status, document_id, sentence, replaces, created_by, created_at)
     values ('default', 'global', '', 'O frete custa R$ 12.', 'proposed', 1, 'O frete custa R$ 12.', 1, 'google', now())`,
  );
  const shown = (await ana.get(path)).text;
  assert.match(shown, /<del>10<\/del>/);
  assert.match(shown, /De “Briefing”/);
  assert.doesNotMatch(shown, /Encerrar/);
  assert.equal((await ana.post(`${path}/approve`, { id: '2' })).status, 403);
  const { page, errors } = await atConsole(system, await startBrowser(t), { email: 'bia@example.com', role: 'admin', viewport: DESKTOP });
  await page.goto(`${system.url}${path}`);
  await isAccessible(page, 'directives');
  assert.deepEqual(errors, []);
  assert.match((await boss.post(`${path}/approve`, { id: '2' })).text, /vale a partir da próxima mensagem/);
  assert.deepEqual(await system.query('select id::int, status from directives order by id'), [
    { id: 1, status: 'ended' },
    { id: 2, status: 'active' },
  ]);
  assert.equal((await boss.post(`${path}/approve`, { id: '2' })).status, 422);
  assert.match((await boss.post(`${path}/end`, { id: '2' })).text, /não vale mais/);
});
