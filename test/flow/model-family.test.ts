/** Whole conversations on the models that the product names, against a look-alike that thinks, refuses and counts as they do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSystem } from '../support/system.ts';

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
