/** Who writes in a conversation: the agent, the agent after a yes, or people; exactly one of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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

async function drafts(stage: Stage): Promise<{ id: number; text: string; asked: string }[]> {
  return (await adminDone<{ drafts: { id: number; text: string; asked: string }[] }>(stage.ctx, 'draft list')).drafts;
}

test('A10 assist: the answer waits as a draft, people are told, and it leaves after the yes', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  stage.system.simulator.script([{ text: 'Oi!' }, { text: 'Custa dez reais.' }]);
  const conversation = await say(stage, 'oi');
  assert.deepEqual(await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'assist' }), {
    conversation_id: conversation,
    mode: 'assist',
    was: 'auto',
    drafts: 0,
  });
  await say(stage, 'qual o preço?');
  assert.deepEqual(texts(stage), ['Oi!']);
  const [draft] = await drafts(stage);
  assert.ok(draft);
  assert.deepEqual([draft.asked, draft.text], ['qual o preço?', 'Custa dez reais.']);
  assert.match(
    await stage.system.until(() => stage.system.simulator.slackTexts()[0]),
    new RegExp(
      `^\\*Rascunho ${draft.id}\\* para a conversa ${conversation} \\(Maria\\)\\nCliente: qual o preço\\?\\nResposta:\\n&gt; Custa dez reais\\.`,
    ),
  );
  assert.ok((await stage.system.dump()).includes('in contact handed_over(draft): qual o preço?'));

  const both = await Promise.all([1, 2].map(() => admin(stage.ctx, 'draft approve', { id: draft.id })));
  assert.equal(both.filter(({ ok }) => ok).length, 1, 'once');
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(texts(stage), ['Oi!', 'Custa dez reais.']);
  assert.ok((await stage.system.dump()).includes('in contact answered: qual o preço?'));
  assert.deepEqual(
    await stage.system.query(`select actor, action from audit_log where action like 'draft%' or action like 'conversation%'`),
    [
      { actor: 'cli:ana', action: 'conversation.mode' },
      { actor: 'cli:ana', action: 'draft.approve' },
    ],
  );
});

test('A10 assist: a person’s own words instead; a refusal; a contact who overtakes the draft', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Primeira.' }, { text: 'Segunda.' }, { text: 'Terceira.' }, { text: 'Quarta.' }]);
  const conversation = await stage.hear('um');
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'assist' });
  await turnsUntilDone(stage.ctx, conversation);
  const [first] = await drafts(stage);
  await adminDone(stage.ctx, 'draft approve', { id: first?.id, text: 'Com as minhas palavras.' });
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(texts(stage), ['Com as minhas palavras.']);

  await say(stage, 'dois');
  const [second] = await drafts(stage);
  await adminDone(stage.ctx, 'draft discard', { id: second?.id });
  assert.deepEqual(await drafts(stage), []);

  await say(stage, 'três');
  const [third] = await drafts(stage);
  await say(stage, 'e mais uma coisa');
  const [fourth, ...more] = await drafts(stage);
  assert.deepEqual([fourth?.asked, fourth?.text, more.length], ['três\ne mais uma coisa', 'Quarta.', 0]);
  assert.equal((await admin(stage.ctx, 'draft approve', { id: third?.id })).ok, false, 'it answered less than there is now');
  assert.deepEqual(texts(stage), ['Com as minhas palavras.']);
  assert.ok((await stage.system.dump()).includes('out agent cancelled(contact_wrote): Terceira.'));
});

test('A10 assist: what the product says of itself needs no yes, an opt-out is confirmed', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('sair');
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'assist' });
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.equal(texts(stage).length, 1);
});

test('A10 assist: an approved draft obeys the pause like any answer', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Oi!' }]);
  const conversation = await stage.hear('oi');
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'assist' });
  await turnsUntilDone(stage.ctx, conversation);
  await adminDone(stage.ctx, 'pause', { scope: 'conversation', target: String(conversation) });
  const [draft] = await drafts(stage);
  const { text } = await admin(stage.ctx, 'draft approve', { id: draft?.id });
  assert.match(text ?? '', /is approved, but it waits: /);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(texts(stage), []);
});

test('A10 assist: a yes where a person has the conversation sends nothing, says so, and leaves the draft there', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Oi!' }]);
  const conversation = await stage.hear('oi');
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'assist' });
  await turnsUntilDone(stage.ctx, conversation);
  await stage.system.query(`update conversations set controlled_by = 'human'`);
  const [draft] = await drafts(stage);
  const refused = await admin(stage.ctx, 'draft approve', { id: draft?.id });
  assert.deepEqual([refused.ok, (await drafts(stage)).length], [false, 1]);
  await adminDone(stage.ctx, 'handoff return', { id: conversation });
  await adminDone(stage.ctx, 'draft approve', { id: draft?.id });
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(texts(stage), ['Oi!']);
});

test('A10 manual: the model is not asked, what the contact writes is forwarded; auto answers again', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  stage.system.simulator.script([{ match: 'agora', text: 'Agora sim.' }]);
  const conversation = await stage.hear('oi');
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'manual', reason: 'cliente difícil' });
  await turnsUntilDone(stage.ctx, conversation);
  assert.equal(stage.prompts().length, 0);
  assert.match(await stage.system.until(() => stage.system.simulator.slackTexts()[0]), /que está com uma pessoa:\n&gt; oi$/);
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'auto' });
  await say(stage, 'e agora?');
  assert.deepEqual(texts(stage), ['Agora sim.']);
  assert.equal((await admin(stage.ctx, 'conversation mode', { id: 999, mode: 'auto' })).ok, false);
});
