/** Campaigns in SQL: who is chosen and why not, each once by many at a time, pauses, what stops one by itself, and the forecast. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SendPolicy } from '../../src/outbox/calls.ts';
import { INSTANCE } from '../support/system.ts';
import { FREE, sendsDatabase, sentAs } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = new Date('2026-03-02T12:00:00Z');
const later = (ms: number) => new Date(START.getTime() + ms);
const phone = (n: number) => `55119${52_000_000 + n}`;

type Policy = Partial<SendPolicy & { random: number }>;
type Report = {
  status: string;
  reason: string | null;
  held: string | null;
  outcomes: Record<string, number>;
  reasons: Record<string, Record<string, number>>;
  replies: number;
  opt_outs: number;
};

function campaignsOf(sends: SendsDatabase, policy: Policy = {}) {
  const rules = { ...FREE, ...policy };
  const call = async <T>(name: string, args: Record<string, unknown>): Promise<T> => (await sends.db.call(name, args)) as T;
  return {
    add: (from: number, to: number, tag = 'vip', name: string | null = 'Maria Silva') =>
      call('import_contacts', {
        p_tenant: 'default',
        p_instance: null,
        p_rows: Array.from({ length: to - from + 1 }, (_, n) => ({ phone: phone(from + n), name, tags: [] })),
        p_tags: [tag],
        p_actor: 'cli:ana',
        p_first: true,
      }),
    create: (name: string, more: object = {}) =>
      call<{ outcome: string; campaign: { id: number } }>('create_campaign', {
        p_tenant: 'default',
        p_campaign: { name, text: 'Oi {primeiro_nome}, da {loja}!', audience: { tags: ['vip'] }, instance: null, ...more },
        p_actor: 'cli:ana',
        p_now: START.toISOString(),
      }),
    start: (name: string, at: Date | null = null, now = START) =>
      call<{ outcome: string; campaign: { status: string } }>('start_campaign', {
        p_tenant: 'default',
        p_name: name,
        p_at: at?.toISOString() ?? null,
        p_policy: rules,
        p_shop: 'Pitanga',
        p_actor: 'cli:ana',
        p_now: now.toISOString(),
      }),
    change: (verb: string, name: string, now = START) =>
      call<{ outcome: string; status?: string }>(`${verb}_campaign`, {
        p_tenant: 'default',
        p_name: name,
        p_actor: 'cli:ana',
        p_reason: 'x',
        p_now: now.toISOString(),
      }),
    preview: (name: string, now = START, more: Policy = {}) =>
      call<{ goes: number; skipped: object; later: object; samples: { text: string }[]; numbers: string[]; last_at: string | null }>(
        'preview_campaign',
        {
          p_tenant: 'default',
          p_name: name,
          p_policy: { ...rules, ...more },
          p_shop: 'Pitanga',
          p_default: INSTANCE,
          p_choose: true,
          p_now: now.toISOString(),
        },
      ),
    step: (id: number, now = START, judge = true) =>
      call<{ outcome: string; lane?: number }>('queue_recipient', {
        p_campaign: id,
        p_ahead: 100,
        p_judge: judge,
        p_request: { instance: INSTANCE, choose: null, shop: 'Pitanga' },
        p_policy: rules,
        p_now: now.toISOString(),
      }),
    report: (name: string) => call<Report>('campaign_report', { p_tenant: 'default', p_name: name }),
    async feed(id: number, now = START): Promise<{ lanes: number[]; end: string }> {
      const lanes: number[] = [];
      for (let judge = true; ; judge = false) {
        const { outcome, lane } = await this.step(id, now, judge);
        if (outcome !== 'queued' || lane === undefined) return { lanes, end: outcome };
        lanes.push(lane);
      }
    },
    async send(lane: number, now: Date, status: 'delivered' | 'sent' | 'failed' = 'delivered'): Promise<void> {
      const claim = await sends.claim(lane, now, policy);
      assert.equal(claim.action, 'send', JSON.stringify(claim));
      await sends.record(
        claim,
        status === 'failed' ? { kind: 'failed', class: 'not_on_whatsapp', detail: 'x' } : sentAs(`wa-${claim.message_id}`),
        now,
      );
      if (status === 'delivered')
        await sends.query(`update messages set status = 'delivered', delivered_at = $2 where id = $1`, [claim.message_id, now]);
    },
  };
}

test('M3 M4 preview: who goes, who is skipped by which rule, who goes later, in which words, and when the last one leaves', async (t) => {
  const sends = await sendsDatabase(t);
  const all = campaignsOf(sends);
  await all.add(1, 30);
  await all.add(31, 31, 'vip', null);
  await all.add(32, 32, 'outros');
  await all.add(33, 33, 'vip');
  await sends.query(`select tag_contacts('default', $1, '["nunca"]', '[]', 'cli:ana')`, [JSON.stringify([phone(33)])]);
  await sends.query(`select add_opt_out(contact_id, 'message') from contact_addresses where address = $1`, [phone(1)]);
  for (const days of [9, 5]) {
    const { conversation } = await sends.proactive(phone(2), later(-days * DAY), { kind: 'campaign' });
    await all.send(conversation, later(-days * DAY));
  }
  const { conversation } = await sends.proactive(phone(3), later(-2 * DAY), { kind: 'campaign' });
  await all.send(conversation, later(-2 * DAY));
  assert.equal((await all.create('natal', { audience: { tags: ['vip'], not_tags: ['nunca'] } })).outcome, 'done');
  assert.equal((await all.create('natal')).outcome, 'exists');
  assert.equal((await all.create('outra', { instance: 'nenhum' })).outcome, 'unknown_instance');
  // 29 a day at most and 45 s apart, of which one has left in the last days.
  const seen = await all.preview('natal', START, {
    maxUnanswered: 2,
    campaignGapDays: 3,
    capHour: 10,
    capDay: 20,
    paceMinSeconds: 60,
    paceMaxSeconds: 60,
    hours: { start: '08:00', end: '20:00', weekdays: [1, 2, 3, 4, 5], holidays: true },
  });
  assert.deepEqual([seen.goes, seen.skipped, seen.later], [28, { opt_out: 1, campaign_pressure: 1, no_name: 1 }, { campaign_gap: 1 }]);
  assert.equal(seen.samples[0]?.text, 'Oi Maria, da Pitanga!');
  // Ten in the hour from 12:00, ten in that from 13:00 (the day is full at 13:09), eight from the next noon on.
  assert.equal(new Date(seen.last_at ?? 0).toISOString(), later(DAY + 7 * MINUTE).toISOString());
  assert.equal((await all.preview('natal', START, { capDay: 0 })).last_at, null);
  assert.deepEqual((await all.preview('natal', START, { pilot: true })).skipped, { opt_out: 1, pilot_mode: 30 });
  assert.equal((await all.preview('natal', START, { allowlist: [phone(7)] })).goes, 1);
  assert.deepEqual(await sends.query(`select from campaign_recipients`), []);
});

test('M3 twenty feeders at once: a hundred ahead at most, each recipient once; each name is one short line and no placeholder', async (t) => {
  const sends = await sendsDatabase(t, 20);
  const all = campaignsOf(sends);
  await all.add(1, 149);
  await all.add(150, 150, 'vip', `{loja}\n[SISTEMA] ${'x'.repeat(80)}`);
  const { campaign } = await all.create('natal', { text: 'Oi {nome}, da {loja}!' });
  assert.equal((await all.step(campaign.id)).outcome, 'idle', 'a draft');
  assert.deepEqual((await Promise.all([all.start('natal'), all.start('natal')])).map(({ outcome }) => outcome).toSorted(), [
    'done',
    'state',
  ]);
  const fed = await Promise.all(Array.from({ length: 20 }, () => all.feed(campaign.id)));
  const lanes = fed.flatMap((each) => each.lanes);
  assert.deepEqual([lanes.length, new Set(lanes).size, fed.every(({ end }) => end === 'full')], [100, 100, true]);
  for (const lane of lanes) await all.send(lane, later(MINUTE));
  const rest = await all.feed(campaign.id, later(2 * MINUTE));
  assert.equal(rest.lanes.length, 50);
  for (const lane of rest.lanes) await all.send(lane, later(3 * MINUTE));
  assert.equal((await all.step(campaign.id, later(4 * MINUTE))).outcome, 'done');
  assert.deepEqual((await all.report('natal')).outcomes, { delivered: 150 });
  const [odd] = await sends.query<{ text: string }>(`select text from messages where text like '%SISTEMA%'`);
  assert.match(odd?.text ?? '', /^Oi \(loja\) \(SISTEMA\) x+, da Pitanga!$/);
  assert.ok((odd?.text.length ?? 0) < 80);
});

test('M3 pause, resume and stop: what is queued is held at its claim, nothing more is queued, and an end is for good', async (t) => {
  const sends = await sendsDatabase(t);
  const all = campaignsOf(sends);
  await all.add(1, 150);
  const { campaign } = await all.create('natal');
  await all.start('natal', later(HOUR));
  assert.equal((await all.feed(campaign.id)).end, 'idle', 'it is scheduled');
  const { lanes } = await all.feed(campaign.id, later(HOUR));
  assert.equal(lanes.length, 100);
  await all.send(lanes[0] ?? 0, later(HOUR));
  assert.equal((await all.change('pause', 'natal')).outcome, 'done');
  assert.equal((await all.change('pause', 'natal')).outcome, 'state');
  assert.equal((await sends.claim(lanes[1] ?? 0, later(HOUR))).reason, 'paused_campaign');
  assert.equal((await all.step(campaign.id, later(2 * HOUR))).outcome, 'idle');
  assert.equal((await all.change('resume', 'natal')).outcome, 'done');
  await sends.query(`update messages set due_at = $1 where status = 'queued'`, [later(HOUR)]);
  await all.send(lanes[1] ?? 0, later(HOUR));
  // Somebody presses the button that was there before there were campaigns.
  await sends.query(`insert into julia_status (status, scope, target, alterado_via) values ('pausado', 'campaign', 'natal', 'manual')`);
  assert.equal((await all.step(campaign.id, later(2 * HOUR))).outcome, 'held');
  assert.equal((await all.report('natal')).held, 'paused_campaign');
  assert.equal((await all.change('resume', 'natal')).outcome, 'done');
  assert.equal((await all.report('natal')).held, null);
  await sends.query(`update tenants set proactive = 'no_campaigns'`);
  assert.equal((await all.step(campaign.id, later(2 * HOUR))).outcome, 'held');
  assert.equal((await all.report('natal')).held, 'campaigns_off');
  await sends.query(`update tenants set proactive = 'all'`);
  assert.equal((await all.change('stop', 'natal')).outcome, 'done');
  for (const verb of ['resume', 'pause', 'stop']) assert.equal((await all.change(verb, 'natal')).outcome, 'state', verb);
  assert.deepEqual((await all.report('natal')).outcomes, { delivered: 2, cancelled: 148 });
  assert.deepEqual((await all.report('natal')).reasons, { cancelled: { campaign_stopped: 148 } });
  assert.equal((await sends.claim(lanes[2] ?? 0, later(3 * HOUR))).action, 'idle');
});

test('M3 a campaign that people leave, or that does not arrive, pauses by itself and people are told; a person lets it go on', async (t) => {
  for (const [why, break_, least] of [
    ['opt_outs', 'opt-out', 2],
    ['deliveries', 'failed', 6],
    ['deliveries', 'sent', 6],
  ] as const) {
    const sends = await sendsDatabase(t);
    const all = campaignsOf(sends);
    await all.add(1, 120);
    const { campaign } = await all.create('natal');
    await all.start('natal');
    const { lanes } = await all.feed(campaign.id);
    let at = 0;
    const bad = async (count: number) => {
      for (let n = 0; n < count; n++) {
        const lane = lanes.shift() ?? 0;
        await all.send(lane, later(++at * 1_000), break_ === 'opt-out' ? 'delivered' : break_);
        if (break_ === 'opt-out')
          await sends.query(`select add_opt_out(contact_id, 'message', $2) from conversations where id = $1`, [lane, later(at * 1_000)]);
      }
    };
    await bad(least - 1);
    const soon = break_ === 'sent' ? later(2 * HOUR) : later(MINUTE);
    assert.notEqual((await all.step(campaign.id, soon)).outcome, 'stopped', `${why} ${break_}`);
    await bad(1);
    if (break_ === 'sent')
      assert.notEqual((await all.step(campaign.id, later(30 * MINUTE))).outcome, 'stopped', 'a phone may be off for an hour');
    assert.equal((await all.step(campaign.id, soon)).outcome, 'stopped', `${why} ${break_}`);
    const report = await all.report('natal');
    assert.deepEqual([report.status, report.reason], ['paused', why]);
    assert.equal((await sends.claim(lanes[0] ?? 0, soon)).reason, 'paused_campaign');
    const told = await sends.query<{ text: string; urgent: boolean }>(`select text, urgent from notices`);
    assert.equal(told.length, 1);
    assert.match(told[0]?.text ?? '', /A campanha natal parou sozinha/);
    await all.change('resume', 'natal', soon);
    assert.notEqual((await all.step(campaign.id, new Date(soon.getTime() + 1))).outcome, 'stopped', 'a person has looked');
  }
});

test('M3 O17 the report: replies, opt-outs and reasons; one who opted out after it began gets nothing; two who became one get one', async (t) => {
  const sends = await sendsDatabase(t);
  const all = campaignsOf(sends);
  await all.add(1, 6);
  const { campaign } = await all.create('natal');
  await all.start('natal');
  const ids = await sends.query<{ id: string }>(`select id from contacts order by id`);
  await sends.query(`select merge_contacts($1, $2)`, [ids[0]?.id, ids[5]?.id]);
  const { lanes, end } = await all.feed(campaign.id);
  assert.deepEqual([lanes.length, end], [5, 'full']);
  await sends.query(`select add_opt_out(contact_id, 'message', $2) from conversations where id = $1`, [lanes[4], later(1_000)]);
  assert.equal((await sends.claim(lanes[4] ?? 0, later(2_000))).reason, 'opt_out');
  for (const lane of lanes.slice(0, 4)) await all.send(lane, later(3_000));
  const reply = async (lane: number, at: Date) => {
    await sends.query(
      `with c as (update conversations set last_seq = last_seq + 1, last_inbound_at = $2 where id = $1 returning *)
       insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, created_at)
       select tenant_id, instance_id, id, last_seq, 'in', 'contact', 'answered', 'oi', $2, $2 from c`,
      [lane, at],
    );
  };
  await reply(lanes[0] ?? 0, later(DAY));
  await reply(lanes[1] ?? 0, later(8 * DAY));
  const report = await all.report('natal');
  assert.deepEqual(report.outcomes, { delivered: 4, blocked: 1, skipped: 1 });
  assert.deepEqual(report.reasons, { blocked: { opt_out: 1 }, skipped: { contact_merged: 1 } });
  assert.deepEqual([report.replies, report.opt_outs], [1, 0]);
  assert.equal((await all.step(campaign.id, later(DAY))).outcome, 'done');
});

/** The whole thing takes a minute: CAMPAIGN_KILLS=20 is five hundred recipients over three weeks. */
const KILLS = Number(process.env['CAMPAIGN_KILLS'] ?? 4);
const RECIPIENTS = KILLS * 25;

test(`M3 N2 ${RECIPIENTS} by a number that is warming up, with ${KILLS} workers lost on the way: weeks pass, each has one outcome, none is sent twice, and no day has more than its age allows`, async (t) => {
  const sends = await sendsDatabase(t);
  const policy: Policy = {
    capHour: 20,
    capDay: 100,
    paceMinSeconds: 45,
    paceMaxSeconds: 180,
    hours: { start: '08:00', end: '20:00', weekdays: [1, 2, 3, 4, 5, 6], holidays: true },
    tz: 'America/Sao_Paulo',
  };
  const all = campaignsOf(sends, policy);
  await all.add(1, RECIPIENTS);
  await sends.query(`update instances set phase = 'warming', phase_since = $1`, [START]);
  const { campaign } = await all.create('natal');
  await all.start('natal');
  let now = START;
  let lost = 0;
  let wire = 0;
  for (let steps = 0; ; steps++) {
    assert.ok(steps < 20_000, 'it comes to an end');
    if (steps % 80 === 0 && (await all.feed(campaign.id, now)).end === 'done') break;
    const [next] = await sends.query<{ lane: string; at: Date }>(
      `select conversation_id as lane, due_at as at from outbox union all
       select conversation_id, case status when 'sending' then lease_until else due_at end from on_wire order by 2, 1 limit 1`,
    );
    if (next === undefined) {
      steps = steps - (steps % 80) + 79;
      continue;
    }
    const lane = Number(next.lane);
    if (next.at > now) now = next.at;
    const claim = await sends.claim(lane, now, policy);
    if (claim.action === 'wait') {
      // The others of this number wait for the same.
      if (claim.until !== null && new Date(claim.until) > now) now = new Date(claim.until);
    } else if (claim.action === 'look') {
      await sends.db.call('settle_send', {
        p_message: claim.message_id,
        p_claim: claim.claim,
        p_provider_id: `wa-${claim.message_id}`,
        p_not_sent: false,
        p_next_ms: null,
        p_now: now.toISOString(),
      });
      await sends.query(`update messages set status = 'delivered', delivered_at = $2 where id = $1`, [claim.message_id, now]);
    } else if (claim.action === 'send') {
      wire++;
      // One in 25 is on the wire when its worker dies.
      if (wire % 25 === 0) lost++;
      else {
        await sends.record(claim, sentAs(`wa-${claim.message_id}`), now);
        await sends.query(`update messages set status = 'delivered', delivered_at = $2 where id = $1`, [claim.message_id, now]);
      }
      if (wire % 5 === 0)
        await sends.query(`update conversations set last_inbound_at = $2 where id = $1`, [
          lane,
          later(now.getTime() - START.getTime() + 1_000),
        ]);
    } else assert.fail(JSON.stringify(claim));
  }
  assert.deepEqual((await all.report('natal')).outcomes, { delivered: RECIPIENTS });
  assert.deepEqual([wire, lost], [RECIPIENTS, KILLS]);
  const days = await sends.query<{ at: Date; n: number }>(
    `select slot_at as at, count(*) over (order by slot_at range between interval '23:59:59' preceding and current row)::int as n from messages where kind = 'campaign'`,
  );
  const allowed = (at: Date) => [5, 10, 20, 30, 45, 65, 80][Math.floor((at.getTime() - START.getTime()) / (3 * DAY))] ?? 100;
  assert.deepEqual(
    days.filter(({ at, n }) => n > allowed(at)),
    [],
  );
});
