/** Bursts and busy conversations through the whole system: webhooks, queue, workers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openStage } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const sent = (stage: Stage) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);
const allAnswered = (stage: Stage, count: number) =>
  stage.system.until(async () => {
    const lines = (await stage.system.dump()).filter((line) => line.startsWith('in '));
    return lines.length === count && lines.every((line) => line.startsWith('in contact answered'));
  }, `${count} answered messages`);
const overlapping = (stage: Stage) =>
  stage.system.query(
    'select a.id, b.id as other from turns a join turns b on b.conversation_id = a.conversation_id and b.id > a.id and b.started_at < a.ended_at',
  );

for (const queue of ['postgres', 'redis'] as const) {
  test(`I3 a burst of three is one answer whose prompt holds all three in order (${queue} queue)`, async (t) => {
    const stage = await openStage(t, { queue, workers: 1, env: { DEBOUNCE_MS: '1500', DEBOUNCE_MAX_MS: '10000' } });
    stage.system.simulator.script([{ text: 'Um, dois, três.', repeat: true }]);
    const texts = ['um', 'dois', 'três'];
    // At once, each a second younger than the one before it: a slow machine must not make three bursts of them.
    await Promise.all(texts.map((text, index) => stage.hear(text, { ageMs: (3 - index) * 1000 })));
    await allAnswered(stage, 3);
    await stage.system.until(() => sent(stage).length > 0, 'the answer');
    assert.deepEqual(sent(stage), ['Um, dois, três.']);
    assert.deepEqual(
      stage.prompts().map((prompt) => prompt.texts),
      [texts.map((text) => `user: ${text}`)],
    );
    assert.deepEqual(await stage.turns(), ['committed']);
  });

  test(`I4 a message that lands during generation: the call is aborted and one answer covers both (${queue} queue)`, async (t) => {
    const stage = await openStage(t, { queue, workers: 2 });
    stage.system.simulator.fault({ target: 'claude', kind: 'hang' });
    stage.system.simulator.script([{ text: 'Corte e barba!' }]);
    await stage.hear('quero um corte');
    await stage.system.until(() => stage.prompts().length === 1, 'the first call');
    await stage.hear('e uma barba');
    await allAnswered(stage, 2);
    await stage.system.until(() => sent(stage).length > 0, 'the answer');
    assert.deepEqual(sent(stage), ['Corte e barba!']);
    assert.deepEqual(stage.prompts()[1]?.texts, ['user: quero um corte', 'user: e uma barba']);
    assert.deepEqual(await overlapping(stage), []);
  });

  test(`I5 two workers, 20 messages in one conversation: turns never overlap, every message is answered, nothing is said twice (${queue} queue)`, async (t) => {
    const stage = await openStage(t, { queue, workers: 2, env: { DEBOUNCE_MS: '0', DEBOUNCE_MAX_MS: '0' } });
    stage.system.simulator.script([{ text: 'Certo.', delayMs: 40, repeat: true }]);
    for (let index = 1; index <= 20; index++) await stage.hear(`mensagem ${index}`);
    await allAnswered(stage, 20);
    assert.deepEqual(await overlapping(stage), []);
    // an answer that the next message overtook may have been withdrawn; every other one left, once
    const answers = () =>
      stage.system.query<{ turn_id: number; status: string }>(`select turn_id, status from messages where direction = 'out' order by id`);
    await stage.system.until(
      async () => (await answers()).every((row) => ['delivered', 'cancelled'].includes(row.status)),
      'every answer settled',
    );
    const rows = await answers();
    assert.equal(new Set(rows.map((row) => row.turn_id)).size, rows.length);
    assert.equal(sent(stage).length, rows.filter((row) => row.status === 'delivered').length);
    assert.equal(rows.at(-1)?.status, 'delivered');
    const order = await stage.system.query<{ text: string }>(`select text from messages where direction = 'in' order by seq`);
    assert.deepEqual(
      order.map((row) => row.text),
      Array.from({ length: 20 }, (_, index) => `mensagem ${index + 1}`),
    );
  });
}

test('I4 a third newer message is not forgotten: it is answered soon after the turn that it could not stop', async (t) => {
  const stage = await openStage(t, { workers: 2 });
  stage.system.simulator.script([{ text: 'resposta', repeat: true }]);
  for (let round = 1; round <= 2; round++) {
    stage.system.simulator.fault({ target: 'claude', kind: 'hang' });
    await stage.hear(`mensagem ${round}`);
    await stage.system.until(() => stage.prompts().length === round, `call ${round}`);
  }
  // the third call is slow, and its turn cannot be superseded any more
  stage.system.simulator.fault({ target: 'claude', kind: 'slow', ms: 1_500 });
  await stage.hear('mensagem 3');
  await stage.system.until(() => stage.prompts().length === 3, 'call 3');
  await stage.hear('mensagem 4');
  await allAnswered(stage, 4);
  await stage.system.until(() => sent(stage).length === 2, 'both answers');
  assert.deepEqual(
    stage.prompts().map((prompt) => prompt.texts.length),
    [1, 2, 3, 5],
  );
  assert.deepEqual(await overlapping(stage), []);
});

test('L15 a model that fails through the whole system: tried again by itself, answered', async (t) => {
  const stage = await openStage(t, { workers: 1, overrides: { random: () => 0 } });
  stage.system.simulator.script([{ status: 529 }, { status: 529 }, { text: 'Olá!' }]);
  await stage.hear('oi');
  await allAnswered(stage, 1);
  assert.deepEqual(await stage.turns(), ['deferred(model_overloaded)', 'committed']);
});
