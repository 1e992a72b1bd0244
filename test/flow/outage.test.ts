/** The model is unavailable: who waits hears it once, nothing is given up, and the agent goes on by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sweepTurnsJob } from '../../src/crons/sweep-turns.ts';
import { wakeDeferred } from '../../src/turns/deferred.ts';
import { openStage, sendDue, turn, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';
import { admin, adminDone } from '../support/admin.ts';
import { SENTENCES } from '../../src/words/sentences.ts';

const { outage: APOLOGY_TEXT, fallback: FALLBACK_TEXT } = SENTENCES['pt-BR'];

const RUN = { tick: new Date(), signal: new AbortController().signal };
const sent = (stage: Stage) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);
const waiting = (stage: Stage) =>
  stage.system.query(
    `select deferred_reason as reason, deferred_until > now() as later, apologised_at is not null as apologised, failed_in_row as failed, controlled_by as by from conversations`,
  );
const WAITS = { reason: 'model_overloaded', later: true, apologised: false, failed: 0, by: 'agent' };
const DONE = { reason: null, later: null, apologised: false, failed: 0, by: 'agent' };

function overload(stage: Stage): void {
  stage.system.simulator.fault({ target: 'claude', kind: 'status', status: 529, times: null });
}
function recover(stage: Stage): void {
  stage.system.simulator.clearFaults();
  for (const model of ['claude-haiku-5-5', 'claude-sonnet-5-5']) stage.ctx.breakers.claude(model).reset('test');
}
/** As if the contact had written, and its turns had begun to be put off, so many seconds earlier. */
async function later(stage: Stage, seconds: number): Promise<void> {
  await stage.system.query(`update messages set created_at = created_at - $1::int * interval '1 second'`, [seconds]);
  await stage.system.query(
    `update conversations set deferred_since = deferred_since - $1::int * interval '1 second', deferred_until = deferred_until - $1::int * interval '1 second'`,
    [seconds],
  );
}
async function deferredTurn(stage: Stage, conversation: number): Promise<number> {
  const end = await turn(stage.ctx, conversation);
  assert.equal(end.kind, 'again', JSON.stringify(end));
  return end.kind === 'again' ? end.delayMs : 0;
}

test('L15 the model is unavailable: no attempt is used; who has waited for two minutes hears one sentence, and when it is back one answer to everything', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  for (let index = 0; index < 5; index++) await deferredTurn(stage, conversation);
  assert.deepEqual(await waiting(stage), [WAITS_OPEN]);
  assert.equal(stage.prompts().length, 6, 'three of each model, then its breaker is open');
  await stage.system.query(`update messages set created_at = now() - interval '85 seconds'`);
  const wait = await deferredTurn(stage, conversation);
  assert.ok(wait <= 20_000, `it looks again when the contact has waited for long enough, not when the breaker is tried: ${wait}`);
  await later(stage, 21);
  await deferredTurn(stage, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [APOLOGY_TEXT]);
  assert.equal(stage.system.lines.filter((line) => line.message === 'Message sent').at(-1)?.context['latency_ms'], null, 'it is no answer');

  await stage.hear('tem alguém aí?');
  await later(stage, 300);
  await deferredTurn(stage, conversation);
  await stage.hear('quero saber o preço');
  await later(stage, 300);
  await deferredTurn(stage, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [APOLOGY_TEXT], 'once an outage');
  assert.deepEqual(await stage.system.query('select count(*)::int as n from handoffs'), [{ n: 0 }]);

  recover(stage);
  stage.system.simulator.script([{ text: 'Olá! Custa dez reais.' }]);
  assert.deepEqual(await turnsUntilDone(stage.ctx, conversation), []);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [APOLOGY_TEXT, 'Olá! Custa dez reais.']);
  assert.deepEqual(stage.prompts().at(-1)?.texts, [
    'user: [início da conversa]',
    `assistant: ${APOLOGY_TEXT}`,
    'user: oi',
    'user: tem alguém aí?',
    'user: quero saber o preço',
  ]);
  assert.deepEqual(await waiting(stage), [DONE]);
  assert.ok((await stage.system.dump()).filter((line) => line.startsWith('in')).every((line) => line.startsWith('in contact answered')));
});
const WAITS_OPEN = { ...WAITS, reason: 'model_breaker_open' };

test('L15 the next outage is another one: the contact hears of it again', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Olá!', repeat: true }]);
  for (let outage = 0; outage < 2; outage++) {
    overload(stage);
    const conversation = await stage.hear(`oi ${outage}`);
    await deferredTurn(stage, conversation);
    await later(stage, 106);
    await deferredTurn(stage, conversation);
    await sendDue(stage.ctx, conversation);
    recover(stage);
    await turnsUntilDone(stage.ctx, conversation);
    await sendDue(stage.ctx, conversation);
  }
  assert.deepEqual(sent(stage), [APOLOGY_TEXT, 'Olá!', APOLOGY_TEXT, 'Olá!']);
});

test('L15 a canned answer ends no outage, and keeps no contact from hearing of the next one', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  system.simulator.script([{ text: 'Olá!', repeat: true }]);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 106);
  await deferredTurn(stage, conversation);
  const apologies = (): number => sent(stage).filter((text) => text === APOLOGY_TEXT).length;
  // Answered by the product itself before the sentence has left, while the model is still away.
  for (const [text, heard] of [
    ['sair', 0],
    ['qual o endereço?', 1],
    ['voltar', 1],
    ['e o telefone?', 1],
    ['sair', 1],
  ] as const) {
    await stage.hear(text);
    if (/\?/.test(text)) {
      await deferredTurn(stage, conversation);
      await later(stage, 106);
      await deferredTurn(stage, conversation);
    } else await turnsUntilDone(stage.ctx, conversation);
    await sendDue(stage.ctx, conversation);
    assert.equal(apologies(), heard, `${text}: once an outage`);
  }

  // The outage is over: somebody else is answered. Then comes another one.
  recover(stage);
  const { id: ana } = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  system.simulator.inbound({ contactId: ana, text: 'oi' });
  const other = await system.until(
    async () => (await system.query<{ id: string }>('select id from conversations where id <> $1', [conversation]))[0],
    'her conversation',
  );
  await turnsUntilDone(stage.ctx, Number(other.id));
  overload(stage);
  await stage.hear('oi de novo');
  await deferredTurn(stage, conversation);
  await later(stage, 106);
  await deferredTurn(stage, conversation);
  await sendDue(stage.ctx, conversation);
  assert.equal(apologies(), 2, 'the next one is told');
});

test('L15 what has waited for the model is answered although MAX_MESSAGE_AGE_MINUTES is over', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 5 * 3_600);
  await stage.system.query(`update messages set provider_at = provider_at - interval '5 hours'`);
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
});

test('L15 a person who took the conversation over has it: no sentence of the agent, no answer', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await stage.system.query(`update conversations set controlled_by = 'human', escalation_reason = 'Ana'`);
  await later(stage, 200);
  recover(stage);
  assert.deepEqual(await turn(stage.ctx, conversation), { kind: 'done' });
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), []);
  assert.deepEqual(await waiting(stage), [{ ...DONE, by: 'human' }]);
});

test('L15 taken over or paused while the last try was under way: nothing is said over it, and it is said after the pause', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 200);
  const paused = {
    ...stage.ctx,
    llm: {
      call: async () => (
        await adminDone(stage.ctx, 'pause', { scope: 'all', reason: 'x' }),
        { ok: false, failure: { kind: 'overloaded', detail: '', restMs: 0 } }
      ),
    },
  } as unknown as Stage['ctx'];
  await turn(paused, conversation);
  assert.deepEqual(await waiting(stage), [{ ...WAITS, apologised: false }]);
  await later(stage, 60);
  assert.equal(await wakeDeferred(stage.ctx), 0, 'a pause holds it');
  await adminDone(stage.ctx, 'resume', { scope: 'all' });
  assert.equal(await wakeDeferred(stage.ctx), 1);
  await deferredTurn(stage, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [APOLOGY_TEXT]);
});

test('L15 the sentence is withdrawn by no further message, but by the answer when that is there first', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 106);
  await deferredTurn(stage, conversation);
  await stage.hear('alô?'); // the sentence has not left yet
  assert.ok((await stage.system.dump()).includes(`out agent queued: ${APOLOGY_TEXT}`));
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
  assert.ok((await stage.system.dump()).includes(`out agent cancelled(answered_meanwhile): ${APOLOGY_TEXT}`));
});

test('L15 a sentence that could not leave for ten minutes is no news any more', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 106);
  await deferredTurn(stage, conversation);
  await stage.system.query(`update messages set expires_at = expires_at - interval '10 minutes' where direction = 'out'`);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), []);
  assert.ok((await stage.system.dump()).includes(`out agent expired(expired): ${APOLOGY_TEXT}`));
});

test('L15 a job that got lost: the look of each worker brings the conversation back when its time has come, and at once when a model may be asked', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  assert.equal(await wakeDeferred(stage.ctx), 0, 'not before its time');
  await later(stage, 60);
  const woken = async () => (await stage.system.ctx.queues.counts()).turn['wait'];
  assert.equal(await wakeDeferred(stage.ctx), 1);
  assert.equal(await woken(), 1);
  for (let index = 0; index < 3; index++) await deferredTurn(stage, conversation);
  assert.deepEqual(await waiting(stage), [WAITS_OPEN]);
  assert.equal(await wakeDeferred(stage.ctx), 0, 'its breaker is open');
  stage.ctx.breakers.claude('claude-sonnet-5-5').reset('by hand');
  assert.equal(await wakeDeferred(stage.ctx), 1, 'one model is enough');

  // the scheduler's sweep leaves what was put off until later, and finds the rest
  assert.equal(await sweepTurnsJob.run(stage.ctx, RUN), 0);
  await stage.system.query(`update messages set created_at = created_at - interval '1 minute'`);
  assert.equal(await sweepTurnsJob.run(stage.ctx, RUN), 0);
  await later(stage, 600);
  assert.equal(await sweepTurnsJob.run(stage.ctx, RUN), 1);
});

test('L15 who was put off while a model was available is not woken at each look, and all are once another one comes back', async (t) => {
  // One is gone, which no breaker counts, and the breaker of the other one opens: there is nothing to ask the first one again.
  const stage = await openStage(t, { env: { LLM_MODEL: 'claude-gone-1' } });
  stage.system.simulator.fault({ target: 'claude', kind: 'status', status: 529, times: null, match: { model: 'claude-sonnet-5-5' } });
  const conversation = await stage.hear('oi');
  for (let index = 0; index < 3; index++) await deferredTurn(stage, conversation);
  assert.ok((await deferredTurn(stage, conversation)) > 30_000, 'until the other one is probed');
  assert.equal(await wakeDeferred(stage.ctx), 0);
  recover(stage);
  assert.equal(await wakeDeferred(stage.ctx), 1);
});

test('L15 a process that has just begun looks after everybody who waits: it does not know since when the model is back', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.fault({ target: 'claude', kind: 'status', status: 429, retryAfter: 3_000, times: null });
  const conversation = await stage.hear('oi');
  assert.ok((await deferredTurn(stage, conversation)) > 60_000);
  assert.equal(await wakeDeferred(stage.ctx), 0, 'it was asked to wait');
  assert.equal(await wakeDeferred(await stage.system.openContext('worker')), 1);
});

test('L15 two failed turns, then an outage: the time of the outage is none that the turns failed', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('oi');
  await stage.system.query(`update conversations set failed_in_row = 2, failing_since = now() - interval '30 seconds'`);
  overload(stage);
  await deferredTurn(stage, conversation);
  await later(stage, 300);
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
  assert.deepEqual(await stage.system.query('select reason from handoffs'), []);
});

test('L15 the model answers others, and ten tries later still not here: a person has it, and nothing is asked for ever', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  system.simulator.script([{ text: 'Olá!', repeat: true }]);
  system.simulator.fault({ target: 'claude', kind: 'status', status: 500, times: null, match: { text: 'veneno' } });
  const conversation = await stage.hear('veneno');
  const tries = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      for (const model of ['claude-haiku-5-5', 'claude-sonnet-5-5']) stage.ctx.breakers.claude(model).reset('others are answered');
      await deferredTurn(stage, conversation);
    }
  };
  await tries(12); // an outage for everybody, so far
  const other = system.simulator.addContact({ name: 'João', phone: '5511987654321' });
  const { id } = system.simulator.inbound({ contactId: other.id, text: 'bom dia' });
  const row = await system.until(
    async () => (await system.query<{ conversation_id: string }>('select conversation_id from messages where provider_id = $1', [id]))[0],
  );
  for (const model of ['claude-haiku-5-5', 'claude-sonnet-5-5']) stage.ctx.breakers.claude(model).reset('others are answered');
  await turnsUntilDone(stage.ctx, Number(row.conversation_id));
  await tries(10);
  assert.deepEqual(await turnsUntilDone(stage.ctx, conversation), []);
  assert.deepEqual(await system.query('select conversation_id::int as id, reason from handoffs'), [
    { id: conversation, reason: 'turn_failed' },
  ]);
  assert.ok((await system.dump()).some((line) => line.includes(`: ${FALLBACK_TEXT}`)));
});

test('L15 who was not tried meanwhile is not passed over: a pause, or a breaker that was open, says nothing of a conversation', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  for (let index = 0; index < 15; index++) await deferredTurn(stage, conversation);
  recover(stage);
  await stage.system.query(
    `insert into turns (tenant_id, conversation_id, fence, worker, status, model, lease_until, inbound_seq, started_at, ended_at)
       select tenant_id, conversation_id, 0, 'test', 'committed', 'm', now(), 0, min(started_at) + interval '1 millisecond', min(started_at) + interval '1 millisecond'
       from turns group by 1, 2`,
  );
  await stage.system.query(`update conversations set deferred_since = deferred_since - interval '1 second'`);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
});

test('L15 a contact that asks again and again while it waits is no machine', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  let conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 60);
  for (let index = 0; index < 8; index++) conversation = await stage.hear('tem alguém aí?');
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
});

test('L15 in mode assist the sentence goes by itself, and the answer waits for a yes', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('oi');
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'assist' });
  overload(stage);
  await deferredTurn(stage, conversation);
  await later(stage, 106);
  await deferredTurn(stage, conversation);
  await sendDue(stage.ctx, conversation);
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [APOLOGY_TEXT]);
  assert.ok((await stage.system.dump()).includes('out agent draft: Olá!'));
  assert.deepEqual(await waiting(stage), [DONE]);
});

test('L15 I9 who opts out while it waits hears that, and no sentence of an outage', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 106);
  await deferredTurn(stage, conversation); // the sentence waits in the lane
  await stage.hear('SAIR');
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  const texts = sent(stage);
  assert.equal(texts.length, 1);
  assert.match(texts[0] ?? '', /não vai mais receber/);
  recover(stage);
  assert.deepEqual(await turn(stage.ctx, conversation), { kind: 'done' });
  assert.equal(await wakeDeferred(stage.ctx), 0);
});

test('L15 a thousand conversations wait: when the model is back the longest waiting are woken first, and each once', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await system.query(
    `with made as (insert into contacts (tenant_id) select 'default' from generate_series(1, 999) returning id),
       chats as (insert into conversations (tenant_id, instance_id, contact_id, jid, last_seq, inbound_seq, deferred_since, deferred_until, deferred_reason, apologised_at)
         select 'default', c.instance_id, made.id, '55219' || lpad(made.id::text, 8, '0') || '@s.whatsapp.net', 1, 1, now() - made.id * interval '1 second',
           now() + interval '5 minutes', 'model_breaker_open', now() from made, conversations c where c.id = $1 returning id, instance_id)
     insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, provider_id)
       select 'default', instance_id, id, 1, 'in', 'contact', 'text', 'received', 'oi', now(), 'p' || id from chats`,
    [conversation],
  );
  await system.query(
    `insert into turns (tenant_id, conversation_id, fence, worker, status, reason, lease_until, inbound_seq, started_at, ended_at)
       select tenant_id, id, 0, 'test', 'deferred', 'model_breaker_open', now(), 1, now() - interval '1 minute', now() - interval '1 minute' from conversations where id <> $1`,
    [conversation],
  );
  recover(stage);
  system.simulator.script([{ text: 'Olá!', repeat: true }]);
  assert.equal(await wakeDeferred(stage.ctx), 500);
  const oldest = await system.query<{ id: string }>('select id from conversations order by deferred_since limit 500');
  const jobs = async () =>
    (
      await system.query<{ id: number }>(
        `select jsonb_array_elements_text(data::jsonb -> 'conversations')::int as id from bullmq.job where data::text like '%conversations%'`,
      )
    )
      .map(({ id }) => id)
      .filter((id) => id !== conversation) // has the wake-up of its webhook
      .toSorted((a, b) => a - b);
  const longest = oldest.map(({ id }) => Number(id)).toSorted((a, b) => a - b);
  assert.deepEqual(await jobs(), longest);
  assert.equal(await wakeDeferred(stage.ctx), 500, 'until they are answered');
  assert.deepEqual(await jobs(), longest, 'a wake-up that waits is no second one');
});

test('L15 what waited is deleted, or answered otherwise: nothing looks for it any more', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await stage.system.query(`update messages set status = 'skipped', reason = 'deleted_by_contact'`);
  await later(stage, 60);
  assert.equal(await wakeDeferred(stage.ctx), 1);
  assert.deepEqual(await turn(stage.ctx, conversation), { kind: 'done' });
  assert.deepEqual(await waiting(stage), [DONE]);
  assert.equal(await wakeDeferred(stage.ctx), 0);
});

test('L15 a worker that dies while it tries: the conversation is found when its lease is over, and hears the sentence', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  await later(stage, 110);
  await stage.ctx.db.call('claim_turn', { p_conversation: conversation, p_worker: 'dead', p_lease_ms: 30_000 });
  assert.equal(await wakeDeferred(stage.ctx), 0, 'it is in hands');
  await stage.system.query(`update turns set lease_until = now() - interval '1 second' where status = 'open'`);
  assert.equal(await wakeDeferred(stage.ctx), 1);
  await deferredTurn(stage, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [APOLOGY_TEXT]);
});

test('L15 a wrong key is put off too: the contact hears the same, and the agent goes on when it is right', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.fault({ target: 'claude', kind: 'status', status: 401, times: null });
  const conversation = await stage.hear('oi');
  assert.ok((await deferredTurn(stage, conversation)) >= 10_000);
  assert.deepEqual(await waiting(stage), [{ ...WAITS, reason: 'model_unauthorized' }]);
  await later(stage, 106);
  await deferredTurn(stage, conversation);
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.ok((await stage.system.dump()).includes('in contact answered: oi'));
  assert.deepEqual(sent(stage).at(-1), 'Olá!');
});

test('L15 turns that are put off count neither as turns of the contact’s day nor as failures', async (t) => {
  const stage = await openStage(t, { env: { MAX_TURNOS_CONTATO_DIA: '2' } });
  overload(stage);
  const conversation = await stage.hear('oi');
  for (let index = 0; index < 4; index++) await deferredTurn(stage, conversation);
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Olá!']);
});

test('L15 H2 X11 while conversations wait: health, status and why say so', async (t) => {
  const stage = await openStage(t);
  overload(stage);
  const conversation = await stage.hear('oi');
  await deferredTurn(stage, conversation);
  const { body } = await deep(stage);
  assert.equal(body.status, 'degraded');
  assert.ok(
    body.reasons.includes(
      'the model is unavailable: 1 conversation waits for it, the longest for 0 minutes, because the model was overloaded or had a failure of its own',
    ),
    body.reasons.join('\n'),
  );
  assert.match((await admin(stage.ctx, 'status')).text ?? '', /^MODEL: the model is unavailable: 1 conversation waits/m);
  const [message] = await stage.system.query<{ id: string }>('select id from messages');
  assert.match(
    (await admin(stage.ctx, 'why', { id: String(message?.id) })).text ?? '',
    /stored, waits for the model[\s\S]*put it off, since the model was unavailable/,
  );
  recover(stage);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turnsUntilDone(stage.ctx, conversation);
  assert.doesNotMatch((await deep(stage)).body.reasons.join(), /model/);
});

async function deep(stage: Stage): Promise<{ body: { status: string; reasons: string[] } }> {
  return { body: (await (await fetch(`${stage.system.url}/health/deep`)).json()) as { status: string; reasons: string[] } };
}

test('I14 a handoff that reaches nobody is seen: by health and status, and gone when somebody wrote', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { tools: [{ name: 'handoff_to_human', input: { reason: 'pediu', summary: 'x' } }] },
    { text: 'Vou chamar a Ana.' },
  ]);
  const conversation = await stage.hear('quero uma pessoa');
  await turnsUntilDone(stage.ctx, conversation);
  await stage.ctx.background.drain(10_000);
  await stage.system.until(
    async () => (await stage.system.query(`select 1 from notices where status = 'failed' and error = 'no_channel'`))[0],
    'the notice',
  );
  const said =
    '1 conversation waits for a person, and nobody could be told: no channel took the notice (SLACK_WEBHOOK_URL or GESTOR_WHATSAPP; handoff list)';
  assert.ok((await deep(stage)).body.reasons.includes(said), (await deep(stage)).body.reasons.join('\n'));
  assert.match((await admin(stage.ctx, 'status')).text ?? '', /^UNHEARD: 1 conversation waits for a person/m);
  await adminDone(stage.ctx, 'handoff return', { id: conversation });
  assert.ok(!(await deep(stage)).body.reasons.includes(said));

  // mode manual: nobody is told of what the contact writes, and it stands in no handoff
  await adminDone(stage.ctx, 'conversation mode', { id: conversation, mode: 'manual' });
  await stage.hear('alguém?');
  await turnsUntilDone(stage.ctx, conversation);
  await stage.ctx.background.drain(10_000);
  await stage.system.until(
    async () => (await stage.system.query(`select 1 from notices where kind = 'forward' and status = 'failed'`))[0],
    'the forward',
  );
  assert.ok((await deep(stage)).body.reasons.includes(said));
  assert.match(
    (await admin(stage.ctx, 'handoff list')).text ?? '',
    new RegExp(`conversation ${conversation} .*: in mode manual only people answer`),
  );
  const { id } = stage.system.simulator.owner({ contactId: stage.maria, text: 'oi, sou a Ana' });
  await stage.system.until(async () => (await stage.system.query('select 1 from messages where provider_id = $1', [id]))[0]);
  assert.ok(!(await deep(stage)).body.reasons.includes(said));
});
