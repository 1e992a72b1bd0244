/** What the model's cache has of a whole conversation, at each floor that a model may have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intercept, openStage, sendDue, turnsUntilDone } from '../support/turns.ts';

const TURNS = 30;
const QUESTIONS = [
  'Oi, tudo bem? Vi o anúncio de vocês e queria entender melhor como funciona o atendimento por aqui.',
  'Certo. E vocês atendem também aos sábados, ou só durante a semana? Trabalho até tarde de segunda a sexta.',
  'Entendi. Minha irmã foi atendida aí no ano passado e gostou muito, por isso resolvi perguntar também.',
  'E como faço para chegar de ônibus? Moro do outro lado da cidade e não conheço bem o bairro de vocês.',
  'Ótimo. Se eu precisar remarcar, com quanto tempo de antecedência devo avisar para não atrapalhar ninguém?',
];
const ANSWER =
  'Claro! Pode ficar à vontade para perguntar. Aqui a gente atende com hora marcada, e quando surge um imprevisto basta avisar por esta conversa que a equipe encontra outro horário para você.';

for (const floor of [512, 1_024, 2_048, 4_096]) {
  test(`L17 ${TURNS} turns of one conversation with a floor of ${floor} tokens: 85 % of the input is read from the cache, over a new hour, a new fact and a handoff`, async (t) => {
    const stage = await openStage(t, {
      simulator: { cacheMinTokens: floor },
      env: { ABUSE_GATES: 'false', MAX_MESSAGE_AGE_MINUTES: '600' },
    });
    const { simulator } = stage.system;
    simulator.script([{ text: ANSWER, repeat: true }]);
    let hours = 0;
    const ctx = intercept(stage.ctx, 'claim_turn', async (call) => {
      const claim = (await call()) as { now?: string };
      return claim.now === undefined ? claim : { ...claim, now: new Date(Date.parse(claim.now) + hours * 3_600_000).toISOString() };
    });
    for (let index = 0; index < TURNS; index++) {
      const conversation = await stage.hear(`${QUESTIONS[index % QUESTIONS.length] ?? ''} (${index})`);
      if (index === 8) hours = 1;
      if (index === 14)
        await stage.system.query(
          `update contacts set memory = memory || jsonb_build_array(jsonb_build_object('fact', 'prefere sábados', 'at', now()))`,
        );
      await turnsUntilDone(ctx, conversation);
      await sendDue(ctx, conversation);
      if (index === 20) {
        // a person takes over, writes more than the cache looks back, and gives it back
        await stage.system.query(`update conversations set takeover_until = now() + interval '1 hour'`);
        for (let n = 0; n < 12; n++) {
          simulator.owner({ contactId: stage.maria, text: `Aqui é a Ana, mensagem ${n}` });
          await stage.hear(`certo, ${n}`);
        }
        await turnsUntilDone(ctx, conversation);
        await stage.system.query(`update conversations set takeover_until = null`);
      }
    }
    const calls = simulator.wire().claude.map(({ response }) => (response as { usage: Record<string, number> }).usage);
    assert.equal(calls.length, TURNS);
    const sum = { read: 0, all: 0 };
    for (const usage of calls) {
      const read = usage['cache_read_input_tokens'] ?? 0;
      const all = read + (usage['input_tokens'] ?? 0) + (usage['cache_creation_input_tokens'] ?? 0);
      if (all <= floor) continue;
      sum.read += read;
      sum.all += all;
    }
    t.diagnostic(`${((100 * sum.read) / sum.all).toFixed(1)} % of ${sum.all}`);
    const misses = (await stage.system.query<{ miss: string }>(`select distinct cache_miss as miss from model_calls order by 1`)).map(
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
    assert.ok(sum.read >= 0.85 * sum.all, `${sum.read} of ${sum.all}: ${JSON.stringify(calls)}`);
  });
}
