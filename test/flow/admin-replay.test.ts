/** I19: a stored webhook goes through the inbound path again: harmless unless forced, and forced only with a reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS, runCommand } from '../../src/admin/all.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const ACTOR = { id: 'cli:ana', tenant: 'default' };

type Replayed = { results: { kind: string; outcome: string }[]; reopened: { message_id: number; too_old: boolean; holder: string }[] };

async function replay(
  system: System,
  args: Record<string, unknown>,
): Promise<{ ok: true; result: Replayed; text: string } | { ok: false; kind: string; message: string }> {
  const command = COMMANDS.find((each) => each.name === 'replay');
  assert.ok(command);
  const outcome = await runCommand(command, system.ctx, args, ACTOR);
  if (!outcome.ok) return outcome;
  return { ok: true, result: outcome.result as Replayed, text: command.text(outcome.result, (at) => at.toISOString()) };
}

async function answered(t: Parameters<typeof startSystem>[0]): Promise<{ system: System; webhook: number }> {
  const system = await startSystem(t);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ match: 'preço', text: 'Custa dez reais.' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Qual o preço?' });
  await system.until(async () => (await system.dump()).some((line) => line.includes('delivered')), 'the answer');
  const [row] = await system.query<{ id: number }>(
    `select id::int from webhook_events where event = 'messages.upsert' and results @> '[{"outcome": "stored"}]'`,
  );
  assert.ok(row);
  return { system, webhook: row.id };
}

test('I19 a replay changes nothing, however often; of a message that was lost it stores and answers it', async (t) => {
  const { system, webhook } = await answered(t);
  const before = await system.dump();
  for (let round = 0; round < 3; round++) {
    const outcome = await replay(system, { id: webhook });
    assert.deepEqual(outcome.ok && [outcome.result.results.map((each) => each.outcome), outcome.result.reopened], [['duplicate'], []]);
  }
  const both = await Promise.all([replay(system, { id: webhook }), replay(system, { id: webhook })]);
  assert.ok(both.every((each) => each.ok));
  assert.deepEqual(await system.dump(), before);
  assert.equal(system.simulator.wire().sends.length, 1);

  // As after a restore of an older backup: the webhook is there, the message is not.
  system.simulator.script([{ match: 'preço', text: 'Custa dez reais, Maria.' }]);
  await system.query(`update messages set turn_id = null`);
  await system.query(`delete from model_calls; `);
  await system.query(`delete from turns`);
  await system.query(`delete from messages`);
  const outcome = await replay(system, { id: webhook });
  assert.deepEqual(outcome.ok && outcome.result.results.map((each) => each.outcome), ['stored']);
  await system.until(async () => (await system.dump()).includes('out agent delivered: Custa dez reais, Maria.'), 'the answer');
});

test('I19 O15 force has it answered once more; it needs a reason, and actor, reason and message are recorded', async (t) => {
  const { system, webhook } = await answered(t);
  const refusal = await replay(system, { id: webhook, force: true });
  assert.equal(!refusal.ok && refusal.kind, 'bad_request');
  assert.match(refusal.ok ? '' : refusal.message, /reason/);
  assert.deepEqual(await system.query('select id from audit_log'), []);

  system.simulator.script([{ match: 'preço', text: 'Agora custa doze reais.' }]);
  const outcome = await replay(system, { id: webhook, force: true, reason: 'o preço estava errado' });
  assert.ok(outcome.ok);
  assert.match(outcome.text, /message \d+ was answered and is unanswered again, and the agent answers it again/);
  await system.until(async () => (await system.dump()).includes('out agent delivered: Agora custa doze reais.'), 'the second answer');
  assert.deepEqual(await system.dump(), [
    'in contact answered: Qual o preço?',
    'out agent delivered: Custa dez reais.',
    'out agent delivered: Agora custa doze reais.',
  ]);
  const message = outcome.result.reopened[0]?.message_id;
  assert.deepEqual(await system.query(`select actor, action, subject, details ->> 'reason' as reason from audit_log order by id`), [
    { actor: 'cli:ana', action: 'replay.force', subject: String(message), reason: 'o preço estava errado' },
    { actor: 'cli:ana', action: 'replay', subject: String(webhook), reason: 'o preço estava errado' },
  ]);
});

test('I19 force says when the agent will not answer after all: a person has it, or it is too old', async (t) => {
  const { system, webhook } = await answered(t);
  await system.query(`update conversations set controlled_by = 'human'`);
  const human = await replay(system, { id: webhook, force: true, reason: 'teste' });
  assert.match(human.ok ? human.text : '', /the agent will leave it because a person has this conversation/);
  await system.until(async () => (await system.dump())[0] === 'in contact handed_over(human): Qual o preço?', 'the turn');
  await system.query(`update conversations set controlled_by = 'agent'`);
  await system.query(`update messages set provider_at = provider_at - interval '3 hours' where direction = 'in'`);
  const old = await replay(system, { id: webhook, force: true, reason: 'teste' });
  assert.match(old.ok ? old.text : '', /older than MAX_MESSAGE_AGE_MINUTES/);
  await system.until(async () => (await system.dump())[0] === 'in contact skipped(too_old): Qual o preço?', 'the turn');
  assert.equal(system.simulator.wire().sends.length, 1);
});

test('I19 news that may have been overtaken is not replayed: the state of a number, edits, what a comparison found', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const post = async (event: string, data: unknown) =>
    assert.equal((await system.webhook({ event, instance: 'julia-dev', data })).status, 200);
  await post('connection.update', { instance: 'julia-dev', state: 'close', statusReason: 428 });
  await post('connection.update', { instance: 'julia-dev', state: 'open', statusReason: 200 });
  await system.query(
    `insert into webhook_events (instance, event, body) values ('julia-dev', 'reconcile', '{"event": "reconcile", "ids": ["A"]}')`,
  );
  const rows = await system.query<{ id: number }>('select id::int from webhook_events order by id');
  assert.equal(rows.length, 3);
  for (const { id } of rows) {
    const outcome = await replay(system, { id, force: true, reason: 'teste' });
    assert.equal(!outcome.ok && outcome.kind, 'conflict');
  }
  assert.deepEqual(await system.query(`select status from instances where name = 'julia-dev'`), [{ status: 'open' }]);
  const unknown = await replay(system, { id: 999_999 });
  assert.equal(!unknown.ok && unknown.kind, 'not_found');
});
