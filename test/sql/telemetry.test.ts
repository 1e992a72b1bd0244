/** What is measured when somebody asks, and the audit that only grows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { listAudit } from '../../src/people/audit-calls.ts';
import { metricsSnapshot } from '../../src/watch/figure-calls.ts';
import { openDoor, rows } from '../support/doors.ts';

test('E8 metrics_snapshot: counts and ages by tenant, of what is open and of the last 24 hours; closed and other tenants apart', async (t) => {
  const { door, url } = await openDoor(t, 'postgres');
  await rows(
    url,
    `select ensure_instance('julia-prod', null);
     insert into tenants (id, name) values ('outra', 'Outra');
     select enqueue_message(jsonb_build_object('instance', 'julia-prod', 'phone', '5511912345678', 'text', 'oi ' || n, 'kind', 'notification')) from generate_series(1, 5) n;
     update messages set due_at = now() - interval '90 seconds' where text = 'oi 1';
     update messages set due_at = now() + interval '1 hour' where text = 'oi 2';
     update messages set status = 'failed', reason = 'bad_request' where text = 'oi 3';
     update messages set status = 'unproven', reason = 'timeout' where text = 'oi 4';
     update messages set direction = 'in', author = 'contact', kind = null, status = 'received', created_at = now() - interval '40 seconds' where text = 'oi 5';
     insert into turns (tenant_id, conversation_id, status, fence, lease_until, worker, inbound_seq, cost_usd, started_at)
       select 'default', id, status, 1, now(), 'w', 1, 0.25, started_at from conversations,
         (values ('committed', now() - interval '1 hour'), ('committed', now() - interval '2 hours'), ('failed', now() - interval '1 hour'), ('committed', now() - interval '25 hours')) v (status, started_at);
     select open_handoff(id, null, 'send_unproven', null, false, now()) from conversations`,
  );
  const [own, other] = await metricsSnapshot(door);
  assert.ok(own && other);
  const { unanswered_seconds: waited, queued_seconds: due, ...counts } = own;
  assert.deepEqual(counts, {
    tenant: 'default',
    unanswered: 1,
    queued: 2,
    sending: 0,
    uncertain: 0,
    dead: 2,
    handoffs: 1,
    answered_conversations: 1,
    cost_usd: 0.75,
  });
  assert.ok(waited !== null && waited >= 40 && due !== null && due >= 90);
  assert.deepEqual(other, {
    tenant: 'outra',
    unanswered: 0,
    unanswered_seconds: null,
    queued: 0,
    queued_seconds: null,
    sending: 0,
    uncertain: 0,
    dead: 0,
    handoffs: 0,
    answered_conversations: 0,
    cost_usd: 0,
  });
});

test('E9 audit: read page by page, of one tenant; the role of the application can add to it, and neither change nor delete it', async (t) => {
  const { door, url } = await openDoor(t, 'postgres');
  await rows(url, `insert into tenants (id, name) values ('outra', 'Outra')`);
  await rows(url, `insert into audit_log (tenant_id, actor, action, subject) values ('outra', 'cli:eva', 'pause', 'all')`);
  await rows(url, `insert into audit_log (actor, action, subject) select 'cli:ana', 'pause', n::text from generate_series(1, 3) n`);
  const page = await listAudit(door, 'default', 2, null);
  assert.deepEqual(
    page.map(({ actor, action, subject, details }) => [actor, action, subject, details]),
    [
      ['cli:ana', 'pause', '3', {}],
      ['cli:ana', 'pause', '2', {}],
    ],
  );
  assert.ok(page[0]?.at instanceof Date);
  assert.deepEqual(
    (await listAudit(door, 'default', 2, page[1]?.id ?? null)).map((each) => each.subject),
    ['1'],
  );

  const asRole = (sql: string) => rows(url, `set role service_role; ${sql}`);
  await asRole(`insert into audit_log (actor, action) values ('api:ana', 'resume')`);
  for (const sql of [`update audit_log set actor = 'nobody'`, 'delete from audit_log', 'truncate audit_log'])
    await assert.rejects(asRole(sql), /permission denied/, sql);
  // Retention, whatever it is told, takes nothing younger than 30 days.
  await rows(url, `insert into audit_log (actor, action, created_at) values ('cli:old', 'pause', now() - interval '31 days')`);
  // The old ones may stand behind younger ones, as many as it looks at: their ids are those of a restore, or of who could once add any.
  await asRole(`select purge_audit(now() + interval '1 year', 2)`);
  assert.equal((await listAudit(door, 'default', 10, null)).length, 4);
});

test('E8 what is asked each minute, at each scrape or each day has an index for its span of time', async (t) => {
  const { url } = await openDoor(t, 'postgres');
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // the database is dropped under it when an assertion fails
  await client.connect();
  // Whoever can use an index does so now, however small the tables are.
  await client.query(`select ensure_instance('julia-prod', null); set enable_seqscan = off`);
  for (const asked of [
    'metrics_snapshot()',
    'alert_snapshot(true)',
    `snapshot_numbers('UTC')`,
    `report_figures('default', now() - interval '1 day', now())`,
  ]) {
    await client.query(`begin; select ${asked}`);
    const { rows: scanned } = await client.query(
      `select relname from pg_stat_xact_user_tables where relname in ('messages', 'turns', 'model_calls') and seq_scan > 0`,
    );
    await client.query('rollback');
    assert.deepEqual(scanned, [], asked);
  }
  await client.end();
});
