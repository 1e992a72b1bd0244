import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openStage, sendDue, turn } from '../support/turns.ts';

test('A13 who answers a numbered list with "a segunda" is understood: the model is told which option that is', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { text: 'Tenho dois:\n1. Azul, tamanho M\n2. Verde, tamanho G\nQual prefere?' },
    { text: 'Verde, então!' },
  ]);
  const conversation = await stage.hear('tem camiseta?');
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  await stage.hear('a segunda por favor');
  await turn(stage.ctx, conversation);
  const last = stage.prompts().at(-1);
  assert.match(last?.system ?? '', /Opções você escreve numeradas, uma por linha/);
  assert.match(
    last?.texts.at(-1) ?? '',
    /a segunda por favor\n\[sistema: na sua última lista numerada, de 2 opções, a opção 2 é "Verde, tamanho G"\]$/,
  );
});
