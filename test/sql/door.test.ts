/** The two doors behave alike: one suite over node-postgres and over supabase-js with a PostgREST look-alike. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as breakers from '../../src/breakers/calls.ts';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { defaultAgent } from '../../src/turns/default-agent.ts';
import { openPostgres, openSupabase } from '../../src/db/door.ts';
import type { Door } from '../../src/db/door.ts';
import * as peopleCareCalls from '../../src/people/care-calls.ts';
import * as backupCalls from '../../src/backup/calls.ts';
import { recordInbound } from '../../src/inbox/calls.ts';
import * as limits from '../../src/outbox/limit-calls.ts';
import { noteGateway } from '../../src/numbers/calls.ts';
import * as turnsAgentCalls from '../../src/turns/agent-calls.ts';
import * as dbServerCalls from '../../src/db/server-calls.ts';
import * as scheduleCalls from '../../src/schedule/calls.ts';
import * as watchHealthCalls from '../../src/watch/health-calls.ts';
import * as numbersCalls from '../../src/numbers/calls.ts';
import * as recovery from '../../src/inbox/reconcile-calls.ts';
import * as sends from '../../src/outbox/calls.ts';
import * as turns from '../../src/turns/calls.ts';
import { away, DOORS, execute, openDoor, refused, rows } from '../support/doors.ts';
import type { OpenedDoor } from '../support/doors.ts';

const POLICY: sends.SendPolicy = {
  allowlist: null,
  capHour: 20,
  capDay: 100,
  replyCapHour: 1000,
  contactCapHour: 3,
  contactCapWeek: 5,
  campaignGapDays: 3,
  maxUnanswered: 2,
  kindCaps: { campaign: null, follow_up: null, prospecting: null },
  strangersDay: null,
  minReplyPercent: 0,
  paceMinSeconds: 0,
  paceMaxSeconds: 0,
  hours: null,
  tz: 'UTC',
  pilot: false,
  leaseMs: 30_000,
};

for (const kind of DOORS) {
  describe(`D1 the door through ${kind}`, () => {
    const hooks: (() => Promise<void>)[] = [];
    const printed: unknown[][] = [];
    const realError = console.error;
    let opened: OpenedDoor;
    let db: Door;

    before(async () => {
      // A library that complains on the console breaks the JSON log.
      console.error = (...words: unknown[]) => void printed.push(words);
      opened = await openDoor({ after: (hook) => void hooks.unshift(hook as () => Promise<void>) }, kind);
      db = opened.door;
    });
    after(async () => {
      console.error = realError;
      for (const hook of hooks) await hook();
    });

    test('setup, a message in, a turn, its answer out: dates, numbers, nulls and nested JSON survive', async () => {
      await turnsAgentCalls.ensureSetup(db, { instance: 'julia-dev', project_ref: 'ours', agent: defaultAgent });
      const sentAt = new Date(Date.now() - 5_000);
      const words = 'Olá "João"\n\\ 😀 é 100% $1 \'{}\' -- null';
      const [recorded] = await recordInbound(
        db,
        [
          {
            requestId: 'req-1',
            instance: 'julia-dev',
            event: 'messages.upsert',
            raw: { deep: [1, null, { a: 'ç' }] },
            from: { tenant: 'default' },
            events: [message('A1', words, sentAt)],
          },
        ],
        { takeoverMinutes: 30, takeoverCapMinutes: 240, withdrawParts: true },
      );
      const result = recorded?.results[0];
      assert.equal(result?.outcome, 'stored');
      assert.ok(result.first_pending_at instanceof Date && result.inbound_at instanceof Date);
      const conversation = result.conversation_id ?? 0;

      assert.deepEqual(await turns.sweepTurns(db, 0, 10), [conversation]);
      assert.deepEqual(await turns.sweepTurns(db, 3_600_000, 10), []);
      const claim = await turns.claimTurn(db, conversation, 'test', 90_000);
      assert.equal(claim.state, 'claimed');
      if (claim.state !== 'claimed') return;
      assert.equal(claim.pending[0]?.text, words);
      assert.equal(claim.pending[0].at.getTime(), sentAt.getTime(), 'milliseconds are kept');
      assert.equal(claim.pending[0].quoted_text, null);
      assert.equal(claim.correlation_id, 'req-1');
      assert.deepEqual((await turns.claimTurn(db, conversation, 'other', 90_000)).state, 'busy');
      assert.deepEqual(await turns.renewTurns(db, [claim], 90_000), [{ alive: true, newer: false, stop: null }]);
      const transcript = [{ role: 'assistant', content: [{ type: 'text', text: words }] }];
      const commit: turns.TurnResult = {
        kind: 'answer',
        reason: null,
        model: 'm',
        parts: [{ text: words, typing_ms: 0, kind: 'reply' }],
        effects: [{ type: 'remember', fact: words, kind: 'other', about: '' }],
        tool_calls: [{ name: 'remember', input: { fact: words, none: null }, output: 'ok', ok: true, ms: 3 }],
        model_calls: [
          {
            model: 'm',
            outcome: 'ok',
            ms: 7,
            input_tokens: 10,
            output_tokens: 2,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            thinking_tokens: 1,
            cost_usd: 0.000123,
            estimated: false,
            detail: null,
            cache_miss: 'first',
          },
        ],
        transcript,
      };
      const completion = await turns.completeTurn(db, claim, commit);
      assert.deepEqual([completion.outcome, completion.parts], ['committed', 1]);
      // The answer of a commit may get lost on its way back; then it is repeated, and nothing counts twice.
      assert.equal((await turns.completeTurn(db, claim, commit)).outcome, 'lost');
      assert.equal((await turns.completeTurn(db, claim, { kind: 'aborted', reason: null })).outcome, 'lost');

      assert.deepEqual(await sends.sweepSends(db, 10), [conversation]);
      const send = await sends.claimSend(db, conversation, POLICY, 0.5);
      assert.equal(send.action, 'send');
      if (send.action !== 'send') return;
      assert.equal(send.text, words);
      assert.equal(send.quoted_id, null);
      assert.equal(send.inbound_at?.getTime(), claim.pending[0].created_at.getTime());
      assert.equal(await sends.renewSend(db, send, 30_000), true);
      assert.equal(await sends.renewSend(db, { ...send, claim: send.claim + 1 }, 30_000), false);
      assert.equal((await sends.recordSend(db, { ...send, claim: 99 }, { kind: 'sent', provider_id: 'B0' })).outcome, 'stale');
      assert.deepEqual(await sends.recordSend(db, send, { kind: 'uncertain', class: 'timeout', detail: 'x', look_ms: 0 }), {
        outcome: 'recorded',
        status: 'uncertain',
        more: true,
      });
      const look = await sends.claimSend(db, conversation, POLICY, 0.5);
      assert.equal(look.action, 'look');
      if (look.action !== 'look') return;
      assert.equal((await sends.settleSend(db, look, { kind: 'no_answer' }, 0)).status, 'uncertain');
      assert.deepEqual(await sends.settleSend(db, look, { kind: 'absent', proof: false }, 0), {
        status: 'uncertain',
        reason: 'timeout',
      });
      assert.deepEqual(await sends.settleSend(db, look, { kind: 'found', providerId: 'B1' }, 0), { status: 'sent', reason: null });
      assert.deepEqual(
        await sends.knownMessages(db, 'julia-dev', [message('A1', words, sentAt), message('nobody', words, sentAt)]),
        new Set([0]),
      );
      assert.deepEqual(await sends.knownProviderIds(db, 'julia-dev', [], 0), new Set());
      assert.deepEqual(await sends.knownProviderIds(db, 'julia-dev', ['B1', 'nobody', 'A1'], 0), new Set(['B1']));

      const [row] = await rows<{ transcript: unknown; cost: string; memory: unknown; raw: unknown; input: unknown }>(
        opened.url,
        `select t.transcript, t.cost_usd as cost, (select to_json(fact) from contact_facts) as memory, (select input from tool_calls) as input,
           (select body from webhook_events) as raw from turns t, contacts c`,
      );
      assert.deepEqual(row, {
        transcript,
        cost: '0.00012300',
        memory: words,
        input: { fact: words, none: null },
        raw: { deep: [1, null, { a: 'ç' }] },
      });
    });

    test('a proactive message, its state and the caps', async () => {
      const request: sends.MessageRequest = {
        tenant: 'default',
        instance: 'julia-dev',
        phone: '5511987654321',
        text: 'oi',
        kind: 'notification',
        send_after: '2031-01-02T03:04:05.678Z',
        expires_at: null,
        idempotency_key: 'key-1',
        campaign_id: null,
        typing_ms: 0,
        correlation_id: 'req-2',
        bypass: null,
        actor: 'api:test',
      };
      const first = await sends.enqueueMessage(db, request);
      assert.deepEqual([first.status, first.repeated], ['queued', false]);
      assert.deepEqual(await sends.enqueueMessage(db, request), { ...first, repeated: true });
      const status = await sends.findMessageStatus(db, 'default', first.id);
      assert.equal(new Date(status?.goes_at ?? 0).toISOString(), '2031-01-02T03:04:05.678Z');
      assert.equal(await sends.findMessageStatus(db, 'default', 999_999), null);
      assert.equal(await sends.findMessageStatus(db, 'other', first.id), null, 'of another tenant');
      const rate = await limits.rateStatus(db, 'default', POLICY);
      assert.deepEqual(rate['julia-dev']?.hour, { used: 0, limit: 20, oldest: null });
      assert.deepEqual(await limits.rateStatus(db, 'nobody', POLICY), {});

      await refused(sends.enqueueMessage(db, { ...request, text: 'anders' }), 'WA002');
      await refused(sends.enqueueMessage(db, { ...request, instance: 'nobody', idempotency_key: null }), 'WA001');
    });

    test('jobs, heartbeats, numbers, figures, retention', async () => {
      assert.match(await dbServerCalls.schemaVersion(db), /^\d{14}$/);
      const tick = new Date('2026-11-23T08:00:00.000Z');
      const known = new Date('2026-11-23T08:01:02.345Z');
      const claimOf = { job: 'a_job', tick, worker: 'test', leaseMs: 60_000, alone: false };
      const { id } = await scheduleCalls.claimJob(db, claimOf);
      assert.ok(id !== null);
      assert.deepEqual(await scheduleCalls.claimJob(db, { ...claimOf, worker: 'other' }), { id: null, attempts: 1, because: 'ran' });
      const again = await scheduleCalls.claimJob(db, { ...claimOf, again: true });
      assert.deepEqual(again, { id, attempts: 2, because: null }, 'whose answer was lost');
      await scheduleCalls.finishJob(db, id, { status: 'failed', count: 2, error: 'às vezes' });
      assert.deepEqual(await scheduleCalls.lastTicks(db, ['a_job', 'new'], known), { a_job: tick, new: known });
      assert.deepEqual(await scheduleCalls.retakeJobs(db, 'other', { a_job: 60_000 }), []);
      const [run] = await scheduleCalls.jobStatus(db, ['a_job', 'unknown']);
      assert.deepEqual([run?.job, run?.tick, run?.status, run?.error, run?.['count']], ['a_job', tick, 'failed', 'às vezes', 2]);

      const report = {
        id: 'worker-1',
        mode: 'worker',
        version: '1',
        started_at: tick.toISOString(),
        breakers: [],
        queues: { turn: { wait: 1 } },
        resets_seen: null,
      };
      assert.deepEqual(await breakers.heartbeat(db, report), {
        installation: await dbServerCalls.installationId(db),
        resets_seen: 0,
        resets: [],
        others: [],
        signs: {},
      });
      await breakers.recordTransition(db, {
        breaker: 'evolution',
        instance: null,
        process: 'worker-1',
        state: 'open',
        reason: null,
        at: new Date().toISOString(),
      });
      assert.deepEqual(
        (await watchHealthCalls.healthSnapshot(db)).processes.map(({ id: name, queues }) => [name, queues]),
        [['worker-1', report.queues]],
      );
      await breakers.endProcess(db, 'worker-1');
      const snapshot = await watchHealthCalls.healthSnapshot(db);
      assert.deepEqual([snapshot.processes, snapshot.paused, snapshot.unanswered], [[], null, { count: 0, oldest_seconds: null }]);

      assert.deepEqual(await numbersCalls.setInstanceState(db, 'julia-dev', 'open'), { wakeSends: true });
      assert.deepEqual(await numbersCalls.setInstanceState(db, 'julia-dev', 'open'), { wakeSends: false });
      const polled = { name: 'julia-dev', status: 'open', phone_doubted: false, breaker: null, fault: null };
      assert.deepEqual(await numbersCalls.listInstances(db), [{ ...polled, version_stale: true }]);
      await noteGateway(db, '2.3.7');
      assert.deepEqual(await numbersCalls.listInstances(db), [{ ...polled, version_stale: false }]);
      await numbersCalls.noteFault(db, ['julia-dev', 'nobody'], 'unavailable');
      assert.equal((await numbersCalls.listInstances(db))[0]?.fault, 'unavailable');
      await numbersCalls.noteFault(db, ['julia-dev'], null);
      await numbersCalls.setInstancePhone(db, 'julia-dev', '5511900000001');
      const ages = { webhooks: 7, jobs: 30, transcripts: 90, messages: 0, audit: 730 };
      assert.deepEqual(await peopleCareCalls.purgeOld(db, ages, 10), { deleted: 0, more: false });
    });

    test('a person is exported and erased, a restore is marked', async () => {
      const exported = await peopleCareCalls.exportContact(db, 'default', { phone: '5511912345678' }, 'test');
      assert.ok(exported);
      assert.deepEqual([(exported['contact'] as { name?: string }).name, (exported['messages'] as unknown[]).length], ['Maria', 2]);
      assert.equal(await peopleCareCalls.exportContact(db, 'other', { id: 1 }, 'test'), null);
      const erased = await peopleCareCalls.eraseContact(db, 'default', { id: 1 }, 'test', 'a pedido');
      assert.deepEqual(erased, { outcome: 'erased', contact_id: 1, messages: 2, webhooks: 1 });
      assert.deepEqual(await peopleCareCalls.eraseContact(db, 'default', { phone: '5511912345678' }, 'test', 'a pedido'), {
        outcome: 'unknown',
      });
      const restored = await backupCalls.markRestored(db, new Date('2026-11-23T02:00:00.000Z'), 'test');
      assert.deepEqual(restored, { uncertain: 0, scheduled: 1, unanswered: 0, instances: ['julia-dev'] });
      assert.deepEqual(await backupCalls.markRestored(db, new Date('2026-11-23T02:00:00.000Z'), 'test'), restored);
      assert.equal((await recovery.reconcileFrom(db, 'julia-dev', 60_000))?.restored, true);
      assert.deepEqual(await recovery.markReconciled(db, 'julia-dev', new Date('2020-01-01')), { settled: false });
      assert.deepEqual(await recovery.markReconciled(db, 'julia-dev', new Date(Date.now() + 60_000)), { settled: true });
      assert.equal(await recovery.reconcileFrom(db, 'nobody', 0), null);
    });

    test('arguments: undefined is left out, null is null, a Date is a time, numbers and booleans keep their kind', async () => {
      await execute(
        opened.url,
        `create function door_echo(p_text text default 'left out', p_number numeric default 1, p_flag boolean default null, p_at timestamptz default null,
           p_json jsonb default null) returns jsonb language sql as $$ select jsonb_build_object('text', p_text, 'number', p_number, 'flag', p_flag,
           'at', p_at at time zone 'UTC', 'json', p_json) $$;
         create function door_nothing(p_json jsonb) returns jsonb language sql as $$ select null::jsonb $$;
         grant execute on function door_echo, door_nothing to service_role`,
      );
      const at = new Date('2026-11-23T08:00:00.123Z');
      assert.deepEqual(
        await opened.door.call('door_echo', { p_text: undefined, p_number: 1.5, p_flag: false, p_at: at, p_json: undefined }),
        {
          text: 'left out',
          number: 1.5,
          flag: false,
          at: '2026-11-23T08:00:00.123',
          json: null,
        },
      );
      assert.deepEqual(
        await opened.door.call('door_echo', { p_text: null, p_number: -7, p_json: { a: [undefined, null, 1], b: undefined, at } }),
        {
          text: null,
          number: -7,
          flag: null,
          at: null,
          json: { a: [null, null, 1], at: at.toISOString() },
        },
      );
      // An array is JSON too, not a Postgres array.
      assert.deepEqual(await opened.door.call('door_echo', { p_json: ['a', 'b'] }), {
        text: 'left out',
        number: 1,
        flag: null,
        at: null,
        json: ['a', 'b'],
      });
      assert.equal(await opened.door.call('door_nothing', { p_json: {} }), null);
    });

    test('two calls that wait for each other: Postgres ends one, and neither caller hears of it', async () => {
      // Each holds its own lock and waits until the other has its own; sequences do not go back, so it is so the first time only.
      await execute(
        opened.url,
        `create sequence door_meetings;
         create function door_meet(p_own int, p_other int) returns jsonb language plpgsql as $$ begin
           perform pg_advisory_xact_lock(77, p_own);
           if nextval('door_meetings') <= 2 then
             while not exists (select from pg_locks where locktype = 'advisory' and classid = 77 and objid = p_other and granted) loop end loop;
           end if;
           perform pg_advisory_xact_lock(77, p_other);
           return to_jsonb(p_own); end $$;
         grant all on sequence door_meetings to public;
         grant execute on function door_meet to public`,
      );
      const meet = (own: number, other: number) => opened.door.call('door_meet', { p_own: own, p_other: other });
      assert.deepEqual(await Promise.all([meet(1, 2), meet(2, 1)]), [1, 2]);
      const [tries] = await rows(opened.url, `select last_value::int as tries from door_meetings`);
      assert.deepEqual(tries, { tries: 3 }, 'one of them came again');
    });

    test('what the database refuses has its code, and nothing of it happened', async () => {
      await execute(
        opened.url,
        `create function door_raise(p_code text) returns jsonb language plpgsql as $$ begin
           insert into installation (key, value) values ('half', 'done');
           raise exception 'no: %', p_code using errcode = p_code; end $$;
         grant execute on function door_raise to service_role`,
      );
      // ours, a deadlock, a lost race, a constraint, a missing right, a statement that took too long
      for (const code of ['WA001', 'WA002', '40P01', '40001', '23505', '42501', '57014', 'P0001']) {
        await refused(opened.door.call('door_raise', { p_code: code }), code);
      }
      // the database is going away or is full: whether it happened is unknown
      for (const code of ['57P01', '57P03', '53300', '08006', '25006']) await away(opened.door.call('door_raise', { p_code: code }));
      assert.deepEqual(await rows(opened.url, `select * from installation where key = 'half'`), []);
      await refused(opened.door.call('no_such_function', {}), kind === 'postgres' ? '42883' : 'PGRST202');
      await refused(opened.door.call('schema_version', { p_unknown: 1 }), kind === 'postgres' ? '42883' : 'PGRST202');
    });

    test('no library wrote on the console', () => assert.deepEqual(printed, []));
  });
}

test('D1 the database goes away and comes back: DatabaseAway, then it works again, by itself', async (t) => {
  for (const kind of DOORS) {
    const { door, url, bridge } = await openDoor(t, kind);
    await door.call('schema_version', {});
    await execute(
      url,
      `create function door_die() returns jsonb language sql security definer as $$ select to_jsonb(pg_terminate_backend(pg_backend_pid())) $$`,
    );
    await away(door.call('door_die', {}));
    assert.equal(typeof (await door.call('schema_version', {})), 'string', kind);
    await bridge?.cutDatabase(true);
    if (bridge) await away(door.call('schema_version', {}));
    await bridge?.cutDatabase(false);
    assert.equal(typeof (await door.call('schema_version', {})), 'string', kind);
    await bridge?.close();
    if (bridge) await away(door.call('schema_version', {}));
  }
  await away(openPostgres('postgres://nobody:x@127.0.0.1:1/none').call('schema_version', {}));
});

test('D1 a wrong key of Supabase is a refusal, not an absence that is waited out', async (t) => {
  const { bridge } = await openDoor(t, 'supabase');
  assert.ok(bridge);
  await refused(openSupabase(bridge.url, 'not-a-key').call('schema_version', {}), '401');
  await refused(openSupabase(bridge.url, bridge.anonKey).call('schema_version', {}), '42501');
});

function message(providerId: string, text: string, sentAt: Date): InboundEvent {
  return {
    instance: 'julia-dev',
    instanceId: null,
    kind: 'message',
    providerId,
    content: { type: 'text', text, typed: text, media: null },
    quoted: null,
    chat: { pn: '5511912345678', lid: null },
    jid: '5511912345678@s.whatsapp.net',
    fromMe: false,
    viaApi: false,
    pushName: 'Maria',
    sentAt: sentAt.toISOString(),
  };
}
