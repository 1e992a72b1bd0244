/** Whole conversations on the models that the product names, against a look-alike that thinks, refuses and counts as they do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateAlerts } from '../../src/watch/alerts.ts';
import { startSystem } from '../support/system.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';

/** One message each: plain words, words that call a tool before the answer, and several questions in one. */
const TEXTS = ['oi', 'meu nome é Ana Lima', 'qual o preço e o horário?', 'obrigado', 'onde fica?'];
const CONTACTS = 50;

for (const model of ['claude-haiku-5-5', 'claude-sonnet-5-5']) {
  test(`L13 ${CONTACTS} messages on ${model}: ${CONTACTS} answers of the model, no handoff, nothing that ends in thinking, nothing refused`, async (t) => {
    const system = await startSystem(t, { env: { LLM_MODEL: model, LLM_MODEL_COMPLEX: model } });
    const { simulator } = system;
    for (let n = 0; n < CONTACTS; n += 1) {
      const contact = simulator.addContact({ name: `Contato ${n}`, phone: `55119${String(10_000_000 + n)}` });
      simulator.inbound({ contactId: contact.id, text: TEXTS[n % TEXTS.length] ?? 'oi' });
    }
    await system.until(
      async () =>
        (await system.query<{ n: string }>(`select count(*) as n from turns where status = 'committed'`))[0]?.n === String(CONTACTS),
      'an answer to each',
    );
    const rows = await system.query<{ answered: string; handoffs: string; models: string }>(
      `select (select count(*) from messages where direction = 'in' and status = 'answered') as answered,
         (select count(*) from handoffs) as handoffs, (select string_agg(distinct model, ' ') from turns) as models`,
    );
    assert.deepEqual(rows, [{ answered: String(CONTACTS), handoffs: '0', models: model }]);
    const calls = simulator.wire().claude;
    assert.deepEqual(
      calls.filter(({ status }) => status !== 200),
      [],
    );
    const ends = new Set(calls.map(({ response }) => (response as { content: { type: string }[] }).content.at(-1)?.type));
    assert.deepEqual(ends, new Set(['text', 'tool_use']));
    // The least that the family allows, on each of them.
    const asked = calls.map(({ request }) => JSON.stringify([request['thinking'], request['output_config']]));
    const thinking = model === 'claude-haiku-5-5' ? 'disabled' : 'between_tools';
    assert.deepEqual([...new Set(asked)], [JSON.stringify([{ type: thinking }, { effort: 'low' }])]);
  });
}

test('L13 both configured models are retired, as the older manuals name them: the defaults answer, nobody is handed over, and people are told once', async (t) => {
  const RETIRED = { LLM_MODEL: 'claude-3-5-haiku-20241022', LLM_MODEL_COMPLEX: 'claude-sonnet-4-20250514' };
  const stage = await openStage(t, { slack: 'webhook', env: RETIRED });
  const { system, ctx } = stage;
  system.simulator.script([{ text: 'Olá!', repeat: true }]);
  for (const text of ['oi', 'achei caro demais', 'e o horário?']) {
    const conversation = await stage.hear(text);
    await turnsUntilDone(ctx, conversation);
    await sendDue(ctx, conversation);
    await Promise.all([1, 2].map(() => evaluateAlerts(system.ctx, ['minute'])));
    await evaluateAlerts(system.ctx, ['seconds']);
  }
  assert.deepEqual(await system.query('select model, status from turns order by id'), [
    { model: 'claude-haiku-5-5', status: 'committed' },
    { model: 'claude-sonnet-5-5', status: 'committed' },
    { model: 'claude-haiku-5-5', status: 'committed' },
  ]);
  assert.equal(system.simulator.sends({ sent: true }).length, 3);
  assert.deepEqual(await system.query('select count(*)::int as n from handoffs'), [{ n: 0 }]);
  // each retired name is asked for once, not with every message
  assert.equal(system.simulator.wire().claude.filter(({ status }) => status === 404).length, 2);
  await system.ctx.background.drain(10_000);
  const told = system.simulator.slackTexts().filter((text) => /modelo|provedor/i.test(text));
  assert.equal(told.length, 1, told.join('\n'));
  assert.match(
    told[0] ?? '',
    /O provedor não conhece mais claude-3-5-haiku-20241022 e claude-sonnet-4-20250514: outro modelo responde no lugar/,
  );
});
