/** What may come between a message and its answer: a person, a pause, an opt-out, while the model runs or just before the commit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intercept, openStage, sendDue, turn, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const sent = (stage: Stage) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);
const inbound = async (stage: Stage) => (await stage.system.dump()).filter((line) => line.startsWith('in '));
const asked = (stage: Stage, calls: number) => stage.system.until(() => stage.prompts().length >= calls, `model call ${calls}`);

/** What may happen meanwhile, and what becomes of the message. */
const INTERRUPTIONS: [name: string, act: (stage: Stage, conversation: number) => Promise<unknown>, ended: string, left: string][] = [
  [
    'a person types on the phone',
    async (stage) => {
      stage.system.simulator.owner({ contactId: stage.maria, text: 'deixa comigo' });
      await stage.system.until(
        async () => (await stage.system.query('select from conversations where takeover_until > now()')).length === 1,
        'the takeover',
      );
    },
    'suppressed(takeover)',
    'in contact handed_over(takeover): oi',
  ],
  [
    'everything is paused',
    (stage) => stage.system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'sql')`),
    'suppressed(paused)',
    'in contact received: oi',
  ],
  [
    'the conversation is paused',
    (stage, conversation) =>
      stage.system.query(`insert into julia_status (status, scope, target) values ('pausado', 'conversation', $1)`, [String(conversation)]),
    'suppressed(paused)',
    'in contact received: oi',
  ],
  [
    'a person takes the conversation',
    (stage) => stage.system.query(`update conversations set controlled_by = 'human'`),
    'suppressed(human)',
    'in contact handed_over(human): oi',
  ],
  [
    'the conversation is made manual',
    (stage) => stage.system.query(`update conversations set mode = 'manual'`),
    'suppressed(manual)',
    'in contact handed_over(manual): oi',
  ],
  [
    'the contact is opted out',
    (stage) => stage.system.query(`select add_opt_out(id, 'api') from contacts`),
    'suppressed(opted_out)',
    'in contact skipped(opted_out): oi',
  ],
];
for (const [name, act, ended, left] of INTERRUPTIONS) {
  test(`I13 ${name} between the answer and its commit: nothing is said, and the message keeps a reason`, async (t) => {
    const stage = await openStage(t);
    stage.system.simulator.script([
      { text: 'não pode sair', tools: [{ name: 'remember', input: { fact: 'x' } }] },
      { text: 'de jeito nenhum' },
    ]);
    const conversation = await stage.hear('oi');
    const ctx = intercept(stage.ctx, 'complete_turns', async (call) => {
      await act(stage, conversation);
      return await call();
    });
    assert.deepEqual(await turn(ctx, conversation), { kind: 'done' });
    await sendDue(stage.ctx, conversation);
    assert.deepEqual(sent(stage), []);
    assert.deepEqual(await stage.turns(), [ended]);
    assert.deepEqual(await inbound(stage), [left]);
    assert.deepEqual(await stage.system.query('select fact from contact_facts'), [], 'no effect of a tool either');
    assert.deepEqual(await stage.system.query('select cost_usd > 0 as paid from turns'), [{ paid: true }]);
  });
}

for (const [name, act, , left] of INTERRUPTIONS.filter(([, , ended]) =>
  ['suppressed(takeover)', 'suppressed(paused)', 'suppressed(human)'].includes(ended),
)) {
  test(`X3 ${name} while the model runs: the call is aborted, nothing is said`, async (t) => {
    const stage = await openStage(t);
    stage.system.simulator.fault({ target: 'claude', kind: 'hang' });
    const conversation = await stage.hear('oi');
    const running = turn(stage.ctx, conversation);
    await asked(stage, 1);
    await act(stage, conversation);
    assert.equal((await running).kind, 'again');
    await turnsUntilDone(stage.ctx, conversation);
    await sendDue(stage.ctx, conversation);
    assert.deepEqual(sent(stage), []);
    assert.equal(stage.prompts().length, 1);
    assert.deepEqual(await inbound(stage), [left]);
    assert.deepEqual(await stage.system.query('select outcome, estimated, cost_usd > 0 as paid from model_calls'), [
      { outcome: 'aborted', estimated: true, paid: true },
    ]);
  });
}

test('I14 a pause that ends: what waited is answered, once', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('oi');
  await stage.system.query(`insert into julia_status (status) values ('pausado')`);
  assert.deepEqual(await turn(stage.ctx, conversation), { kind: 'done' });
  const swept = () => stage.ctx.db.call('sweep_turns', { p_older_ms: 0, p_limit: 10 });
  assert.deepEqual(await swept(), []);
  await stage.system.query(`insert into julia_status (status) values ('ativo')`);
  assert.deepEqual(await swept(), [conversation]);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
});
