/** Order notices under the rules: which hold them and which do not, their own cap and pace, and each once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SendPolicy } from '../../src/outbox/calls.ts';
import { INSTANCE } from '../support/system.ts';
import { sendRow, sendsDatabase, sentAs } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
// A Saturday evening.
const START = new Date('2026-03-07T23:30:00Z');
const later = (ms: number) => new Date(START.getTime() + ms);
let phones = 0;
const somebody = () => `55119${41_000_000 + ++phones}`;

type Notice = { id: number; status: string; reason: string | null; message_id: number | null; duplicate_of: number | null };
type Policy = Partial<SendPolicy & { random: number }>;

const DEFAULTS: Policy = {
  capHour: 20,
  capDay: 100,
  contactCapHour: 3,
  contactCapWeek: 5,
  maxUnanswered: 2,
  noticeCapHour: 300,
  random: 0.5,
  hours: { start: '08:00', end: '20:00', weekdays: [1, 2, 3, 4, 5, 6], holidays: false },
};

async function notice(sends: SendsDatabase, phone: string, now: Date, more: object = {}): Promise<{ notice: Notice; lane: number | null }> {
  const request = {
    tenant: 'default',
    instance: INSTANCE,
    type: 'order_shipped',
    reference: 'pedido-1',
    phone,
    data: { nome: 'Maria' },
    text: 'A caminho!',
    actor: 'api:loja',
    ...more,
  };
  return (await sends.db.call('order_notice', { p_request: request, p_now: now.toISOString() })) as { notice: Notice; lane: number | null };
}

/** Asks for one and claims it; 'sent', or the reason why not. */
async function told(sends: SendsDatabase, phone: string, now: Date, policy: Policy = DEFAULTS, more: object = {}): Promise<string> {
  const { lane } = await notice(sends, phone, now, more);
  return lane === null ? 'nothing' : claimed(sends, lane, now, policy);
}

async function claimed(sends: SendsDatabase, lane: number, now: Date, policy: Policy = DEFAULTS): Promise<string> {
  const claim = await sends.claim(lane, now, policy);
  if (claim.action !== 'send') return claim.reason;
  await sends.record(claim, sentAs(`wa-${claim.message_id}`), now);
  return 'sent';
}

const free = (policy: Policy): Policy => ({ ...DEFAULTS, noticeCapHour: 1_000_000, ...policy });

test('T9 T10 a notice leaves at any hour, with full caps, to whoever was told much already, and takes no place in those caps', async (t) => {
  const sends = await sendsDatabase(t);
  const phone = somebody();
  const full = free({ capHour: 0, capDay: 0, contactCapHour: 1, maxUnanswered: 1, pilot: true });
  for (let n = 0; n < 4; n++)
    assert.equal(await told(sends, phone, later(n * 1_000), full, { reference: `pedido-${n}` }), 'sent', `the ${n + 1}th`);
  const night = await sends.proactive(phone, later(MINUTE));
  assert.equal((await sends.claim(night.conversation, later(MINUTE), DEFAULTS)).reason, 'quiet_hours');
  // Monday noon: four notices count neither for the person nor for the number.
  const monday = new Date('2026-03-09T15:00:00Z');
  const offer = await sends.proactive(phone, monday);
  const policy = { ...DEFAULTS, capHour: 1, contactCapHour: 1, maxUnanswered: 1, campaignGapDays: 3 };
  assert.equal((await sends.claim(offer.conversation, monday, policy)).action, 'send');
  const rates = await sends.query<{ r: Record<string, { hour: { used: number }; notices: { used: number; limit: number } }> }>(
    `select rate_status('default', $1, $2) as r`,
    [JSON.stringify({ ...DEFAULTS, tz: 'UTC' }), later(2 * MINUTE)],
  );
  assert.deepEqual(
    [rates[0]?.r[INSTANCE]?.hour.used, rates[0]?.r[INSTANCE]?.notices.used, rates[0]?.r[INSTANCE]?.notices.limit],
    [1, 5 - 1, 300],
  );
  const beside = await sends.proactive(somebody(), later(2 * MINUTE), { kind: 'follow_up' });
  const tight = { ...DEFAULTS, hours: null, capHour: 2, capDay: 2, paceMinSeconds: 0, paceMaxSeconds: 0 };
  await sends.query(`update instances set next_proactive_at = null`);
  assert.equal((await sends.claim(beside.conversation, later(2 * MINUTE), tight)).action, 'send', 'four notices of the last minutes');
});

test('T10 R1 notices have a cap of their own over any 60 minutes, and a pace that clears a jam', async (t) => {
  const sends = await sendsDatabase(t);
  const policy = { ...DEFAULTS, noticeCapHour: 3 };
  assert.equal(await told(sends, somebody(), START, policy), 'sent');
  const soon = await notice(sends, somebody(), later(1_000));
  assert.equal(await claimed(sends, soon.lane ?? 0, later(1_000), policy), 'notice_pace');
  assert.equal(
    (await sendRow(sends, soon.notice.message_id ?? 0)).goes_at?.toISOString(),
    later(400_000).toISOString(),
    '1,200 s for three',
  );
  assert.equal(await claimed(sends, soon.lane ?? 0, later(400_000), policy), 'sent');
  assert.equal(await told(sends, somebody(), later(800_000), policy), 'sent');
  const fourth = await notice(sends, somebody(), later(1_200_000));
  assert.equal(await claimed(sends, fourth.lane ?? 0, later(1_200_000), policy), 'notice_cap');
  assert.equal((await sendRow(sends, fourth.notice.message_id ?? 0)).goes_at?.toISOString(), later(HOUR).toISOString());
  assert.equal(await claimed(sends, fourth.lane ?? 0, later(HOUR), policy), 'sent');
});

test('T10 what holds a notice: allowlist, pause, expiry, safe mode, an ill number, an opt-out; a person in the conversation does not', async (t) => {
  const sends = await sendsDatabase(t);
  const paces = free({});
  const [maria, rita, zoe] = [somebody(), somebody(), somebody()];
  assert.equal(await told(sends, maria, START, free({ allowlist: [] })), 'allowlist');
  assert.equal(await told(sends, rita, START, paces, { expires_at: START.toISOString() }), 'expired');

  await sends.query(`update tenants set proactive = 'none'`);
  const held = await notice(sends, zoe, later(MINUTE));
  assert.equal(await claimed(sends, held.lane ?? 0, later(MINUTE), paces), 'safe_mode');
  await sends.query(`update tenants set proactive = 'no_campaigns'`);
  await sends.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'x', 'manual')`);
  assert.equal(await claimed(sends, held.lane ?? 0, later(20 * MINUTE), paces), 'paused_all');
  await sends.query(`insert into julia_status (status, motivo, alterado_via) values ('ativo', 'x', 'manual')`);
  await sends.query(
    `update instances set held_reason = 'number_restricted', held_since = $1, held_until = $1::timestamptz + interval '1 hour'`,
    [START],
  );
  assert.equal(await claimed(sends, held.lane ?? 0, later(21 * MINUTE), paces), 'number_restricted');
  await sends.query(`update instances set held_reason = null, held_until = null`);
  await sends.query(`update conversations set controlled_by = 'human', takeover_until = $1, takeover_since = $1`, [later(5 * HOUR)]);
  assert.equal(await claimed(sends, held.lane ?? 0, later(2 * HOUR), paces), 'sent', 'a person has the conversation');

  await sends.query(`select add_opt_out(contact_id, 'message') from conversations where id = $1`, [held.lane]);
  assert.equal(await told(sends, zoe, later(3 * HOUR), paces, { reference: 'pedido-2' }), 'opt_out');
  await sends.query(`select set_notice_opt_out('default', true, 'cli:ana', 'x')`);
  assert.equal(await told(sends, zoe, later(3 * HOUR), paces, { reference: 'pedido-3' }), 'sent');
  const offer = await sends.proactive(zoe, later(3 * HOUR));
  assert.equal((await sends.claim(offer.conversation, later(3 * HOUR), { ...paces, hours: null })).reason, 'opt_out', 'orders only');
});

test('T10 O6 acceptance 6: the same order and data are sent once by twenty at a time, each repeat leaves a row, and two orders of one minute are two', async (t) => {
  const sends = await sendsDatabase(t, 20);
  const phone = somebody();
  const all = await Promise.all(Array.from({ length: 20 }, () => notice(sends, phone, START)));
  const first = all.filter((each) => each.lane !== null);
  assert.equal(first.length, 1);
  assert.deepEqual(
    all.filter((each) => each.lane === null).map((each) => [each.notice.status, each.notice.reason, each.notice.duplicate_of]),
    Array.from({ length: 19 }, () => ['deduped', 'duplicate', first[0]?.notice.id]),
  );
  const other = await notice(sends, phone, later(20_000), { reference: 'pedido-2' });
  const changed = await notice(sends, phone, later(30_000), { data: { nome: 'Maria', rastreio: 'BR1' } });
  const again = await notice(sends, phone, later(40 * 24 * HOUR), { data: { rastreio: 'BR1', nome: 'Maria' } });
  assert.deepEqual([other.notice.status, changed.notice.status, again.notice.status], ['queued', 'queued', 'deduped']);
  assert.deepEqual(await sends.query(`select count(*)::int as n from messages`), [{ n: 3 }]);
});

test('T10 a type that is off sends nothing and is told in the log; what was queued before leaves', async (t) => {
  const sends = await sendsDatabase(t);
  const before = await notice(sends, somebody(), START);
  await sends.query(`select set_notice_template('default', '{"type": "order_shipped", "enabled": false}', 'cli:ana')`);
  const phone = somebody();
  const { notice: off, lane } = await notice(sends, phone, START);
  assert.deepEqual([off.status, off.reason, off.message_id, lane], ['blocked', 'type_disabled', null, null]);
  assert.equal(await claimed(sends, before.lane ?? 0, START), 'sent');
  assert.equal((await notice(sends, phone, START, { test: true })).notice.status, 'queued', 'a test');
  await sends.query(`select set_notice_template('default', '{"type": "order_shipped", "text": "Foi!"}', 'cli:ana')`);
  assert.equal((await notice(sends, phone, START)).notice.status, 'blocked', 'new words are no switch');
  await sends.query(`select set_notice_template('default', '{"type": "order_shipped", "enabled": true}', 'cli:ana')`);
  assert.equal((await notice(sends, phone, START)).notice.status, 'queued', 'it was never sent');
});

test('T10 a person sends a notice again: ten at a time are one, its words are those of then, and a repeat of the order stays a repeat', async (t) => {
  const sends = await sendsDatabase(t, 20);
  const phone = somebody();
  const { notice: first, lane } = await notice(sends, phone, START);
  const resend = async (id: number, now: Date) =>
    (await sends.db.call('resend_order_notice', {
      p_id: id,
      p_request: { tenant: 'default', instance: INSTANCE, actor: 'console:ana@example.com' },
      p_now: now.toISOString(),
    })) as { outcome: string; notice?: Notice & { text: string; resend_of: number } };
  assert.equal((await resend(first.id, START)).outcome, 'under_way');
  await claimed(sends, lane ?? 0, START);
  const all = await Promise.all(Array.from({ length: 10 }, () => resend(first.id, later(MINUTE))));
  const done = all.filter((each) => each.outcome === 'done');
  assert.equal(done.length, 1);
  assert.deepEqual([done[0]?.notice?.text, done[0]?.notice?.resend_of], ['A caminho!', first.id]);
  const repeat = await notice(sends, phone, later(2 * MINUTE));
  assert.equal(repeat.notice.status, 'deduped');
  assert.equal((await resend(repeat.notice.id, later(2 * MINUTE))).outcome, 'repeat');
  assert.equal((await resend(999, START)).outcome, 'unknown');
  const audit = await sends.query(`select action, subject from audit_log where action = 'notice.resend'`);
  assert.deepEqual(audit, [{ action: 'notice.resend', subject: String(first.id) }]);
});

test('Z6 of whom there is nothing but a notice that was never sent, that is erased, also at a phone of before', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.db.call('set_notice_template', {
    p_tenant: 'default',
    p_change: { type: 'order_shipped', enabled: false },
    p_actor: 'cli:ana',
  });
  const phone = somebody();
  await notice(sends, phone, START, { data: { nome: 'Maria', endereco: 'Rua das Flores, 10' } });
  const erase = async (of: string): Promise<string> =>
    (
      (await sends.db.call('erase_contact', {
        p_tenant: 'default',
        p_contact: null,
        p_phone: of,
        p_actor: 'cli:ana',
        p_reason: 'pedido',
      })) as {
        outcome: string;
      }
    ).outcome;
  const left = async (): Promise<number> => (await sends.query('select from order_notices')).length;
  assert.deepEqual([await erase(phone), await erase(phone), await left()], ['again', 'erased', 0]);
  assert.equal(await erase(somebody()), 'unknown', 'of nobody there is nothing');

  // Of the same phone what came before it was another's goes, and what came later stays.
  const [before, now] = [somebody(), somebody()];
  await sends.proactive(now, START);
  await sends.query(
    `insert into former_phones (tenant_id, contact_id, address, until) select 'default', contact_id, $1, $2 from contact_addresses where address = $3`,
    [before, later(MINUTE), now],
  );
  await notice(sends, before, START);
  await notice(sends, before, later(2 * MINUTE), { reference: 'pedido-2' });
  assert.equal(await erase(now), 'erased');
  assert.deepEqual(
    (await sends.query<{ reference: string }>('select reference from order_notices')).map(({ reference }) => reference),
    ['pedido-2'],
  );
});
