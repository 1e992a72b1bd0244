/** A model declines: the other one is asked once, the contact hears one honest sentence, and its next message is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminDone } from '../support/admin.ts';
import { withEdits } from '../support/system.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';
import { SENTENCES } from '../../src/words/sentences.ts';

const { declined: DECLINED_TEXT } = SENTENCES['pt-BR'];

const HAIKU = 'claude-haiku-5-5';
const SONNET = 'claude-sonnet-5-5';
const WORDS = 'como faço uma bomba';

/** These models decline for as long as the words stand anywhere in what they are given. */
function decline(stage: Stage, models: string[], text = WORDS, more: Record<string, unknown> = {}): void {
  for (const model of models)
    stage.system.simulator.fault({ target: 'claude', kind: 'refuse', times: null, match: { text, model }, ...more });
}
async function hear(stage: Stage, text: string, quote?: string): Promise<number> {
  if (quote === undefined) return stage.hear(text);
  const { simulator } = stage.system;
  const quoted = simulator.messages(stage.maria).find((message) => message.text === quote)?.id;
  assert.ok(quoted !== undefined, quote);
  const { id } = simulator.inbound({ contactId: stage.maria, text, quotedId: quoted });
  const find = async () =>
    (await stage.system.query<{ conversation_id: string }>('select conversation_id from messages where provider_id = $1', [id]))[0];
  return Number((await stage.system.until(find, 'the stored message')).conversation_id);
}
async function say(stage: Stage, text: string, quote?: string): Promise<void> {
  const conversation = await hear(stage, text, quote);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
}
const sent = (stage: Stage) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);
const ends = async (stage: Stage) =>
  (await stage.system.query<{ line: string }>(`select model || ' ' || outcome as line from model_calls order by id`)).map(
    ({ line }) => line,
  );

for (const [how, more] of [
  ['before any word', {}],
  ['in the middle of an answer', { partial: 'Claro, primeiro você precisa de' }],
] as const) {
  test(`L14 both models decline ${how}: one call each, one honest sentence, people are told, and the next message is answered`, async (t) => {
    const stage = await openStage(t);
    decline(stage, [HAIKU, SONNET], WORDS, more);
    stage.system.simulator.script([{ text: 'Abrimos às oito.', repeat: true }]);
    await say(stage, `oi, ${WORDS}?`);
    assert.deepEqual(sent(stage), [DECLINED_TEXT]);
    assert.deepEqual(await ends(stage), [`${HAIKU} refusal`, `${SONNET} refusal`]);
    assert.deepEqual(await stage.system.query('select reason, controls from handoffs'), [{ reason: 'declined', controls: false }]);
    assert.deepEqual(await stage.system.query('select status, reason from turns'), [{ status: 'committed', reason: 'declined' }]);

    await say(stage, 'e que horas abre?');
    assert.deepEqual(sent(stage), [DECLINED_TEXT, 'Abrimos às oito.']);
    assert.deepEqual((await ends(stage)).slice(2), [`${HAIKU} end_turn`]);
    const { texts } = stage.prompts().at(-1) ?? { texts: [] };
    assert.match(texts[0] ?? '', /^user: \[sistema: aqui há mensagens que não são mostradas/);
    assert.deepEqual(texts.slice(1, 3), [`assistant: ${DECLINED_TEXT}`, 'user: e que horas abre?']);
    // the words come back as a quote
    await say(stage, 'por que não responde a isto?', `oi, ${WORDS}?`);
    assert.deepEqual(sent(stage).at(-1), 'Abrimos às oito.');
    assert.ok(
      stage
        .prompts()
        .slice(2)
        .every((prompt) => !prompt.texts.join().includes(WORDS)),
    );
  });
}

test('L14 one model declines: the other one answers, and from then on the first reads everything but these words', async (t) => {
  const stage = await openStage(t);
  decline(stage, [HAIKU]);
  stage.system.simulator.script([{ text: 'Isso não posso explicar, mas posso ajudar com outra coisa.' }, { text: 'Abrimos às oito.' }]);
  await say(stage, WORDS);
  await say(stage, 'tá, que horas abre?');
  assert.deepEqual(await ends(stage), [`${HAIKU} refusal`, `${SONNET} end_turn`, `${HAIKU} end_turn`]);
  assert.deepEqual(sent(stage), ['Isso não posso explicar, mas posso ajudar com outra coisa.', 'Abrimos às oito.']);
  assert.deepEqual(await stage.system.query('select count(*)::int as n from handoffs'), [{ n: 0 }]);
});

test('L14 the turn is taken back before it could say so: the new one asks no model again with the same words, and answers the rest', async (t) => {
  const stage = await openStage(t);
  decline(stage, [HAIKU, SONNET]);
  stage.system.simulator.script([{ text: 'Abrimos às oito.' }]);
  let interrupted = false;
  const llm = {
    call: async (...[request, options]: Parameters<NonNullable<Stage['ctx']['llm']>['call']>) => {
      if (stage.ctx.llm === null) throw new Error('this stage has a model');
      const result = await stage.ctx.llm.call(request, options);
      if (!interrupted && request.model === SONNET) {
        interrupted = true;
        await stage.hear('que horas abre?');
      }
      return result;
    },
  };
  const ctx = { ...stage.ctx, llm };
  const conversation = await stage.hear(WORDS);
  await turnsUntilDone(ctx, conversation);
  await sendDue(ctx, conversation);
  assert.deepEqual(await ends(stage), [`${HAIKU} refusal`, `${SONNET} refusal`, `${HAIKU} end_turn`]);
  assert.deepEqual(sent(stage), ['Abrimos às oito.']);
});

test('L14 the other model is unavailable: the contact does not wait for it', async (t) => {
  const stage = await openStage(t);
  decline(stage, [HAIKU]);
  stage.system.simulator.fault({ target: 'claude', kind: 'status', status: 529, times: null, match: { model: SONNET } });
  await say(stage, WORDS);
  assert.deepEqual(sent(stage), [DECLINED_TEXT]);
});

test('L14 what was declined stands further back: after the second time all of it is hidden, and the third message is answered', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Certo.', repeat: true }]);
  await say(stage, 'guarde esta palavra: azul');
  decline(stage, [HAIKU, SONNET], 'azul');
  await say(stage, 'e agora?');
  await say(stage, 'e agora, sim?');
  await say(stage, 'que horas abre?');
  assert.deepEqual(sent(stage), ['Certo.', DECLINED_TEXT, DECLINED_TEXT, 'Certo.']);
  assert.doesNotMatch(stage.prompts().at(-1)?.texts.join() ?? '', /azul|e agora/);
});

test('L14 an edit is other words: they are asked with again', withEdits(), async (t) => {
  const stage = await openStage(t);
  decline(stage, [HAIKU, SONNET]);
  stage.system.simulator.script([{ text: 'Certo.', repeat: true }]);
  await say(stage, WORDS);
  const { simulator } = stage.system;
  simulator.edit(simulator.messages(stage.maria).find((message) => !message.fromMe)?.id ?? '', 'como faço um bolo');
  await stage.system.until(async () => (await stage.system.dump()).some((line) => line.includes('bolo')), 'the edit');
  await say(stage, 'e então?');
  assert.match(stage.prompts().at(-1)?.texts.join() ?? '', /bolo/);
});

test('L14 asked for a person in the very words that are then declined: the person is called, and the contact hears it', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { tools: [{ name: 'handoff_to_human', input: { reason: 'quer uma pessoa' } }] },
    { text: '', stop_reason: 'refusal', repeat: true },
  ]);
  await say(stage, 'quero falar com uma pessoa sobre isso');
  assert.deepEqual(await stage.system.query('select reason, controls from handoffs'), [{ reason: 'quer uma pessoa', controls: true }]);
  assert.deepEqual(sent(stage), [DECLINED_TEXT]);
});

test('L14 it is counted, and `why` says it', async (t) => {
  const stage = await openStage(t);
  decline(stage, [HAIKU, SONNET], WORDS, { category: 'cyber' });
  await say(stage, WORDS);
  const metrics = await stage.ctx.events.registry.metrics();
  assert.ok(metrics.includes('julia_modelo_recusas_total{model="claude-haiku-5-5",category="cyber"'), 'counted by model and category');
  const [message] = await stage.system.query<{ id: string }>(`select id from messages where direction = 'in'`);
  const why = JSON.stringify(await adminDone(stage.ctx, 'why', { id: String(message?.id) }));
  assert.match(why, /the model claude-haiku-5-5 worked .*declined to answer these words \(cyber\)/);
  assert.match(why, /not answered because the model declined these words; the contact was told so/);
});
