/** What happens while the model runs, between its answer and the commit, and when a worker or the database goes away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overDeadlocks } from '../../src/db/deadlock.ts';
import { DatabaseAway, DatabaseRefused } from '../../src/db/failures.ts';
import { intercept, openStage, sendDue, turn, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const sent = (stage: Stage) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);
const inbound = async (stage: Stage) => (await stage.system.dump()).filter((line) => line.startsWith('in '));
const asked = (stage: Stage, calls: number) => stage.system.until(() => stage.prompts().length >= calls, `model call ${calls}`);

test('I4 X3 a message that lands during generation aborts the call, and one answer covers both, in order', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.fault({ target: 'claude', kind: 'hang' });
  const conversation = await stage.hear('quero um corte');
  const running = turn(stage.ctx, conversation);
  await asked(stage, 1);
  await stage.hear('e uma barba');
  const end = await running;
  assert.ok(end.kind === 'again' && end.delayMs <= stage.ctx.config.turn.debounceMaxMs, JSON.stringify(end));
  stage.system.simulator.script([{ text: 'Corte e barba!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Corte e barba!']);
  assert.deepEqual(stage.prompts()[1]?.texts, ['user: quero um corte', 'user: e uma barba']);
  assert.deepEqual(await stage.turns(), ['superseded(answer_not_wanted)', 'committed']);
  assert.deepEqual(
    await stage.system.query(
      'select c.outcome, t.status, t.cost_usd = c.cost_usd and c.cost_usd > 0 as paid from model_calls c join turns t on t.id = c.turn_id order by c.id',
    ),
    [
      { outcome: 'aborted', status: 'superseded', paid: true },
      { outcome: 'end_turn', status: 'committed', paid: true },
    ],
  );
});

test('I4 a message that lands after the answer, before its commit, supersedes it; the money stays on record', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'só o corte' }, { text: 'Corte e barba!' }]);
  const conversation = await stage.hear('quero um corte');
  const ctx = intercept(stage.ctx, 'complete_turns', async (call, nth) => {
    if (nth === 1) await stage.hear('e uma barba');
    return await call();
  });
  assert.equal((await turnsUntilDone(ctx, conversation)).length, 1);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Corte e barba!']);
  assert.deepEqual(await stage.system.query('select status, cost_usd > 0 as paid from turns order by id'), [
    { status: 'superseded', paid: true },
    { status: 'committed', paid: true },
  ]);
});

test('I4 somebody who never stops writing is answered: the third newer message waits for the next turn', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([1, 2, 3, 4].map((n) => ({ text: `resposta ${n}` })));
  const conversation = await stage.hear('um');
  const ctx = intercept(stage.ctx, 'complete_turns', async (call, nth) => {
    if (nth <= 3) await stage.hear(`mais ${nth}`);
    return await call();
  });
  await turnsUntilDone(ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['resposta 3', 'resposta 4']);
  assert.deepEqual(
    stage.prompts().map((prompt) => prompt.texts.filter((text) => text.startsWith('user') && !text.startsWith('user: [sistema')).length),
    [1, 2, 3, 4],
  );
  assert.match(stage.prompts()[3]?.texts.join('\n') ?? '', /\[sistema: ainda vai ser entregue .*"resposta 3"\]/, 'I20: not said yet');
  assert.ok((await inbound(stage)).every((line) => line.startsWith('in contact answered')));
});

test('I4 I20 a limit sends an answer back while the contact writes: it still leaves, and what was written meanwhile has its own answer', async (t) => {
  const stage = await openStage(t);
  // The newest question first, as in the chaos runs: a model that takes an answered question for a new one says its answer again.
  stage.system.simulator.script(['e a entrega;', 'quanto custa;'].map((match) => ({ match, text: `Resposta a: ${match}`, repeat: true })));
  stage.system.simulator.fault({ target: 'send', kind: 'rate-limited' });
  const conversation = await stage.hear('e a entrega;');
  await turnsUntilDone(stage.ctx, conversation);
  // It comes late, and just then: what is on the wire is not withdrawn, and a moment later it is known that it has not left.
  const sending = intercept(stage.ctx, 'record_sends', async (call, nth) => {
    if (nth === 1) await stage.hear('quanto custa;');
    return await call();
  });
  await sendDue(sending, conversation);
  await turnsUntilDone(stage.ctx, conversation);
  assert.match(stage.prompts()[1]?.texts.join('\n') ?? '', /\[sistema: ainda vai ser entregue .*"Resposta a: e a entrega;"\]/);
  await stage.system.query(`update messages set due_at = now() where status = 'queued'`);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Resposta a: e a entrega;', 'Resposta a: quanto custa;']);
});

test('X3 shutdown: the call is aborted, the turn is given back at once and answered by another worker', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.fault({ target: 'claude', kind: 'hang' });
  const conversation = await stage.hear('oi');
  const stopping = new AbortController();
  const running = turn(stage.ctx, conversation, stopping.signal);
  await asked(stage, 1);
  stopping.abort();
  assert.deepEqual(await running, { kind: 'again', delayMs: 0 });
  stage.system.simulator.script([{ text: 'Olá!' }]);
  assert.deepEqual(await turn(await stage.system.openContext('worker'), conversation), { kind: 'done' });
  assert.deepEqual(await stage.turns(), ['superseded(shutdown)', 'committed']);
  assert.deepEqual(await stage.system.query('select superseded_in_row, failed_in_row from conversations'), [
    { superseded_in_row: 0, failed_in_row: 0 },
  ]);
});

test('I5 a lease that was lost: the late worker commits nothing, the other one’s answer stands', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'tarde demais' }, { text: 'Olá!' }]);
  const conversation = await stage.hear('oi');
  const other = await stage.system.openContext('worker');
  const slow = intercept(stage.ctx, 'complete_turns', async (call) => {
    await stage.system.query(`update turns set lease_until = now() - interval '1 second' where status = 'open'`);
    await turn(other, conversation);
    return await call();
  });
  assert.deepEqual(await turn(slow, conversation), { kind: 'done' });
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
  assert.deepEqual(await stage.turns(), ['expired(lease_ran_out)', 'committed']);
  assert.deepEqual(await stage.system.query('select cost_usd > 0 as paid from turns order by id'), [{ paid: true }, { paid: true }]);
});

test('I5 a worker that dies in the middle of a turn: another takes it over when the lease has run out, not before', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('oi');
  const started = new Date(Date.now() - 20_000); // long enough ago for a lease, not for a person to be called
  await stage.ctx.db.call('claim_turn', { p_conversation: conversation, p_worker: 'dead', p_lease_ms: 3_600_000, p_now: started });
  const busy = await turn(stage.ctx, conversation);
  assert.ok(busy.kind === 'again' && busy.delayMs > 0 && busy.delayMs <= 5_000, JSON.stringify(busy)); // not the whole lease: what came too late for that turn waits too
  await stage.system.query(`update turns set lease_until = now() where status = 'open'`);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turn(stage.ctx, conversation);
  assert.deepEqual(await stage.turns(), ['expired(lease_ran_out)', 'committed']);
  assert.deepEqual(await stage.system.query('select failed_in_row from conversations'), [{ failed_in_row: 0 }]);
});

test('I14 a message that kills every worker goes to a person', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('oi');
  for (let death = 3; death > 0; death--) {
    await stage.ctx.db.call('claim_turn', {
      p_conversation: conversation,
      p_worker: 'dead',
      p_lease_ms: 1_000,
      p_now: new Date(Date.now() - death * 60_000),
    });
  }
  await turn(stage.ctx, conversation);
  assert.equal(stage.prompts().length, 0);
  assert.deepEqual(await stage.system.query('select reason, controls from handoffs'), [{ reason: 'turn_failed', controls: true }]);
});

const ABSENCES: [name: string, fail: (call: () => Promise<unknown>) => Promise<unknown>][] = [
  ['before it took effect', () => Promise.reject(new DatabaseAway('complete_turn', 'gone'))],
  [
    'after it took effect',
    async (call) => {
      await call();
      throw new DatabaseAway('complete_turn', 'gone');
    },
  ],
  [
    'by a deadlock', // which the door repeats
    (call) => {
      let calls = 0;
      return overDeadlocks(() =>
        calls++ === 0 ? Promise.reject(new DatabaseRefused('complete_turn', '40P01', 'deadlock detected')) : call(),
      );
    },
  ],
];
for (const [name, fail] of ABSENCES) {
  test(`I14 the database goes away during the commit, ${name}: one answer, paid for once, sent by whoever has the job`, async (t) => {
    const stage = await openStage(t);
    stage.system.simulator.script([{ text: 'Olá!' }]);
    const conversation = await stage.hear('oi');
    const ctx = intercept(stage.ctx, 'complete_turns', (call, nth) => (nth === 1 ? fail(call) : call()));
    assert.deepEqual(await turn(ctx, conversation), { kind: 'done' });
    assert.deepEqual(await stage.system.dump(), ['in contact answered: oi', 'out agent queued: Olá!']);
    assert.deepEqual(await stage.system.query('select count(*)::int as calls from model_calls'), [{ calls: 1 }]);
    await sendDue(stage.ctx, conversation);
    assert.deepEqual(
      stage.system.simulator.sends().map((send) => send.text),
      ['Olá!'],
    );
  });
}

test('I14 a lease that cannot be renewed for a moment is no reason to stop', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('oi');
  stage.system.simulator.fault({ target: 'claude', kind: 'slow', ms: 1_500 });
  let renewed = 0;
  const ctx = intercept(stage.ctx, 'renew_turns', () => {
    renewed++;
    return Promise.reject(new DatabaseAway('renew_turn', 'gone'));
  });
  assert.deepEqual(await turn(ctx, conversation), { kind: 'done' });
  assert.ok(renewed > 0);
  assert.deepEqual(await stage.turns(), ['committed']);
});
