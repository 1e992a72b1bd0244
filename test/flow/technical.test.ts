/** Conversations that went to a person only because the agent could not answer go back to it by themselves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wakeDeferred } from '../../src/turns/deferred.ts';
import { returnRecovered, tellOfHandoffs } from '../../src/people/handoffs.ts';
import { admin, adminDone } from '../support/admin.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const sent = (stage: Stage) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);
const holders = (stage: Stage) =>
  stage.system.query<{ holder: string }>(
    `select controlled_by || coalesce('(' || escalation_reason || ')', '') as holder from conversations order by id`,
  );

/** Turns run and their answers leave. */
async function work(stage: Stage, conversation: number): Promise<void> {
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
}
/** Maria's turns fail until she is a person's. */
async function giveUp(stage: Stage, text = 'oi'): Promise<number> {
  stage.system.simulator.fault({ target: 'claude', kind: 'no-text', times: null });
  const conversation = await stage.hear(text);
  await work(stage, conversation);
  assert.deepEqual((await holders(stage))[0], { holder: 'human(turn_failed)' });
  stage.system.simulator.clearFaults();
  return conversation;
}
/** Until it is the agent's again: one that an ack holds at this very moment is left for the next look. */
async function recovered(stage: Stage): Promise<void> {
  const open = async () => (await stage.system.query(`select 1 from handoffs where status <> 'returned'`)).length > 0;
  await stage.system.until(async () => (await returnRecovered(stage.ctx)) > 0 || !(await open()), 'a return');
}
/** The model answers somebody else. */
async function answerAnother(stage: Stage, phone = '5511988880001'): Promise<void> {
  const other = stage.system.simulator.addContact({ name: 'Rita', phone });
  const { id } = stage.system.simulator.inbound({ contactId: other.id, text: 'bom dia' });
  const row = await stage.system.until(
    async () =>
      (await stage.system.query<{ conversation_id: string }>('select conversation_id from messages where provider_id = $1', [id]))[0],
  );
  await work(stage, Number(row.conversation_id));
}

test('L15 turn_failed ends by itself once the model answers elsewhere: what waits is answered, people are told, once for all', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  stage.system.simulator.script([{ text: 'Olá!', repeat: true }]);
  const conversation = await giveUp(stage);
  await stage.hear('tem alguém?');
  await work(stage, conversation);
  await stage.ctx.background.drain(10_000);
  const before = stage.system.simulator.slackTexts().length;
  assert.equal(await returnRecovered(stage.ctx), 0, 'nothing shows that the cause is over');
  await answerAnother(stage);
  await Promise.all([recovered(stage), recovered(stage)]);
  assert.equal(await wakeDeferred(stage.ctx), 1);
  await work(stage, conversation);
  assert.deepEqual(sent(stage).at(-1), 'Olá!');
  assert.deepEqual(
    stage
      .prompts()
      .at(-1)
      ?.texts.filter((text) => text.startsWith('user')),
    ['user: [início da conversa]', 'user: oi', 'user: tem alguém?'],
  );
  assert.deepEqual(await stage.system.query(`select status, returned_by from handoffs`), [
    { status: 'returned', returned_by: 'recovered' },
  ]);
  await stage.ctx.background.drain(10_000);
  const told = await stage.system.until(() => stage.system.simulator.slackTexts()[before], 'the notice');
  assert.match(told, /^1 conversa voltou para o agente/);
  assert.deepEqual(
    await stage.system.query(`select actor, action, details ->> 'because' as because from audit_log where action = 'handoff.return'`),
    [{ actor: 'runtime', action: 'handoff.return', because: 'turn_failed' }],
  );

  // one that fails whenever it is tried stays with a person, for a day
  await giveUp(stage, 'e isto?');
  await answerAnother(stage, '5511988880002');
  assert.equal(await returnRecovered(stage.ctx), 0);
  await stage.system.query(`update handoffs set returned_at = returned_at - interval '25 hours'`);
  await recovered(stage);
});

const TAKEN: [name: string, take: (stage: Stage, conversation: number) => Promise<unknown>][] = [
  [
    'a person wrote on the phone',
    async (stage) => {
      const { id } = stage.system.simulator.owner({ contactId: stage.maria, text: 'Oi, sou a Ana' });
      await stage.system.until(async () => (await stage.system.query('select 1 from messages where provider_id = $1', [id]))[0]);
      await stage.system.query(`update conversations set takeover_until = null`);
    },
  ],
  [
    'a person wrote through the API',
    (stage) =>
      stage.system.query(
        `select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "Oi, sou a Ana", "kind": "manual"}')`,
      ),
  ],
  ['the mode is manual', (stage, id) => adminDone(stage.ctx, 'conversation mode', { id, mode: 'manual' })],
  [
    'it was taken over by SQL since',
    (stage) => stage.system.query(`update conversations set controlled_by = 'human', escalation_reason = 'Ana'`),
  ],
];
for (const [name, take] of TAKEN) {
  test(`L15 a technical handoff that somebody has taken stays theirs: ${name}`, async (t) => {
    const stage = await openStage(t);
    stage.system.simulator.script([{ text: 'Olá!', repeat: true }]);
    const conversation = await giveUp(stage);
    await answerAnother(stage);
    await take(stage, conversation);
    assert.equal(await returnRecovered(stage.ctx), 0);
    assert.deepEqual((await adminDone<{ returned: number[] }>(stage.ctx, 'handoff return', { technical: true })).returned, []);
    assert.match((await holders(stage))[0]?.holder ?? '', /^human/);
  });
}

test('L15 no_model ends when there is a key: what waited is answered, but not what an answer has come to since', async (t) => {
  const stage = await openStage(t);
  const keyless = { ...stage.ctx, llm: null, config: { ...stage.ctx.config, claude: null } };
  stage.system.simulator.script([{ text: 'Olá!', repeat: true }]);
  const conversation = await stage.hear('oi');
  await turnsUntilDone(keyless, conversation);
  await recovered(stage);
  await work(stage, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
  assert.deepEqual(await stage.system.query(`select status from handoffs`), [{ status: 'returned' }]);

  await stage.hear('e agora?');
  await turnsUntilDone(keyless, conversation);
  await stage.hear('alô?');
  await work(stage, conversation); // with a key: it sees both, and answers
  await stage.system.query(`update handoffs set returned_at = returned_at - interval '25 hours'`);
  await recovered(stage); // the entry goes
  assert.equal(await wakeDeferred(stage.ctx), 0);
  assert.deepEqual(sent(stage), ['Olá!', 'Olá!']);
});

test('L15 A11 handoff return --technical: all at once, without waiting for the cause to be over; who asked for a person stays with one', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { match: 'pessoa', tools: [{ name: 'handoff_to_human', input: { reason: 'pediu', summary: 'x' } }] },
    { text: 'Chamo.' },
  ]);
  const rita = stage.system.simulator.addContact({ name: 'Rita', phone: '5511988880001' });
  const { id } = stage.system.simulator.inbound({ contactId: rita.id, text: 'quero uma pessoa' });
  const asked = await stage.system.until(
    async () =>
      (await stage.system.query<{ conversation_id: string }>('select conversation_id from messages where provider_id = $1', [id]))[0],
  );
  await work(stage, Number(asked.conversation_id));
  stage.system.simulator.fault({ target: 'claude', kind: 'status', status: 400, times: null });
  const conversation = await stage.hear('oi');
  await work(stage, conversation);
  stage.system.simulator.clearFaults();
  assert.deepEqual(await holders(stage), [{ holder: 'human(pediu)' }, { holder: 'human(model_refused)' }]);

  for (const args of [{}, { id: conversation, technical: true }]) assert.equal((await admin(stage.ctx, 'handoff return', args)).ok, false);
  const done = await admin(stage.ctx, 'handoff return', { technical: true });
  assert.equal(done.text, `The agent answers again in 1 conversation: ${conversation}.`);
  assert.deepEqual(await holders(stage), [{ holder: 'human(pediu)' }, { holder: 'agent' }]);
  assert.equal(await wakeDeferred(stage.ctx), 1);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await work(stage, conversation);
  assert.equal(sent(stage).at(-1), 'Olá!');
  assert.match((await admin(stage.ctx, 'handoff return', { technical: true })).text ?? '', /^No conversation/);
});

test('L15 many conversations that the model refuses are one notice', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  for (let n = 0; n < 5; n++)
    await stage.system.query(
      `select open_handoff((enqueue_message(jsonb_build_object('tenant', 'default', 'instance', 'julia-dev', 'phone', '551195000000' || $1::int, 'text', 'oi', 'kind', 'manual')) ->> 'conversation_id')::bigint,
         null, 'model_refused', null, true, now())`,
      [n],
    );
  await tellOfHandoffs(stage.ctx);
  await stage.ctx.background.drain(10_000);
  const told = await stage.system.until(() => stage.system.simulator.slackTexts()[0], 'the notice');
  assert.match(told, /^🚨 \*Uma pessoa é necessária\*: 5 conversas/);
  assert.equal(stage.system.simulator.slackTexts().length, 1);
});
