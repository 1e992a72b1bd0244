/** Ceilings of money, through the front door: what is asked, what the contact hears, what people are told, and what stays reserved. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modelFile } from '../../src/claude/files.ts';
import { worstUsd } from '../../src/claude/prices.ts';
import type { Config } from '../../src/config.ts';
import type { Door } from '../../src/db/door.ts';
import { moneyOf } from '../../src/inbox/media/describe.ts';
import { openBudget } from '../../src/spend/budget.ts';
import { mostTokens } from '../../src/spend/ceilings.ts';
import { admin } from '../support/admin.ts';
import { intercept, openStage, sendDue, turn, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

/** So much of a day is spent on something else. */
async function spend(stage: Stage, usd: number): Promise<void> {
  await stage.system.query(`delete from spend_days where kind = 'audio'`);
  await stage.system.query(`select add_spend('default', 'audio', null, $1, 1, 0, 12, now())`, [usd]);
}
const reserved = async (stage: Stage) => (await stage.system.query('select from spend_reservations')).length;
const notices = async (stage: Stage) =>
  (await stage.system.query<{ key: string }>(`select key from notices where kind = 'alert' order by id`)).map(({ key }) =>
    key.replace(/-\d{4}-\d{2}-\d{2}$/, ''),
  );

test('L4 X9 the ladder: the dearer model, the cheaper one, a sentence, a person; each is told once, nothing stays reserved, and with room again the agent answers', async (t) => {
  const stage = await openStage(t, { env: { MAX_USD_DIA: '1', ABUSE_GATES: 'false' } });
  const { system } = stage;
  const asked: number[] = [];
  const ctx = intercept(stage.ctx, 'reserve_spend', (call, nth) => {
    asked.push(nth);
    return call();
  });
  const say = async (text: string): Promise<void> => {
    const conversation = await stage.hear(text);
    await turnsUntilDone(ctx, conversation);
    await sendDue(ctx, conversation);
    await system.query(`update messages set status = 'delivered' where status in ('sending', 'uncertain')`);
  };
  const models = () => stage.prompts().map(({ model }) => model);
  await say('Oi, tudo bem?');
  assert.deepEqual(
    [models(), asked],
    [['claude-haiku-5-5'], []],
    'what the claim reserves is enough, without another call of the database',
  );
  await say('Que absurdo, quero cancelar!');
  assert.deepEqual(models().slice(1), ['claude-sonnet-5-5']);
  assert.equal(asked.length, 1);

  await spend(stage, 0.99);
  await say('Isso é um absurdo!');
  await say('Absurdo de novo!');
  assert.deepEqual(models().slice(2), ['claude-haiku-5-5', 'claude-haiku-5-5'], 'the dearer one has no room');
  assert.deepEqual(await notices(stage), ['spend-day-model-claude-sonnet-5-5']);

  await spend(stage, 0.9999);
  await say('E agora?');
  await say('Alô?');
  await say('Alguém?');
  assert.equal(models().length, 4, 'nobody is asked');
  assert.deepEqual(await notices(stage), ['spend-day-model-claude-sonnet-5-5', 'spend-day-person']);
  assert.deepEqual((await stage.turns()).slice(4), ['committed(spend_day)', 'handed_over(spend_day)', 'handed_over(spend_day)']);
  const said = await system.query<{ text: string }>(`select text from messages where direction = 'out' order by id desc limit 1`);
  assert.match(said[0]?.text ?? '', /uma pessoa vai continuar por aqui/);
  assert.deepEqual(await system.query('select reason, controls from handoffs'), [{ reason: 'spend_day', controls: false }]);

  await spend(stage, 0.1);
  await say('Oi de novo');
  assert.deepEqual(models().slice(4), ['claude-sonnet-5-5'], 'a long talk by now, and there is room for it');
  assert.equal(await reserved(stage), 0);
  const { text } = await admin(stage.ctx, 'spend');
  assert.match(text ?? '', /^today US\$ 0\.1\d+ of US\$ 1\.00, this month US\$ 0\.1\d+, reserved now US\$ 0\.0000\n/);
  assert.match(text ?? '', /audio: today US\$ 0\.1000.*\(12 s\)[^]*model: .* in 5 calls[^]*no number: today[^]*julia-dev: today/);
  const [row] = await system.query<{ days: string; calls: string }>(
    `select (select sum(usd)::text from spend_days where kind = 'model') as days, (select sum(cost_usd)::text from model_calls) as calls`,
  );
  assert.equal(row?.days, row?.calls);
});

test('X9 a call that is broken off is settled with its input, and a turn that is given back keeps nothing reserved', async (t) => {
  const stage = await openStage(t, { env: { MAX_USD_DIA: '1' } });
  stage.system.simulator.fault({ target: 'claude', kind: 'hang' });
  const conversation = await stage.hear('Oi');
  const stop = new AbortController();
  const running = turn(stage.ctx, conversation, stop.signal);
  await stage.system.until(() => stage.system.simulator.wire().claude.length === 1, 'the call');
  assert.equal(await reserved(stage), 1);
  stop.abort();
  await running;
  assert.equal(await reserved(stage), 0);
  const [row] = await stage.system.query<{ usd: string; estimated: boolean }>(
    `select (select sum(usd)::text from spend_days) as usd, bool_or(estimated) as estimated from model_calls`,
  );
  assert.ok(Number(row?.usd) > 0 && row?.estimated === true, JSON.stringify(row));
});

test('X9 who has used up its day hears one sentence; the others go on', async (t) => {
  const stage = await openStage(t, { env: { MAX_USD_CONTATO_DIA: '0.0009' } });
  const joao = stage.system.simulator.addContact({ name: 'João', phone: '5511987654321' }).id;
  for (const text of ['Oi', 'Tudo bem?', 'Alô?']) {
    const conversation = await stage.hear(text);
    await turnsUntilDone(stage.ctx, conversation);
    await stage.system.query(`update turns set cost_usd = 0.0005 where cost_usd > 0`);
  }
  assert.deepEqual(await stage.turns(), ['committed', 'committed(spend_contact_day)', 'handed_over(spend_contact_day)']);
  stage.system.simulator.inbound({ contactId: joao, text: 'Oi' });
  const other = await stage.system.until(
    async () => (await stage.system.query<{ id: string }>('select id from conversations where id > 1'))[0],
    'João',
  );
  await turnsUntilDone(stage.ctx, Number(other.id));
  assert.equal((await stage.turns()).at(-1), 'committed');
  assert.deepEqual(await notices(stage), [], 'a contact is told of by its handoff');
});

test('X9 what a request may have in tokens is never less than its bytes from a contact; a file counts as what it becomes', () => {
  const of = (content: unknown): number => mostTokens({ system: [], tools: [], messages: [{ role: 'user', content }] });
  const hostile = '🧿\u0000漢'.repeat(2_000);
  assert.ok(of(hostile) >= Buffer.byteLength(hostile));
  const source = (media_type: string, bytes: number) => ({ type: 'x', source: { type: 'base64', media_type, data: 'A'.repeat(bytes) } });
  assert.ok(of([source('image/jpeg', 4_000_000)]) < 7_000);
  assert.ok(of([source('application/pdf', 200_000)]) > 50_000);
  assert.ok(of([source('application/pdf', 20_000_000)]) < 460_000);
});

test('X9 a small PDF with many pages is reserved by its pages, before a turn asks and before it is described', async () => {
  const model = 'claude-haiku-5-5';
  const now = new Date();
  const pdf = modelFile(Buffer.alloc(9_000), 'pdf', 100);
  const least = worstUsd(model, { input: 500_000, output: 0 }, now) ?? Infinity;
  const asked: unknown[] = [];
  const db = {
    call(_: string, args: { p_usd: unknown }) {
      asked.push(args.p_usd);
      return Promise.resolve({ refused: null });
    },
  } as unknown as Door;
  const ceilings = { contactDay: null, day: 9, month: null };
  const budget = openBudget(db, { turn_id: 1, fence: 1, reservedUsd: 0 }, ceilings, () => now);
  const messages = [{ role: 'user', content: [pdf.block] }];
  await budget.take({ model, system: [], tools: [], messages, fileTokens: pdf.tokens, maxTokens: 1 });
  assert.ok(Number(asked[0]) > least, String(asked[0]));
  const config = { claude: { model, effort: 'low', ceilings } } as unknown as Config;
  assert.ok(Number(moneyOf(config, pdf, now)?.usd) > least);
});
