/** The manager's commands by WhatsApp: obeyed, answered once while everything is paused, and never a customer's words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sendDue, turn, turnsUntilDone } from '../support/turns.ts';
import { startSystem } from '../support/system.ts';
import type { System, SystemOptions } from '../support/system.ts';
import { ask, command, shown } from '../support/manager.ts';
import { answerCommand } from '../../src/operators/operator.ts';

const MANAGER = '5511987650000';

type Hooks = { after(hook: () => Promise<void>): void };

async function open(t: Hooks, options: SystemOptions = {}): Promise<System & { manager: string; maria: string }> {
  const system = await startSystem(t, { ...options, env: { GESTOR_WHATSAPP: MANAGER, ...options.env } });
  const manager = system.simulator.addContact({ name: 'Gestora', phone: MANAGER }).id;
  return Object.assign(system, { manager, maria: system.simulator.addContact({ name: 'Maria', phone: '5511912345678' }).id });
}

async function answered(system: System, contact: string, count: number): Promise<string> {
  return system.until(() => shown(system, contact)[count - 1], `answer ${count}`);
}

test('A4 WhatsApp: "pausar" of the manager stops everything, is answered once although all is paused, and is no message for the model', async (t) => {
  const system = await open(t);
  system.simulator.script([{ match: 'preço', text: 'Custa dez reais.' }]);
  system.simulator.inbound({ contactId: system.manager, text: 'Pausar julia motivo: preço errado' });
  assert.match(await answered(system, system.manager, 1), /^⏸️ Tudo está em pausa\./);
  assert.deepEqual(await system.query('select status, motivo, alterado_via, scope from julia_status'), [
    { status: 'pausado', motivo: 'preço errado', alterado_via: 'whatsapp:gestor', scope: 'all' },
  ]);
  assert.deepEqual(await system.query(`select actor, action from audit_log where action = 'pause'`), [
    { actor: 'whatsapp:gestor', action: 'pause' },
  ]);

  // A customer waits meanwhile; the manager goes on talking to the product.
  system.simulator.inbound({ contactId: system.maria, text: 'Qual o preço?' });
  await system.until(async () => (await system.dump()).includes('in contact received: Qual o preço?'));
  assert.match(await command(system, system.manager, 'status'), /^⏸️ Em pausa:\n• Tudo desde .*: preço errado\n[\s\S]*Sem resposta: 1/);
  assert.equal(system.simulator.wire().claude.length, 0);
  assert.deepEqual(shown(system, system.maria), []);

  assert.match(await command(system, system.manager, 'RETOMAR'), /^▶️ Tudo continua\./);
  assert.equal(await answered(system, system.maria, 1), 'Custa dez reais.');
  assert.equal(shown(system, system.manager).length, 5);
  assert.doesNotMatch(JSON.stringify(system.simulator.wire().claude.map(({ request }) => request)), /pausar|RETOMAR/i);
  assert.ok((await system.dump()).includes('in contact answered(command): RETOMAR'));
});

test('A4 WhatsApp: from anybody else, and from the manager when it is talk, the same words are a message', async (t) => {
  const system = await open(t);
  system.simulator.script([
    { match: 'pausar', text: 'O que você quer pausar?' },
    { match: 'quero', text: 'Claro!' },
  ]);
  system.simulator.inbound({ contactId: system.maria, text: 'pausar' });
  assert.equal(await answered(system, system.maria, 1), 'O que você quer pausar?');
  system.simulator.inbound({ contactId: system.manager, text: 'quero pausar a minha assinatura' });
  assert.equal(await answered(system, system.manager, 1), 'Claro!');
  assert.deepEqual(await system.query('select 1 from julia_status'), []);
});

test('A4 WhatsApp: the manager is known without the ninth digit, and by lid', async (t) => {
  const system = await startSystem(t, { env: { GESTOR_WHATSAPP: MANAGER } });
  const old = system.simulator.addContact({ name: 'Gestora', phone: MANAGER.replace('119', '11') });
  system.simulator.inbound({ contactId: old.id, text: 'ajuda' });
  assert.match(await answered(system, old.id, 1), /^\*pausar\*/);
  const lid = system.simulator.addContact({ name: 'Gestora', phone: MANAGER, lid: '987650000123456', addressing: 'lid' });
  assert.match(await command(system, lid.id, 'Status'), /^▶️ Nada em pausa\./);
});

test('A4 WhatsApp: what needs a yes in Slack asks once here, with the word', async (t) => {
  const system = await open(t);
  await system.query(
    `select enqueue_message('{"tenant": "default", "instance": "julia-dev", "phone": "5511912345678", "text": "Oi", "kind": "manual"}')`,
  );
  await system.query(`update messages set status = 'failed', reason = 'bad_request' where text = 'Oi'`);
  assert.equal(await command(system, system.manager, 'fila reenviar'), '1 de volta na fila.');
  assert.equal(await answered(system, system.maria, 1), 'Oi');
});

test('A4 WhatsApp: a wrong target, and a command that came too late, are answered and change nothing', async (t) => {
  const system = await open(t);
  assert.match(await ask(system, system.manager, 'pausar conversa 999'), /^Não encontrei/);
  system.simulator.inbound({ contactId: system.manager, text: 'retomar', ageMs: 11 * 60_000 });
  assert.match(await answered(system, system.manager, 2), /chegou com atraso/);
  assert.deepEqual(await system.query('select 1 from julia_status'), []);
});

test('A4 WhatsApp: two workers at once carry a command out once; one that died is carried out by the next', async (t) => {
  const system = await open(t, { workers: 0 });
  const ctx = await system.openContext('worker');
  const { id } = system.simulator.inbound({ contactId: system.manager, text: 'pausar' });
  const { conversation_id: found } = await system.until(
    async () => (await system.query<{ conversation_id: string }>('select conversation_id from messages where provider_id = $1', [id]))[0],
  );
  const conversation = Number(found);
  const ends = await Promise.all([turn(ctx, conversation), turn(ctx, conversation)]);
  assert.deepEqual(ends.map((end) => end.kind).toSorted(), ['again', 'command']);

  // The first worker is gone for longer than its lease, then comes back.
  await system.query(`update messages set lease_until = now() - interval '1 second' where provider_id = $1`, [id]);
  const second = await turn(ctx, conversation);
  const first = ends.find((end) => end.kind === 'command');
  assert.ok(second.kind === 'command' && first?.kind === 'command');
  await answerCommand(ctx, second.command);
  await answerCommand(ctx, first.command);
  await turnsUntilDone(ctx, conversation);
  await sendDue(ctx, conversation);
  assert.equal(shown(system, system.manager).length, 1);
  assert.deepEqual(await system.query(`select count(*)::int as n from messages where kind = 'operator'`), [{ n: 1 }]);
});

test('A4 WhatsApp: a command that no worker was woken for is found by the sweep, also while everything is paused', async (t) => {
  const system = await open(t, { workers: 0 });
  await system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'manual')`);
  const { id } = system.simulator.inbound({ contactId: system.manager, text: 'retomar' });
  await system.until(async () => (await system.query('select 1 from messages where provider_id = $1', [id]))[0]);
  system.simulator.inbound({ contactId: system.maria, text: 'oi' });
  await system.until(async () => (await system.dump()).includes('in contact received: oi'));
  const swept = await system.query<{ found: number[] }>('select sweep_turns(0, 10) as found');
  const own = await system.query<{ id: number }>('select conversation_id::int as id from messages where provider_id = $1', [id]);
  assert.deepEqual(swept[0]?.found, [own[0]?.id]);
});
