/** The rules before a send, one after the other: everything is broken at first, and mended in the order in which the rules must be told. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { SendPolicy } from '../../src/outbox/calls.ts';
import { FREE, queueReplies, sendRow, sendsDatabase } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';

/** A Monday, 09:00 in São Paulo. */
const NOW = new Date('2026-03-02T12:00:00Z');
const later = (ms: number) => new Date(NOW.getTime() + ms);
const MINUTE = 60_000;

type Stage = { sends: SendsDatabase; policy: SendPolicy & { random: number } };
type Rule = {
  rule: string;
  /** Status in which the message ends; left out: it waits. */
  ends?: string;
  /** When it may go, in milliseconds from NOW; null: nobody knows. Not checked when left out. */
  until?: number | null;
  breaks: (stage: Stage) => Promise<unknown> | void;
  mends: (stage: Stage) => Promise<unknown> | void;
};

const sql =
  (statement: string, values: unknown[] = []) =>
  ({ sends }: Stage) =>
    sends.query(statement, values);
const policy =
  (change: Partial<SendPolicy>) =>
  (stage: Stage): void =>
    void Object.assign(stage.policy, change);
const CONTACT = `(select contact_id from contact_addresses where address = '5511940000001')`;
const NUMBER = `update instances set`;

/** As first_guard in SQL; that no rule is missing here is tested below. */
const GENERAL: Rule[] = [
  {
    rule: 'wrong_project',
    until: null,
    breaks: async (stage) => {
      stage.policy.projectRef = 'ours';
      await stage.sends.query(`insert into installation (key, value) values ('project_ref', 'theirs')`);
    },
    mends: sql(`delete from installation where key = 'project_ref'`),
  },
  { rule: 'allowlist', ends: 'blocked', breaks: policy({ allowlist: ['5511999999999'] }), mends: policy({ allowlist: ['5511940000001'] }) },
  {
    rule: 'phone_moved',
    ends: 'cancelled',
    breaks: sql(`update messages set addressee = '5511900000000' where status = 'queued'`),
    mends: sql(`update messages set addressee = null`),
  },
  {
    rule: 'reply_proof',
    ends: 'blocked',
    breaks: sql(`update messages set turn_id = null where kind = 'reply'`),
    mends: sql(`update messages set turn_id = (select max(id) from turns) where kind = 'reply'`),
  },
  {
    rule: 'expired',
    ends: 'expired',
    breaks: sql(`update messages set expires_at = $1 where status = 'queued'`, [NOW]),
    mends: sql(`update messages set expires_at = null`),
  },
  {
    rule: 'opt_out',
    ends: 'blocked',
    breaks: sql(`select add_opt_out(${CONTACT}, 'test', $1)`, [later(1)]),
    mends: sql(`update opt_outs set revoked_at = now()`),
  },
  {
    rule: 'paused_all',
    until: null,
    breaks: sql(`insert into julia_status (status) values ('pausado')`),
    mends: sql(`insert into julia_status (status) values ('ativo')`),
  },
];
const REPLY: Rule[] = [
  {
    rule: 'answer_too_old', // it was paused above
    ends: 'cancelled',
    breaks: (stage) => {
      stage.policy.replyMaxAgeMinutes = 120;
      return stage.sends.query(`update messages set created_at = $1 where kind = 'reply'`, [later(-121 * MINUTE)]);
    },
    mends: policy({ replyMaxAgeMinutes: 122 }),
  },
  {
    rule: 'observe',
    ends: 'cancelled',
    breaks: sql(`update conversations set mode = 'observe'`),
    mends: sql(`update conversations set mode = 'auto'`),
  },
  {
    rule: 'takeover',
    ends: 'cancelled',
    breaks: sql(`update conversations set takeover_until = $1`, [later(20 * MINUTE)]),
    mends: sql(`update conversations set takeover_until = null`),
  },
  { rule: 'reply_cap_hour', until: 60 * MINUTE, breaks: policy({ replyCapHour: 0 }), mends: policy({ replyCapHour: 50 }) },
  {
    rule: 'reply_share',
    until: 60 * MINUTE,
    async breaks(stage) {
      await stage.sends.query(
        `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, kind, priority, slot_at, created_at)
         select c.tenant_id, c.instance_id, c.id, c.last_seq + n, 'out', 'agent', 'sent', 'share', $1::timestamptz, 'reply', 0, $1::timestamptz, $1::timestamptz from conversations c, generate_series(1, 21) n
         where c.id = (select conversation_id from messages where status = 'queued' and kind = 'reply')`,
        [NOW],
      );
      return stage.sends.query(
        `update conversations c set last_seq = (select max(seq) from messages where conversation_id = c.id) where last_seq > 0`,
      );
    },
    mends: sql(`update messages set created_at = $1, slot_at = $1 where text = 'share'`, [later(-120 * MINUTE)]),
  },
];
/** Of an order notice. */
const NOTICE: Rule[] = [
  {
    rule: 'safe_mode',
    until: null,
    breaks: sql(`update tenants set proactive = 'none'`),
    mends: sql(`update tenants set proactive = 'no_campaigns'`),
  },
  { rule: 'notice_cap', until: 60 * MINUTE, breaks: policy({ noticeCapHour: 0 }), mends: policy({ noticeCapHour: 300 }) },
  {
    rule: 'notice_pace',
    until: 5_000,
    breaks: sql(`${NUMBER} next_notice_at = $1`, [later(5_000)]),
    mends: sql(`${NUMBER} next_notice_at = $1`, [NOW]),
  },
];
const UNASKED: Rule[] = [
  {
    rule: 'takeover',
    until: 20 * MINUTE,
    breaks: sql(`update conversations set takeover_until = $1`, [later(20 * MINUTE)]),
    mends: sql(`update conversations set takeover_until = null`),
  },
  { rule: 'pilot_mode', ends: 'blocked', breaks: policy({ pilot: true }), mends: policy({ pilot: false }) },
  {
    rule: 'quiet_hours',
    until: 23 * 60 * MINUTE,
    breaks: policy({ hours: { start: '08:00', end: '09:00', weekdays: [1, 2, 3, 4, 5], holidays: false }, tz: 'America/Sao_Paulo' }),
    mends: policy({ hours: { start: '08:00', end: '20:00', weekdays: [1, 2, 3, 4, 5], holidays: false } }),
  },
  {
    rule: 'cooling_off',
    until: 30 * MINUTE,
    breaks: sql(`update contacts set cooling_until = $1 where id = ${CONTACT}`, [later(30 * MINUTE)]),
    mends: sql(`update contacts set cooling_until = null`),
  },
  {
    rule: 'next_allowed',
    until: 40 * MINUTE,
    breaks: sql(`update contacts set next_allowed_at = $1 where id = ${CONTACT}`, [later(40 * MINUTE)]),
    mends: sql(`update contacts set next_allowed_at = $1`, [NOW]),
  },
  { rule: 'contact_cap', breaks: policy({ contactCapHour: 0 }), mends: policy({ contactCapHour: 3 }) },
  { rule: 'contact_cap_week', breaks: policy({ contactCapWeek: 1 }), mends: policy({ contactCapWeek: 5 }) },
  {
    rule: 'campaigns_off',
    until: null,
    breaks: sql(`update tenants set proactive = 'no_campaigns'`),
    mends: sql(`update tenants set proactive = 'none'`),
  },
  { rule: 'safe_mode', until: null, breaks: () => {}, mends: sql(`update tenants set proactive = 'all'`) },
  { rule: 'campaign_pressure', ends: 'blocked', breaks: policy({ maxUnanswered: 1 }), mends: policy({ maxUnanswered: 2 }) },
  // The one before left two days ago.
  { rule: 'campaign_gap', until: 24 * 60 * MINUTE, breaks: policy({ campaignGapDays: 3 }), mends: policy({ campaignGapDays: 2 }) },
  {
    rule: 'kind_cap',
    breaks: policy({ kindCaps: { campaign: 1, follow_up: null, prospecting: null } }),
    mends: policy({ kindCaps: { campaign: 20, follow_up: null, prospecting: null } }),
  },
  { rule: 'strangers', breaks: policy({ strangersDay: 0 }), mends: policy({ strangersDay: 50 }) },
  {
    rule: 'reply_ratio',
    until: null,
    breaks: policy({ minReplyPercent: 5 }),
    mends: sql(`update conversations set last_inbound_at = $1 where contact_id <> ${CONTACT}`, [NOW]),
  },
  { rule: 'warming_hour', breaks: sql(`${NUMBER} phase = 'warming', phase_since = $1`, [NOW]), mends: policy({ capHour: 2 }) },
  { rule: 'warming_day', breaks: policy({ capHour: 3, capDay: 6 }), mends: sql(`${NUMBER} phase = 'established'`) },
  { rule: 'cap_hour', breaks: () => {}, mends: policy({ capHour: 20 }) },
  { rule: 'cap_day', breaks: () => {}, mends: policy({ capDay: 100 }) },
  {
    rule: 'slow_start',
    breaks: sql(`${NUMBER} reconnected_at = $1`, [later(-15 * MINUTE)]),
    mends: sql(`${NUMBER} reconnected_at = null`),
  },
  {
    rule: 'priority',
    until: 45_000,
    breaks: ({ sends, policy: rules }) => {
      rules.paceMinSeconds = 45;
      return sends.proactive('5511940000009', NOW, { kind: 'follow_up' });
    },
    mends: sql(`update messages set status = 'cancelled' where kind = 'follow_up'`),
  },
  {
    rule: 'pace',
    until: 45_000,
    breaks: sql(`${NUMBER} next_proactive_at = $1`, [later(45_000)]),
    mends: sql(`${NUMBER} next_proactive_at = $1`, [NOW]),
  },
];
const HEALTH: Rule = {
  rule: 'number_disconnected',
  until: null,
  breaks: sql(`${NUMBER} status = 'close'`),
  mends: sql(`${NUMBER} status = 'open'`),
};

/** 6 messages to others in the last 10 minutes, 30 unanswered campaigns of last week, and one to the contact two days ago. */
async function past(sends: SendsDatabase): Promise<void> {
  const send = async (phone: string, at: Date, kind: string) => {
    const { id } = await sends.proactive(phone, at, { kind });
    await sends.query(`update messages set status = 'sent', slot_at = $2 where id = $1`, [id, at]);
  };
  for (let index = 0; index < 6; index++)
    await send(`55119410000${10 + index}`, later(-10 * MINUTE + index), index === 0 ? 'campaign' : 'notification');
  for (let index = 0; index < 30; index++) await send(`55119420000${10 + index}`, later(-7 * 24 * 60 * MINUTE + index), 'campaign');
  await send('5511940000001', later(-2 * 24 * 60 * MINUTE), 'campaign');
}

/** Claims, expects each rule in turn, and mends it; in the end the message leaves. */
async function walk(stage: Stage, conversation: number, id: number, rules: Rule[]): Promise<void> {
  const { sends } = stage;
  for (const { rule, ends, until, mends } of rules) {
    const claim = await sends.claim(conversation, NOW, stage.policy);
    const row = await sendRow(sends, id);
    assert.deepEqual(
      { action: claim.action, reason: claim.reason, status: row.status, recorded: row.reason, attempts: row.attempts, slot: row.slot_at },
      { action: ends === undefined ? 'wait' : 'ended', reason: rule, status: ends ?? 'queued', recorded: rule, attempts: 0, slot: null },
    );
    if (until === null) assert.equal(row.goes_at, null, `${rule}: nobody knows`);
    else if (until !== undefined) assert.equal(row.goes_at?.toISOString(), later(until).toISOString(), rule);
    else if (ends === undefined) assert.ok((row.goes_at?.getTime() ?? 0) > NOW.getTime(), `${rule} says until when`);
    await mends(stage);
    await sends.query(`update messages set status = 'queued', due_at = $2 where id = $1`, [id, NOW]);
  }
  assert.equal((await sends.claim(conversation, NOW, stage.policy)).action, 'send');
}

test('O10 X4 order: of all rules that a campaign breaks the first one is recorded, and when the last is mended it leaves', async (t) => {
  const stage: Stage = { sends: await sendsDatabase(t), policy: { ...FREE } };
  await past(stage.sends);
  const { id, conversation } = await stage.sends.proactive('5511940000001', NOW);
  const rules = [...GENERAL.filter(({ rule }) => rule !== 'reply_proof'), ...UNASKED, HEALTH];
  for (const { breaks } of rules.toReversed()) await breaks(stage);
  await walk(stage, conversation, id, rules);
});

test('O10 order: a reply breaks only its own rules, whatever holds what nobody asked for', async (t) => {
  const stage: Stage = { sends: await sendsDatabase(t), policy: { ...FREE } };
  await past(stage.sends);
  for (const { breaks } of UNASKED.slice(1).toReversed()) await breaks(stage);
  await stage.sends.query(`update messages set status = 'cancelled' where status = 'queued'`);
  const { conversation, ids } = await queueReplies(stage.sends, '5511940000001', ['oi'], { at: NOW });
  const rules = [...GENERAL, ...REPLY, HEALTH];
  for (const { breaks } of rules.toReversed()) await breaks(stage);
  await walk(stage, conversation, ids[0] ?? 0, rules);
});

test('O10 T10 order: a notice of an order breaks only its own rules, whatever holds what else nobody asked for', async (t) => {
  const stage: Stage = { sends: await sendsDatabase(t), policy: { ...FREE } };
  await past(stage.sends);
  for (const { breaks } of UNASKED.toReversed()) await breaks(stage);
  await stage.sends.query(`update messages set status = 'cancelled' where status = 'queued'`);
  const { id, conversation } = await stage.sends.proactive('5511940000001', NOW, { kind: 'transactional' });
  const rules = [...GENERAL.filter(({ rule }) => rule !== 'reply_proof'), ...NOTICE, HEALTH];
  for (const { breaks } of rules.toReversed()) await breaks(stage);
  await walk(stage, conversation, id, rules);
});

test('O10 order: the list in SQL is the list of this test', async () => {
  const text = await readFile(new URL('../../supabase/schemas/outbox.sql', import.meta.url), 'utf8');
  const list = text.slice(text.indexOf('create or replace function first_guard'), text.indexOf('create or replace function rate_status'));
  const inSql = [...list.matchAll(/\b(?:ends|waits|looks)\('(\w+)'/g)].map((match) => match[1]);
  const named = (rules: Rule[]) => rules.map(({ rule }) => rule).filter((rule) => rule !== 'takeover' && !rule.startsWith('paused_'));
  assert.deepEqual(inSql, named([...GENERAL, ...REPLY, ...NOTICE, ...UNASKED, HEALTH]));
});

test('O10 duplicate: the second order under one key is told as such and never reaches the other rules', async (t) => {
  const sends = await sendsDatabase(t);
  const first = await sends.proactive('5511940000001', NOW, { idempotency_key: 'pedido-1' });
  const again = await sends.proactive('5511940000001', later(1_000), { idempotency_key: 'pedido-1' });
  assert.deepEqual(again, first, 'the first result');
  const rows = await sends.query(`select status, reason, duplicate_of::int as of, idempotency_key as key from messages order by id`);
  assert.deepEqual(rows, [
    { status: 'queued', reason: null, of: null, key: 'pedido-1' },
    { status: 'deduped', reason: 'duplicate', of: first.id, key: null },
  ]);
  const claim = await sends.claim(first.conversation, later(2_000));
  assert.equal(claim.message_id, first.id);
  await sends.record(claim, { kind: 'sent', provider_id: 'wa-1' }, later(2_000));
  assert.equal((await sends.claim(first.conversation, later(3_000))).action, 'idle');
});

test('O15 bypass: a person may send over hours, caps and pace with a reason, which is audited; never over an opt-out, a pause or a deadline', async (t) => {
  const stage: Stage = { sends: await sendsDatabase(t), policy: { ...FREE } };
  const { sends } = stage;
  await past(sends);
  const rules = [...GENERAL.filter(({ rule }) => rule !== 'reply_proof'), HEALTH];
  for (const { breaks } of [...rules, ...UNASKED.slice(1)].toReversed()) await breaks(stage);
  await sends.query(`update messages set status = 'cancelled' where status = 'queued'`);
  const { id, conversation } = await sends.proactive('5511940000001', NOW, {
    kind: 'manual',
    bypass: 'cliente na linha',
    actor: 'api:ana',
  });
  await sends.query(`update messages set expires_at = $2, addressee = '5511900000000' where id = $1`, [id, NOW]);
  await walk(stage, conversation, id, rules);
  assert.deepEqual(await sends.query(`select actor, action, subject, details ->> 'reason' as reason from audit_log`), [
    { actor: 'api:ana', action: 'send.bypass', subject: String(id), reason: 'cliente na linha' },
  ]);
  const [slot] = await sends.query<{ at: Date }>(`select slot_at as at from messages where id = $1`, [id]);
  assert.equal(slot?.at.toISOString(), NOW.toISOString(), 'it takes its place in the caps');
});

test('O15 a bypass without a reason or without a person is refused, and leaves nothing', async (t) => {
  const sends = await sendsDatabase(t);
  const good = { kind: 'manual', bypass: 'cliente na linha', actor: 'api:ana' };
  for (const wrong of [
    { ...good, bypass: '' },
    { ...good, bypass: '   ' },
    { ...good, actor: null },
  ])
    await assert.rejects(sends.proactive('5511940000001', NOW, wrong), JSON.stringify(wrong));
  assert.deepEqual(await sends.query('select id from messages'), []);
  assert.deepEqual(await sends.query('select id from audit_log'), []);
  await sends.proactive('5511940000001', NOW, good);
  assert.equal((await sends.query('select id from audit_log')).length, 1);
});

test('R4 O10 a person who answers within a day is not held by the rules for what nobody asked for', async (t) => {
  const stage: Stage = { sends: await sendsDatabase(t), policy: { ...FREE } };
  const { sends } = stage;
  await past(sends);
  for (const { breaks } of UNASKED.slice(1).toReversed()) await breaks(stage);
  await sends.query(`update messages set status = 'cancelled' where status = 'queued'`);
  const { conversation } = await sends.proactive('5511940000001', NOW, { kind: 'manual' });
  await sends.query(`update conversations set last_inbound_at = $2 where id = $1`, [conversation, later(-25 * 60 * MINUTE)]);
  assert.equal((await sends.claim(conversation, NOW, { ...stage.policy, pilot: false })).reason, 'quiet_hours');
  await sends.query(`update messages set due_at = $1 where status = 'queued'`, [NOW]);
  await sends.query(`update conversations set last_inbound_at = $2 where id = $1`, [conversation, later(-23 * 60 * MINUTE)]);
  assert.equal((await sends.claim(conversation, NOW, stage.policy)).action, 'send');
});
