/** The check of what the model wrote, through the front door: written again, left to a person, or made fit; never silence, and nothing of the first words leaves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admin } from '../support/admin.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

async function answered(stage: Stage, text: string): Promise<number> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  return conversation;
}
const verdicts = async (stage: Stage) =>
  (await stage.system.query<{ verdict: string | null }>('select verdict from turns order by id')).map(({ verdict }) => verdict);
const said = async (stage: Stage) =>
  (await stage.system.query<{ text: string }>(`select text from messages where direction = 'out' order by id`)).map(({ text }) => text);

test('L2 an answer with an invented price is asked for once more with the fault named; only the second leaves, and why tells of both', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'A camiseta custa R$ 87,13.' }, { text: 'Não sei o preço dela. Quer que eu verifique?' }]);
  const conversation = await answered(stage, 'Quanto custa a camiseta?');
  assert.deepEqual(await said(stage), ['Não sei o preço dela. Quer que eu verifique?']);
  assert.deepEqual(await verdicts(stage), ['again:price']);
  const [, second] = stage.prompts();
  assert.match(second?.texts.at(-1) ?? '', /a sua resposta não foi enviada[^]*R\$ 87,13/);
  const { text } = await admin(stage.ctx, 'why', { id: `conversation:${conversation}` });
  assert.match(text ?? '', /its first words had faults \(price\) and were written again/);
  const metrics = await stage.ctx.events.registry.metrics();
  assert.match(metrics, /julia_respostas_verificadas_total\{outcome="again",rule="price"[^}]*\} 1/);
});

test('L2 an answer that has faults again is not sent: the contact hears one sentence and a person goes on', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Ligue para (11) 3333-4444.' }, { text: 'Claro, {{nome}}: escreva para x@y.example.' }]);
  await answered(stage, 'Qual é o telefone?');
  const [sentence, ...more] = await said(stage);
  assert.match(sentence ?? '', /uma pessoa vai continuar por aqui/);
  assert.deepEqual(more, []);
  assert.deepEqual(await verdicts(stage), ['refused:phone,placeholder,web_address']);
  assert.deepEqual(await stage.turns(), ['handed_over(answer_unfit)']);
  assert.deepEqual(await stage.system.query('select reason, controls from handoffs'), [{ reason: 'answer_unfit', controls: true }]);
});

test('L2 a good answer is called for once; writing for a page becomes WhatsApp’s; what the contact said is a source', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: '## Resumo\n**Total**: R$ 30,00 para 3 de R$ 10,00.' }, { text: 'Oi!' }]);
  await answered(stage, 'Quero 3 de R$ 10,00');
  await answered(stage, 'Oi');
  assert.deepEqual(await said(stage), ['*Resumo*\n*Total*: R$ 30,00 para 3 de R$ 10,00.', 'Oi!']);
  assert.deepEqual(await verdicts(stage), ['repaired', 'ok']);
  assert.equal(stage.prompts().length, 2);
});

test('L2 when the second try cannot be made the first is not sent all the same', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'O frete é R$ 47,11.' }, { status: 529 }, { status: 529 }, { status: 529 }] as never);
  await answered(stage, 'Quanto é o frete?');
  assert.ok(
    (await said(stage)).every((text) => !text.includes('47,11')),
    (await said(stage)).join('\n'),
  );
  assert.equal((await verdicts(stage))[0], 'refused:price');
});
