/** What the model's cache has of a whole conversation, at each floor that a model may have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CACHE_BAR, cacheShare, longTalk, TALK_ENVIRONMENT, TURNS } from '../../bench/long-talk.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';

const ANSWER =
  'Claro! Pode ficar à vontade para perguntar. Aqui a gente atende com hora marcada, e quando surge um imprevisto basta avisar por esta conversa que a equipe encontra outro horário para você.';

for (const floor of [512, 1_024, 2_048, 4_096]) {
  test(`L17 ${TURNS} turns of one conversation with a floor of ${floor} tokens: 85 % of the input is read from the cache, over a new hour, a new fact and a handoff`, async (t) => {
    const stage = await openStage(t, { simulator: { cacheMinTokens: floor }, env: TALK_ENVIRONMENT });
    const { simulator } = stage.system;
    const query = <T extends Record<string, unknown>>(sql: string) => stage.system.query<T>(sql);
    simulator.script([{ text: ANSWER, repeat: true }]);
    const words = { persons: 0 };
    await longTalk({
      async ask(text) {
        const conversation = await stage.hear(text);
        await turnsUntilDone(stage.ctx, conversation);
        await sendDue(stage.ctx, conversation);
      },
      async person(text) {
        words.persons += 1;
        simulator.owner({ contactId: stage.maria, text });
        await stage.system.until(
          async () => (await query(`select 1 from messages where author = 'human'`)).length === words.persons,
          'the words of the person',
        );
      },
      query,
    });
    const { share, calls } = await cacheShare(query, floor);
    assert.equal(calls, TURNS);
    const hours = stage.prompts().map(({ situation }) => situation.split('\n')[0]);
    assert.notEqual(hours[0], hours.at(-1), 'an hour has passed');
    t.diagnostic(`${(100 * share).toFixed(1)} %`);
    const misses = (await query<{ miss: string }>(`select distinct cache_miss as miss from model_calls order by 1`)).map(
      ({ miss }) => miss,
    );
    // the hour that has passed is one for the product only
    const usual = ['first', 'model_changed', 'expired', null];
    const expected = floor > 1_024 ? ['below_floor', 'messages_changed', ...usual] : usual;
    assert.deepEqual(
      misses.filter((miss) => !expected.includes(miss)),
      [],
      'each miss has its reason',
    );
    const metrics = await stage.ctx.events.registry.metrics();
    assert.ok(metrics.includes('julia_modelo_cache_falhas_total{model="claude-'), 'and is counted');
    assert.ok(share >= CACHE_BAR, `${share}: ${JSON.stringify(simulator.wire().claude.map(({ response }) => response))}`);
  });
}
