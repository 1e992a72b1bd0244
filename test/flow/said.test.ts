/** What has not reached the contact is shown to nobody as said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellOfHandoffs } from '../../src/people/handoffs.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const STATES = [
  'draft',
  'queued',
  'sending',
  'uncertain',
  'sent',
  'delivered',
  'read',
  'failed',
  'blocked',
  'deduped',
  'expired',
  'cancelled',
  'unproven',
];
const SAID = ['sending', 'uncertain', 'unproven', 'sent', 'delivered', 'read'];

/** One message of each state in the conversation, with a number so that none is another's beginning. */
async function addEach(stage: Stage, kind: 'notification' | 'reply', turnId: number | null): Promise<void> {
  for (const state of STATES)
    await stage.system
      .query(
        `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text, provider_at, kind, priority, due_at, turn_id)
         select tenant_id, instance_id, id, last_seq + 1, 'out', $3, 'text', $1, case when $1 = 'cancelled' then 'contact_wrote' end, $2, now(), $4, 2, now() + interval '3 days', $5 from conversations`,
        [state, `(${kind} ${state})`, kind === 'reply' ? 'agent' : 'system', kind, turnId],
      )
      .then(() => stage.system.query('update conversations set last_seq = last_seq + 1'));
}

const shown = (text: string): string[] =>
  [...text.matchAll(/\((?:notification|reply) (\w+)\)/g)].flatMap(([, state]) => state ?? []).toSorted();

for (const kind of ['notification', 'reply'] as const) {
  test(`I20 F12 a ${kind} is in the model's history and in the packet only in the states in which it has left`, async (t) => {
    const stage = await openStage(t, { slack: 'webhook' });
    stage.system.simulator.script([
      { text: 'Oi!' },
      { tools: [{ name: 'handoff_to_human', input: { reason: 'pediu', summary: 'x' } }] },
      { text: 'Chamo.' },
    ]);
    const conversation = await stage.hear('oi');
    await turnsUntilDone(stage.ctx, conversation);
    await sendDue(stage.ctx, conversation);
    await addEach(stage, kind, null);
    await stage.system.query(`update conversations set superseded_in_row = 2`); // so that writing again withdraws nothing
    await stage.hear('quero uma pessoa');
    await turnsUntilDone(stage.ctx, conversation);
    assert.deepEqual(shown(stage.prompts()[1]?.texts.join('\n') ?? ''), SAID.toSorted());
    await tellOfHandoffs(stage.ctx);
    // six lines, of which two are the contact's and the agent's newest
    const packet = await stage.system.until(() => stage.system.simulator.slackTexts()[0], 'the packet');
    assert.deepEqual(shown(packet), ['delivered', 'read', 'sent', 'unproven']);
  });
}

test('I20 the rest of an answer: withdrawn or still on its way it is a note of the runtime, and marked in the packet', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  stage.system.simulator.script([
    { text: 'Oi!' },
    { text: 'Certo.' },
    { tools: [{ name: 'handoff_to_human', input: { reason: 'pediu', summary: 'x' } }] },
    { text: 'Chamo.' },
  ]);
  const conversation = await stage.hear('oi');
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  const [turn] = await stage.system.query<{ id: string }>('select id from turns');
  await addEach(stage, 'reply', Number(turn?.id));
  await stage.system.query(`delete from messages where status = 'draft'`); // a draft has no part that left
  await stage.hear('e agora?'); // withdraws what waits
  await turnsUntilDone(stage.ctx, conversation);
  const prompt = stage.prompts()[1]?.texts ?? [];
  assert.deepEqual(shown(prompt.filter((text) => text.startsWith('assistant')).join('\n')), SAID.toSorted());
  assert.deepEqual(
    prompt.filter((text) => text.includes('não foi enviado')),
    ['queued', 'cancelled'].map((state) => `user: [sistema: não foi enviado, o cliente escreveu antes: "(reply ${state})"]`),
  );

  await stage.system.query(
    `update messages set status = 'queued', due_at = now() + interval '1 day' where text in ('(reply queued)', 'Certo.')`,
  );
  await stage.system.query(`update conversations set superseded_in_row = 2`);
  await stage.hear('quero uma pessoa');
  await turnsUntilDone(stage.ctx, conversation);
  const last = stage.prompts()[2]?.texts ?? [];
  assert.deepEqual(shown(last.filter((text) => text.startsWith('assistant')).join('\n')), SAID.toSorted());
  assert.ok(last.includes('user: [sistema: ainda vai ser entregue antes da sua próxima mensagem, não repita: "Certo."]'), last.join('\n'));
  await tellOfHandoffs(stage.ctx);
  assert.match(
    await stage.system.until(() => stage.system.simulator.slackTexts()[0], 'the packet'),
    /&gt; Agente \(ainda não saiu\): Certo\.\n/,
  );
});
