/** Dead letters, pauses, handoffs and replays in SQL: once, audited, and only for their own tenant. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminStatus } from '../../src/watch/status-calls.ts';
import { listHandoffs, returnHandoff } from '../../src/people/handoff-calls.ts';
import { setPause } from '../../src/people/pause-calls.ts';
import type { PauseRequest } from '../../src/people/pause-calls.ts';
import { recordInbound } from '../../src/inbox/calls.ts';
import { discardDeadLetter, listDeadLetters, retryDeadLetter } from '../../src/outbox/dead-letter-calls.ts';
import { findConversationOf, readTimeline } from '../../src/watch/timeline-calls.ts';
import { findStoredWebhook, reopenInbound } from '../../src/inbox/stored-calls.ts';
import { minutesAfter, NOON, said, TAKEOVER } from '../support/inbound.ts';
import { queueReplies, sendRow, sendsDatabase, sentAs, states } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';
import { INSTANCE } from '../support/system.ts';

const PHONE = '5511912345678';
const ACTOR = 'cli:ana';
const OPTIONS = { ...TAKEOVER, withdrawParts: true };

/** A message of this kind whose send failed for good. */
async function failed(base: SendsDatabase): Promise<{ id: number; conversation: number }> {
  const message = await base.proactive(PHONE, NOON);
  await base.record(await base.claim(message.conversation, NOON), { kind: 'failed', class: 'max_attempts_unavailable', detail: '' }, NOON);
  return message;
}

/** A message of which nobody knows whether it left. */
async function unproven(base: SendsDatabase): Promise<{ id: number; conversation: number }> {
  const message = await base.proactive(PHONE, NOON);
  await base.claim(message.conversation, NOON);
  await base.query(`update messages set status = 'unproven', reason = 'timeout', lease_until = null where id = $1`, [message.id]);
  return message;
}

async function audit(base: SendsDatabase): Promise<string[]> {
  const rows = await base.query<{ line: string }>(
    `select actor || ' ' || action || ' ' || subject || ' ' || coalesce(details ->> 'reason', '-') as line from audit_log order by id`,
  );
  return rows.map((row) => row.line);
}

test('O4 a failed send is a dead letter with its reason; two retries at once put it back once, and it is sent once', async (t) => {
  const base = await sendsDatabase(t);
  const { id, conversation } = await failed(base);
  const [letter] = await listDeadLetters(base.db, 'default', 10);
  assert.deepEqual([letter?.id, letter?.status, letter?.reason, letter?.attempts], [id, 'failed', 'max_attempts_unavailable', 1]);

  const answers = await Promise.all([1, 2, 3].map(() => retryDeadLetter(base.db, 'default', id, ACTOR, null)));
  assert.deepEqual(answers.map((each) => each.outcome).toSorted(), ['not_dead', 'not_dead', 'queued']);
  assert.deepEqual(await listDeadLetters(base.db, 'default', 10), []);
  assert.deepEqual(await audit(base), [`${ACTOR} dlq.retry ${id} -`]);

  const later = new Date(Date.now() + 1_000); // retried at the database's own time
  const claim = await base.claim(conversation, later);
  assert.equal(claim.action, 'send');
  assert.equal((await retryDeadLetter(base.db, 'default', id, ACTOR, null)).outcome, 'not_dead', 'not while it leaves');
  await base.record(claim, sentAs('WA1'), later);
  assert.deepEqual(await retryDeadLetter(base.db, 'default', id, ACTOR, 'again'), { outcome: 'not_dead', status: 'sent', reason: null });
  assert.equal((await base.claim(conversation, later)).action, 'idle');
});

test('O4 a retried first part brings back the parts that were cancelled with it, in order; what was cancelled otherwise stays', async (t) => {
  const base = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(base.query, PHONE, ['um', 'dois', 'três'], { at: NOON });
  await base.query(`update messages set status = 'cancelled', reason = 'takeover' where id = $1`, [ids[2]]);
  await base.record(await base.claim(conversation, NOON), { kind: 'failed', class: 'bad_request', detail: '' }, NOON);
  assert.deepEqual(await states(base.query, ids), ['failed(bad_request)', 'cancelled(earlier_part_failed)', 'cancelled(takeover)']);

  const answer = await retryDeadLetter(base.db, 'default', ids[0] ?? 0, ACTOR, null);
  assert.deepEqual(answer, { outcome: 'queued', conversation_id: conversation, parts: 1, paused: null });
  const later = new Date(Date.now() + 1_000);
  for (const [index, text] of ['um', 'dois'].entries()) {
    const claim = await base.claim(conversation, later);
    assert.deepEqual([claim.action, claim.text], ['send', text]);
    await base.record(claim, sentAs(`WA${index}`), later);
  }
  assert.equal((await base.claim(conversation, later)).action, 'idle');
});

test('O4 a retry while everything is paused waits for the resume, and says so', async (t) => {
  const base = await sendsDatabase(t);
  const { id, conversation } = await failed(base);
  await base.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'manual')`);
  const answer = await retryDeadLetter(base.db, 'default', id, ACTOR, null);
  assert.equal(answer.outcome === 'queued' && answer.paused, 'all');
  const later = new Date(Date.now() + 1_000);
  assert.deepEqual([(await base.claim(conversation, later)).action, (await sendRow(base.query, id)).reason], ['wait', 'paused_all']);
  await base.query(`insert into julia_status (status, motivo, alterado_via) values ('ativo', 'teste', 'manual')`);
  assert.equal((await base.claim(conversation, later)).action, 'send');
});

test('O4 a retry and a discard at once: exactly one of them happens', async (t) => {
  const base = await sendsDatabase(t);
  for (let round = 0; round < 5; round++) {
    const { id } = await failed(base);
    const [retry, discard] = await Promise.all([
      retryDeadLetter(base.db, 'default', id, ACTOR, null),
      discardDeadLetter(base.db, 'default', id, ACTOR, 'já resolvido'),
    ]);
    const { status, reason } = await sendRow(base.query, id);
    assert.equal([retry.outcome === 'queued', discard.outcome === 'discarded'].filter(Boolean).length, 1);
    assert.deepEqual([status, reason], retry.outcome === 'queued' ? ['queued', 'retried_by_hand'] : ['cancelled', 'discarded_by_hand']);
    await base.query(`update messages set status = 'cancelled' where id = $1`, [id]);
  }
});

test('O15 one that may have left is sent again only with a reason; actor, reason and message are in the audit', async (t) => {
  const base = await sendsDatabase(t);
  const { id } = await unproven(base);
  for (const reason of [null, '', '  '])
    assert.deepEqual(await retryDeadLetter(base.db, 'default', id, ACTOR, reason), { outcome: 'reason_needed' });
  assert.deepEqual(await audit(base), []);
  assert.equal((await retryDeadLetter(base.db, 'default', id, ACTOR, 'não está no chat')).outcome, 'queued');
  assert.deepEqual(await audit(base), [`${ACTOR} dlq.retry ${id} não está no chat`]);
});

test('T1 O4 another tenant sees and changes none of it', async (t) => {
  const base = await sendsDatabase(t);
  await base.query(`insert into tenants (id, name) values ('outra', 'Outra')`);
  const { id, conversation } = await failed(base);
  assert.deepEqual(await listDeadLetters(base.db, 'outra', 10), []);
  assert.deepEqual(await retryDeadLetter(base.db, 'outra', id, ACTOR, null), { outcome: 'unknown' });
  assert.deepEqual(await discardDeadLetter(base.db, 'outra', id, ACTOR, null), { outcome: 'unknown' });
  assert.equal(await readTimeline(base.db, 'outra', conversation, 10), null);
  assert.equal(await findConversationOf(base.db, 'outra', String(id)), null);
  assert.deepEqual(await returnHandoff(base.db, 'outra', conversation, ACTOR, null), { outcome: 'unknown' });
  const pause = { tenant: 'outra', actor: ACTOR, status: 'pausado', reason: null } as const;
  assert.equal((await setPause(base.db, { ...pause, scope: 'all', target: '' })).outcome, 'not_yours');
  assert.equal((await setPause(base.db, { ...pause, scope: 'tenant', target: 'default' })).outcome, 'not_yours');
  assert.equal((await setPause(base.db, { ...pause, scope: 'instance', target: INSTANCE })).outcome, 'unknown_target');
  assert.equal((await setPause(base.db, { ...pause, scope: 'conversation', target: String(conversation) })).outcome, 'unknown_target');
  assert.equal((await setPause(base.db, { ...pause, scope: 'tenant', target: 'outra' })).outcome, 'done');
  assert.equal((await adminStatus(base.db, 'outra'))?.dead_letters, 0);
  assert.equal((await adminStatus(base.db, 'outra'))?.pauses.length, 1);
  assert.deepEqual((await adminStatus(base.db, 'default'))?.pauses, []);
  assert.equal(await adminStatus(base.db, 'ninguém'), null);
});

test('A5 E9 each scope is paused and resumed for itself, with actor and reason', async (t) => {
  const base = await sendsDatabase(t);
  const { id, conversation } = await base.proactive(PHONE, NOON, { campaign_id: 'natal' });
  const scopes: [PauseRequest['scope'], string][] = [
    ['all', ''],
    ['tenant', 'default'],
    ['instance', INSTANCE],
    ['campaign', 'natal'],
    ['conversation', String(conversation)],
  ];
  for (const [scope, target] of scopes) {
    const request = { tenant: 'default', actor: ACTOR, reason: `teste ${scope}`, scope, target };
    const paused = await setPause(base.db, { ...request, status: 'pausado' });
    assert.deepEqual(paused.outcome === 'done' && paused.still.map((each) => [each.scope, each.motivo, each.alterado_via]), [
      [scope, `teste ${scope}`, ACTOR],
    ]);
    await base.claim(conversation, NOON);
    assert.equal((await sendRow(base.query, id)).reason, `paused_${scope}`);
    const resumed = await setPause(base.db, { ...request, status: 'ativo' });
    assert.deepEqual(resumed, { outcome: 'done', was: 'pausado', still: [] });
  }
  assert.equal((await base.claim(conversation, NOON)).action, 'send');
  const lines = await audit(base);
  assert.deepEqual(
    [lines[0], lines[5], lines.length],
    [`${ACTOR} pause all teste all`, `${ACTOR} resume instance:${INSTANCE} teste instance`, 10],
  );
  assert.equal(
    (await setPause(base.db, { tenant: 'default', actor: ACTOR, status: 'pausado', scope: 'instance', target: 'nobody', reason: null }))
      .outcome,
    'unknown_target',
  );
});

test('A7 a return ends control, takeover and open handoffs together; a second one changes nothing', async (t) => {
  const base = await sendsDatabase(t);
  const { conversation } = await base.proactive(PHONE, NOON);
  await base.query(`select open_handoff($1, null, 'no_model', 'quer falar', true, now())`, [conversation]);
  await base.query(`select open_handoff($1, null, 'send_failed', null, false, now())`, [conversation]);
  await base.query(`update conversations set takeover_since = now(), takeover_until = now() + interval '10 minutes' where id = $1`, [
    conversation,
  ]);
  const [held] = await listHandoffs(base.db, 'default', 10);
  assert.deepEqual(
    [held?.conversation_id, held?.controlled_by, held?.handoffs.map((each) => each.reason)],
    [conversation, 'human', ['no_model', 'send_failed']],
  );

  assert.deepEqual(await returnHandoff(base.db, 'default', conversation, ACTOR, 'resolvido'), {
    outcome: 'returned',
    handoffs: 2,
    mode: 'auto',
    paused: null,
  });
  const [row] = await base.query(
    `select controlled_by, escalation_reason, takeover_until, conversation_holder(c, now()) as holder from conversations c`,
  );
  assert.deepEqual(row, { controlled_by: 'agent', escalation_reason: null, takeover_until: null, holder: 'agent' });
  assert.deepEqual(await listHandoffs(base.db, 'default', 10), []);
  assert.equal((await returnHandoff(base.db, 'default', conversation, ACTOR, null)).outcome, 'not_with_a_person');
  assert.deepEqual(await audit(base), [`${ACTOR} handoff.return ${conversation} resolvido`]);
});

test('I19 O15 a reopened message is unanswered once more, and a turn under way must look again', async (t) => {
  const base = await sendsDatabase(t);
  const webhook = {
    requestId: 'r',
    instance: INSTANCE,
    event: 'test',
    raw: {},
    from: { tenant: 'default' },
    events: [said({ id: 'A1', at: new Date() })],
  };
  const [stored] = await recordInbound(base.db, [webhook], OPTIONS);
  const key = { instance: INSTANCE, providerId: 'A1', chat: null };
  assert.equal((await reopenInbound(base.db, 'default', key, ACTOR, 'r')).outcome, 'waiting', 'unanswered as it is');
  await base.query(`update messages set status = 'skipped', reason = 'too_old'`);
  const [before] = await base.query<{ seq: string }>('select inbound_seq as seq from conversations');
  const answers = await Promise.all([1, 2].map(() => reopenInbound(base.db, 'default', key, ACTOR, 'pediu de novo')));
  assert.deepEqual(answers.map((each) => each.outcome).toSorted(), ['reopened', 'waiting']);
  const [after] = await base.query<{ seq: string }>('select inbound_seq as seq from conversations');
  assert.equal(Number(after?.seq), Number(before?.seq) + 1);
  assert.deepEqual(await audit(base), [`${ACTOR} replay.force ${stored?.results[0]?.message_id} pediu de novo`]);
  await base.query(`update messages set status = 'answered', deleted_at = now()`);
  assert.equal((await reopenInbound(base.db, 'default', key, ACTOR, 'r')).outcome, 'not_possible', 'the contact deleted it');
  assert.equal((await reopenInbound(base.db, 'default', { ...key, providerId: 'A2' }, ACTOR, 'r')).outcome, 'not_possible');
});

test('I19 T1 a stored webhook belongs to the tenant of its number', async (t) => {
  const base = await sendsDatabase(t);
  await base.query(`insert into tenants (id, name) values ('outra', 'Outra')`);
  await base.query(`insert into instances (tenant_id, name) values ('outra', 'numero-dela')`);
  const events = [said({ id: 'B1', instance: 'numero-dela' })];
  const [stored] = await recordInbound(
    base.db,
    [{ requestId: 'r', instance: 'numero-dela', event: 'test', raw: { a: 1 }, from: { instance: 'numero-dela' }, events }],
    OPTIONS,
  );
  assert.deepEqual((await findStoredWebhook(base.db, 'outra', stored?.webhook_id ?? 0))?.body, { a: 1 });
  assert.equal(await findStoredWebhook(base.db, 'default', stored?.webhook_id ?? 0), null);
});

test('X11 the timeline around a message starts with it, shows its webhooks, and is cut at its end and not at its beginning', async (t) => {
  const base = await sendsDatabase(t);
  const record = (id: string, at: Date) =>
    base.db.call('record_inbound', {
      p_webhooks: [
        { requestId: id, instance: INSTANCE, event: 'messages.upsert', raw: {}, from: { tenant: 'default' }, events: [said({ id, at })] },
      ],
      p_options: OPTIONS,
      p_now: at.toISOString(),
    });
  for (let minute = 0; minute < 10; minute++) await record(`M${minute}`, minutesAfter(minute));
  await record('M4', minutesAfter(9.5)); // again
  const place = await findConversationOf(base.db, 'default', 'M4');
  const around = await readTimeline(base.db, 'default', place?.conversation_id ?? 0, 4, place?.message_id);
  assert.deepEqual(
    around?.entries.map((entry) => (entry.what === 'webhook' ? entry.outcome : entry.what === 'message' ? entry.provider_message_id : '')),
    ['M4', 'stored', 'M5', 'M6'],
  );
  const all = await readTimeline(base.db, 'default', place?.conversation_id ?? 0, 100, place?.message_id);
  assert.deepEqual(
    all?.entries.filter((entry) => entry.what === 'webhook').map((entry) => entry.outcome),
    ['stored', 'duplicate'],
  );
  const newest = await readTimeline(base.db, 'default', place?.conversation_id ?? 0, 2);
  assert.deepEqual(
    newest?.entries.map((entry) => entry.what === 'message' && entry.provider_message_id),
    ['M8', 'M9'],
  );
});
