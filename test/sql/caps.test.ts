/** The caps of a number, attacked on the real database: many claimers at once, a wire that takes its time, deaths, and days that pass in seconds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { INSTANCE } from '../support/system.ts';
import { FREE, queueReplies, sendRow, sendsDatabase, sentAs } from '../support/sends.ts';
import type { Claimed, SendsDatabase } from '../support/sends.ts';

const HOUR = 3_600_000;
const START = new Date('2026-03-02T12:00:00Z');
const later = (ms: number) => new Date(START.getTime() + ms);

test('R1 caps: 200 queued, 3 claimers, a slow wire: at most 20 in any 60 minutes and 100 in any 24 hours, and all leave in the end', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(
    `select enqueue_message(jsonb_build_object('instance', $1::text, 'phone', '55119' || (10000000 + g), 'text', 'oferta ' || g, 'kind', 'campaign'), $2)
     from generate_series(1, 200) g`,
    [INSTANCE, START],
  );
  const wires = await runDays(sends, { capHour: 20, capDay: 100 });
  assert.equal(wires.length, 200);
  assert.equal(new Set(wires.map((wire) => wire.message)).size, 200, 'each once');
  const times = wires.map((wire) => wire.at).toSorted((a, b) => a - b);
  assert.deepEqual(tooClose(times, 20, HOUR), [], 'more than 20 within 60 minutes');
  assert.deepEqual(tooClose(times, 100, 24 * HOUR), [], 'more than 100 within 24 hours');
  // The slots are used: 100 in the first hours, the others a day later, not one a day.
  assert.ok((times.at(-1) ?? 0) - START.getTime() < 31 * HOUR, `took ${((times.at(-1) ?? 0) - START.getTime()) / HOUR} h`);
});

test('R1 X15 who is erased frees no place in the caps of a number, also when nobody knows whether the message left (simulation, seed 107)', async (t) => {
  const sends = await sendsDatabase(t);
  // an erasure asks the true clock what is lately
  const now = new Date();
  const offer = (n: number) => sends.proactive(`551191000000${n}`, now);
  const claim = async (conversation: number): Promise<Claimed> => sends.claim(conversation, now, { capHour: 2 });
  const [first, second, third] = [await offer(1), await offer(2), await offer(3)];
  const sent = await claim(first.conversation);
  assert.equal(sent.action, 'send');
  await sends.record(sent, sentAs('wa-1'), now);
  const doubtful = await claim(second.conversation);
  assert.equal(doubtful.action, 'send');
  await sends.record(doubtful, { kind: 'uncertain', class: 'timeout', detail: '', look_ms: 2_000 }, now);
  for (const n of [1, 2]) {
    const answer = (await sends.db.call('erase_contact', {
      p_tenant: 'default',
      p_contact: null,
      p_phone: `551191000000${n}`,
      p_actor: 'cli:ana',
      p_reason: 'pedido',
    })) as { outcome: string };
    assert.equal(answer.outcome, 'erased');
  }
  assert.deepEqual(await sends.query('select from messages where id <> $1', [third.id]), []);
  const held = await claim(third.conversation);
  assert.deepEqual([held.action, held.action === 'wait' ? held.reason : null], ['wait', 'cap_hour']);
  // and they are kept no longer than a cap asks for them
  const ages = { webhooks: 0, jobs: 0, transcripts: 0, messages: 0, audit: 0 };
  const inFourDays = new Date(now.getTime() + 4 * 24 * HOUR).toISOString();
  await sends.db.call('purge_old', { p_ages: ages, p_limit: 100, p_now: inFourDays });
  assert.deepEqual(await sends.query('select from slots'), []);
});

type Wire = { message: number; at: number };
type Flight = { claim: Claimed; wireAt: number; wired: boolean; endAt: number; end: 'sent' | 'dies' | 'uncertain' };

/** Three workers over virtual time. Each send reaches the wire up to 30 s after its claim; some answers are lost, some workers die. */
async function runDays(sends: SendsDatabase, caps: { capHour: number; capDay: number }): Promise<Wire[]> {
  const policy = { ...caps, leaseMs: 60_000 };
  const random = lcg(20_261_123);
  const wires: Wire[] = [];
  const flights: Flight[] = [];
  let now = START.getTime();
  let firstHeld: number | null = null;
  for (let step = 0; step < 5_000 && wires.length < 200; step++) {
    await land(sends, flights, wires, now);
    const due = (await sends.db.call('sweep_sends', { p_limit: 30, p_now: new Date(now).toISOString() })) as number[];
    const claims = await Promise.all(
      [0, 1, 2].map((worker) =>
        claimSome(
          sends,
          due.filter((_, index) => index % 3 === worker),
          new Date(now),
          policy,
        ),
      ),
    );
    for (const claim of claims.flat()) {
      if (claim.action === 'wait' && claim.reason === 'cap_hour') firstHeld ??= claim.message_id;
      if (claim.action === 'look') {
        const found = wires.some((wire) => wire.message === claim.message_id) ? `wa-${claim.message_id}` : null;
        await sends.db.call('settle_send', {
          p_message: claim.message_id,
          p_claim: claim.claim,
          p_provider_id: found,
          p_not_sent: false,
          p_next_ms: claim.looks < 5 ? 10_000 : null,
          p_now: new Date(now).toISOString(),
        });
      }
      if (claim.action !== 'send') continue;
      const wireAt = now + random() * 30_000;
      const chance = random();
      flights.push({
        claim,
        wireAt,
        wired: false,
        endAt: wireAt + random() * 5_000,
        end: chance < 0.05 ? 'dies' : chance < 0.1 ? 'uncertain' : 'sent',
      });
    }
    if (firstHeld !== null && step === 1) await assertHeld(sends, firstHeld);
    now = due.length > 0 ? now + 7_000 : await nextEvent(sends, flights, now);
  }
  return wires;
}

async function claimSome(sends: SendsDatabase, conversations: number[], now: Date, policy: Partial<typeof FREE>): Promise<Claimed[]> {
  const claims: Claimed[] = [];
  for (const conversation of conversations) claims.push(await sends.claim(conversation, now, policy));
  return claims;
}

async function land(sends: SendsDatabase, flights: Flight[], wires: Wire[], until: number): Promise<void> {
  for (const flight of flights.filter((each) => !each.wired && each.wireAt <= until)) {
    flight.wired = true;
    wires.push({ message: flight.claim.message_id, at: flight.wireAt });
  }
  for (const flight of flights.filter((each) => each.endAt <= until).toSorted((a, b) => a.endAt - b.endAt)) {
    flights.splice(flights.indexOf(flight), 1);
    if (flight.end === 'dies') continue;
    const outcome =
      flight.end === 'sent' ? sentAs(`wa-${flight.claim.message_id}`) : { kind: 'uncertain', class: 'timeout', detail: '', look_ms: 3_000 };
    await sends.record(flight.claim, outcome, new Date(flight.endAt));
  }
}

async function nextEvent(sends: SendsDatabase, flights: Flight[], now: number): Promise<number> {
  const [row] = await sends.query<{ at: Date | null }>(
    `select min(case when status = 'sending' then lease_until else due_at end) as at from messages where status in ('queued', 'sending', 'uncertain')`,
  );
  const times = [
    ...flights.flatMap((flight) => [flight.wireAt, flight.endAt]).filter((at) => at > now),
    ...(row?.at ? [row.at.getTime()] : []),
  ];
  return Math.max(now + 1_000, Math.min(...times) + 1);
}

/** The 21st is held, not failed, and whoever asks is told why and until when. */
async function assertHeld(sends: SendsDatabase, id: number): Promise<void> {
  const status = (await sends.db.call('message_status', { p_tenant: 'default', p_message: id })) as Record<string, unknown>;
  assert.equal(status['status'], 'queued');
  assert.equal(status['reason'], 'cap_hour');
  assert.equal(status['attempts'], 0);
  const goesAt = Date.parse(String(status['goes_at'])) - START.getTime();
  assert.ok(goesAt > 0.9 * HOUR && goesAt <= HOUR + 120_000, `goes ${goesAt} ms after the start`);
}

/** Pairs of sends that are `cap` apart and yet within the window. */
function tooClose(times: number[], cap: number, windowMs: number): number[] {
  return times.flatMap((at, index) => {
    const other = times[index + cap];
    return other !== undefined && other - at < windowMs ? [other - at] : [];
  });
}

function lcg(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
}

test('R2 atomic: 50 parallel claims at 19 of 20 used let exactly one through', async (t) => {
  const sends = await sendsDatabase(t, 25);
  const lanes: number[] = [];
  for (let index = 0; index < 69; index++) lanes.push((await sends.proactive(`55119${20_000_000 + index}`, START)).conversation);
  for (const lane of lanes.slice(0, 19)) {
    const claim = await sends.claim(lane, START, { capHour: 20 });
    await sends.record(claim, sentAs(`wa-${claim.message_id}`), START);
  }
  // All of them are under way before the first can end: somebody else has the number's lock until they wait.
  const holder = new pg.Client(sends.url);
  await holder.connect();
  await holder.query(`begin; select 1 from instances for update`);
  const claiming = Promise.all(lanes.slice(19).map((lane) => sends.claim(lane, later(60_000), { capHour: 20 })));
  const waiting = `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  while ((await sends.query<{ n: number }>(waiting))[0]?.n !== 25);
  await holder.end();
  const claims = await claiming;
  assert.deepEqual(claims.map((claim) => `${claim.action} ${claim.reason ?? ''}`.trim()).toSorted(), [
    'send',
    ...Array.from({ length: 49 }, () => 'wait cap_hour'),
  ]);
  const [sending] = await sends.query(`select count(*)::int as n from messages where status = 'sending'`);
  assert.deepEqual(sending, { n: 1 });
});

test('R2 two claims of one lane at once: one sends, the other waits', async (t) => {
  const sends = await sendsDatabase(t);
  for (let index = 0; index < 10; index++) {
    const { conversation } = await sends.proactive(`55119${21_000_000 + index}`, START);
    const claims = await Promise.all([1, 2, 3].map(() => sends.claim(conversation, START)));
    assert.deepEqual(claims.map((claim) => claim.action).toSorted(), ['send', 'wait', 'wait']);
  }
});

test('R2 leak: a worker that died keeps its slot while the message may be out, and gives it back for good when that is settled', async (t) => {
  const sends = await sendsDatabase(t);
  const policy = { capHour: 1 };
  const dead = await sends.proactive('5511930000001', START);
  const other = await sends.proactive('5511930000002', START);
  const claim = await sends.claim(dead.conversation, START, policy);
  assert.equal(claim.action, 'send');
  // Nobody looked for over an hour: its lease is long gone, but when it went out is not known, so the slot is still taken.
  assert.equal((await sends.claim(other.conversation, later(HOUR + 60_000), policy)).reason, 'cap_hour');
  let now = HOUR + 60_000;
  for (let look = 0; look < 6; look++) {
    now += 60_000;
    const looked = await sends.claim(dead.conversation, later(now), policy);
    assert.equal(looked.action, 'look');
    await sends.db.call('settle_send', {
      p_message: looked.message_id,
      p_claim: looked.claim,
      p_provider_id: null,
      p_not_sent: false,
      p_next_ms: look < 5 ? 10_000 : null,
      p_now: later(now).toISOString(),
    });
  }
  assert.equal((await sendRow(sends, dead.id)).status, 'unproven');
  await sends.query(`update messages set due_at = $2 where id = $1`, [other.id, START]);
  assert.equal(
    (await sends.claim(other.conversation, later(now + HOUR - 1_000), policy)).reason,
    'cap_hour',
    'it may have left at the last look',
  );
  assert.equal((await sends.claim(other.conversation, later(now + HOUR + 1_000), policy)).action, 'send');
});

test('R2 leak: what surely did not leave gives its slot back at once', async (t) => {
  const sends = await sendsDatabase(t);
  const policy = { capHour: 1 };
  const first = await sends.proactive('5511930000003', START);
  const second = await sends.proactive('5511930000004', START);
  const claim = await sends.claim(first.conversation, START, policy);
  await sends.record(claim, { kind: 'retry', class: 'disconnected', detail: '', delay_ms: 5_000, counts: false }, later(1_000));
  assert.equal((await sends.claim(second.conversation, later(2_000), policy)).action, 'send');
  assert.equal((await sends.claim(first.conversation, later(10_000), policy)).reason, 'cap_hour');
});

test('R1 rolling: an echo tells the time in whole seconds, the slot counts from when we heard of it', async (t) => {
  const sends = await sendsDatabase(t);
  const policy = { capHour: 1 };
  const first = await sends.proactive('5511930000005', START);
  const second = await sends.proactive('5511930000006', START);
  await sends.claim(first.conversation, START, policy);
  // On the wire at 20.9 s; the echo says 20.
  await sends.db.call('record_inbound', {
    p_webhooks: [
      {
        instance: INSTANCE,
        event: 'send.message',
        raw: {},
        requestId: 'r',
        events: [echo('5511930000005', 'oi 5511930000005', 'wa-echo', later(20_000))],
      },
    ],
    p_options: { takeoverMinutes: 30, takeoverCapMinutes: 240 },
    p_now: later(21_000).toISOString(),
  });
  assert.equal((await sendRow(sends, first.id)).status, 'sent');
  assert.equal((await sends.claim(second.conversation, later(HOUR + 20_500), policy)).reason, 'cap_hour');
  assert.equal((await sends.claim(second.conversation, later(HOUR + 21_500), policy)).action, 'send');
});

function echo(phone: string, text: string, providerId: string, sentAt: Date): Record<string, unknown> {
  const jid = `${phone}@s.whatsapp.net`;
  return {
    kind: 'message',
    instance: INSTANCE,
    instanceId: null,
    providerId,
    fromMe: true,
    viaApi: true,
    jid,
    chat: { pn: phone, lid: null },
    pushName: null,
    sentAt: sentAt.toISOString(),
    content: { type: 'text', text, typed: text, media: null },
    quoted: null,
  };
}

test('R1 reply caps: answers are counted apart, with their own cap', async (t) => {
  const sends = await sendsDatabase(t);
  const first = await sends.proactive('5511930000007', START);
  const claim = await sends.claim(first.conversation, START, { capHour: 1, replyCapHour: 0 });
  assert.equal(claim.action, 'send');
  const answer = await queueReplies(sends, '5511930000008', ['oi'], { at: START });
  assert.equal((await sends.claim(answer.conversation, START, { capHour: 0, replyCapHour: 0 })).reason, 'reply_cap_hour');
  await sends.query(`update messages set due_at = $2 where id = any($1)`, [answer.ids, START]);
  assert.equal((await sends.claim(answer.conversation, START, { capHour: 0, replyCapHour: 1 })).action, 'send');
});

test('H3 rate: used counts what holds a slot, and the first to leave the window says when it resets', async (t) => {
  const sends = await sendsDatabase(t);
  for (let index = 0; index < 3; index++) {
    const { conversation } = await sends.proactive(`55119${31_000_000 + index}`, START);
    const claim = await sends.claim(conversation, later(index * 1_000));
    await sends.record(claim, sentAs(`wa-${index}`), later(index * 1_000));
  }
  const status = (await sends.db.call('rate_status', {
    p_tenant: 'default',
    p_policy: { ...FREE, capHour: 20, capDay: 100 },
    p_now: later(5_000).toISOString(),
  })) as Record<string, Record<string, unknown>>;
  const { hour, day } = status[INSTANCE] ?? {};
  const oldest = (value: unknown) => Date.parse((value as { oldest: string }).oldest);
  assert.deepEqual({ ...(hour as object), oldest: oldest(hour) }, { used: 3, limit: 20, oldest: START.getTime() });
  assert.deepEqual({ ...(day as object), oldest: oldest(day) }, { used: 3, limit: 100, oldest: START.getTime() });
  const hourLater = (await sends.db.call('rate_status', {
    p_tenant: 'default',
    p_policy: FREE,
    p_now: later(HOUR + 1_500).toISOString(),
  })) as typeof status;
  const { used } = (hourLater[INSTANCE] ?? {})['hour'] as { used: number };
  assert.equal(used, 1);
});
