/** Contacts who ask whether they talk with a machine: the truth, a person, and a figure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { botSuspicion } from '../../src/people/suspicion-calls.ts';
import { admin, adminDone } from '../support/admin.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

async function say(stage: Stage, text: string): Promise<number> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  return conversation;
}

function texts(stage: Stage): string[] {
  return stage.system.simulator.sends().map((send) => send.text ?? '');
}

test('L9 "é um robô?": the model is told to tell the truth; a lie and an evasion do not leave', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { text: 'Sou a Julia, assistente virtual. Quer que eu chame uma pessoa da equipe?' },
    { text: 'Claro que não, sou uma pessoa!' },
    { text: 'Em que posso ajudar?' },
    { text: 'Sou humana, pode perguntar.' },
  ]);
  await say(stage, 'é um robô?');
  assert.match(JSON.stringify(stage.prompts().at(-1)), /o cliente pergunta se fala com um robô/);
  await say(stage, 'você é uma pessoa de verdade?');
  await say(stage, 'tô falando com uma máquina?');
  await say(stage, 'quanto custa?');
  const [truth, instead, before] = texts(stage);
  const unasked = texts(stage).at(-1);
  assert.equal(truth, 'Sou a Julia, assistente virtual. Quer que eu chame uma pessoa da equipe?');
  assert.match(instead ?? '', /^Sou assistente virtual, um software\. Se preferir, chamo uma pessoa/);
  assert.match(before ?? '', /^Sou assistente virtual/);
  assert.match(unasked ?? '', /^Sou assistente virtual/, 'nobody asked, and it is still not said');
});

test('L9 identity: per tenant and audited, a person is called at once', async (t) => {
  const stage = await openStage(t);
  assert.deepEqual(await adminDone(stage.ctx, 'identity', { setting: 'handoff', reason: 'pedido da diretoria' }), {
    setting: 'handoff',
    was: 'answer',
  });
  const conversation = await say(stage, 'você é um robô?');
  assert.equal(stage.prompts().length, 0);
  assert.match(texts(stage)[0] ?? '', /^Sou assistente virtual/);
  assert.deepEqual(await stage.system.query('select controlled_by, escalation_reason from conversations where id = $1', [conversation]), [
    { controlled_by: 'human', escalation_reason: 'bot_question' },
  ]);
  assert.deepEqual(
    await stage.system.query(`select actor, details ->> 'identity' as identity from audit_log where action = 'identity.set'`),
    [{ actor: 'cli:ana', identity: 'handoff' }],
  );
});

test('L10 bot suspicion: conversations that asked over conversations of 7 days, without what was dismissed', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ match: '', text: 'Sou uma assistente virtual, posso chamar uma pessoa.' }]);
  await say(stage, 'é um robô?');
  await say(stage, 'mas você é uma máquina?');
  for (let n = 0; n < 3; n++) {
    const contact = stage.system.simulator.addContact({ name: `Cliente ${n}`, phone: `551195555000${n}` });
    const { id } = stage.system.simulator.inbound({ contactId: contact.id, text: n === 0 ? 'isso é um bot?' : 'oi' });
    await stage.system.until(async () => (await stage.system.query('select 1 from messages where provider_id = $1', [id]))[0]);
  }
  assert.deepEqual(await botSuspicion(stage.ctx.db, 'default'), { flagged: 2, conversations: 4, share: 0.5 });
  const { suspicions } = await adminDone<{ suspicions: { id: number; text: string }[] }>(stage.ctx, 'suspicion list');
  assert.deepEqual(
    suspicions.map(({ text }) => text),
    ['isso é um bot?', 'mas você é uma máquina?', 'é um robô?'],
  );
  assert.deepEqual(await adminDone(stage.ctx, 'suspicion dismiss', { id: suspicions[0]?.id, reason: 'falava do aspirador' }), {
    dismissed: suspicions[0]?.id,
  });
  assert.equal((await admin(stage.ctx, 'suspicion dismiss', { id: suspicions[0]?.id })).ok, false);
  assert.equal((await admin(stage.ctx, 'suspicion dismiss', { id: 999 })).ok, false);
  assert.deepEqual(await botSuspicion(stage.ctx.db, 'default'), { flagged: 1, conversations: 4, share: 0.25 });
  assert.match((await admin(stage.ctx, 'suspicion list')).text ?? '', /^1 of 4 conversations in 7 days \(25\.0 %\)\./);
  const eightDays = new Date(Date.now() + 8 * 86_400_000).toISOString();
  const [row] = await stage.system.query<{ figure: unknown }>(`select bot_suspicion('default', $1) as figure`, [eightDays]);
  assert.deepEqual(row?.figure, { flagged: 0, conversations: 0, share: 0 });
});
