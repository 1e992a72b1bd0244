/** Notices: told once, to Slack, and to the manager's WhatsApp when Slack does not take it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { deliverNotices, sendNotice } from '../../src/notices/notices.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const MANAGER = '5511912340000';

function notice(key: string, fields: { urgent?: boolean; about?: string; text?: string } = {}) {
  return { tenant: 'default', key, kind: 'alert', text: `aviso ${key}`, urgent: false, ...fields };
}

async function rows(system: System): Promise<string[]> {
  const found = await system.query<{ line: string }>(
    `select key || ' ' || status || ' ' || coalesce(channel, '-') || ' ' || coalesce(error, '-') || ' ' || attempts as line from notices order by id`,
  );
  return found.map(({ line }) => line);
}

/** The next attempt, as if its time had come. */
async function attempt(system: System): Promise<void> {
  await system.query(`update notices set due_at = now() where status in ('pending', 'handed')`);
  await deliverNotices(system.ctx);
}

async function over(system: System, line: string): Promise<void> {
  await system.until(async () => (await rows(system)).includes(line), line);
}

for (const slack of ['webhook', 'bot'] as const) {
  test(`E3 a notice leaves at once and once, to Slack as the ${slack}`, async (t) => {
    const system = await startSystem(t, { workers: 0, slack });
    const added = await Promise.all([1, 2, 3].map(() => sendNotice(system.ctx, notice('a'))));
    assert.equal(added.filter(Boolean).length, 1);
    await over(system, 'a sent slack - 0');
    await sendNotice(system.ctx, notice('b', { urgent: true, text: '2 < 3 & 4 > 1' }));
    await over(system, 'b sent slack - 0');
    assert.equal(await sendNotice(system.ctx, notice('a')), false, 'also when it is over');
    assert.deepEqual(system.simulator.slackTexts(), ['aviso a', '🚨 2 &lt; 3 &amp; 4 &gt; 1']);
    const channel = slack === 'bot' ? '#julia-gestao' : null;
    assert.ok(system.simulator.wire().slack.every((post) => post.via === slack && post.channel === channel));
  });
}

test('E3 two deliverers at once tell a notice once; who takes longer than the lease may not speak any more', async (t) => {
  const system = await startSystem(t, { workers: 0, slack: 'webhook' });
  const other = await system.openContext('scheduler');
  await system.query(
    `select add_notice(jsonb_build_object('tenant', 'default', 'key', 'n' || n, 'kind', 'alert', 'text', 'aviso ' || n, 'urgent', n % 2 = 0)) from generate_series(1, 12) n`,
  );
  const had = await Promise.all([deliverNotices(system.ctx), deliverNotices(other), deliverNotices(other)]);
  assert.equal(had[0] + had[1] + had[2], 12);
  assert.equal(new Set(system.simulator.slackTexts()).size, 12);
  assert.equal(system.simulator.slackTexts().length, 12);
  assert.equal(await deliverNotices(system.ctx), 0);
  const stale = await system.query<{ answer: unknown }>(
    `select finish_notice(id, claim - 1, '{"status": "failed", "error": "x"}') as answer from notices limit 1`,
  );
  assert.deepEqual(stale[0]?.answer, { recorded: false, news: false });
});

test('Z7 no caller of the API can take the key under which a notice goes to the manager', async (t) => {
  const system = await startSystem(t, { workers: 1, env: { GESTOR_WHATSAPP: MANAGER } });
  const [{ next } = { next: 0 }] = await system.query<{ next: number }>('select coalesce(max(id), 0)::int + 1 as next from notices');
  const sender = await new SignJWT({ role: 'sender', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('crm')
    .setExpirationTime('5m')
    .sign(new TextEncoder().encode(JWT_SECRET));
  const taken = Array.from({ length: 3 }, (_, n) => `notice-${next}-${n}`);
  for (const key of taken) {
    const response = await fetch(`${system.url}/api/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sender}`, 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ to: '5511900001111', text: 'x', send_after: new Date(Date.now() + 20 * 86_400_000).toISOString() }),
    });
    assert.equal(response.status, 202);
  }
  await sendNotice(system.ctx, notice('handoff-1-told'));
  await system.until(() => system.simulator.sends({ text: 'aviso handoff-1-told', sent: true }).length === 1, 'the manager to be told');
  assert.deepEqual(
    (
      await system.query<{ key: string }>(`select idempotency_key as key from messages where text = 'x' and status = 'queued' order by id`)
    ).map(({ key }) => key),
    taken,
  );
});

test('E3 Slack down: retried, then the manager gets it by WhatsApp, sooner when it is urgent; the trouble is an ERROR once', async (t) => {
  const system = await startSystem(t, { slack: 'webhook', env: { GESTOR_WHATSAPP: MANAGER } });
  system.simulator.fault({ target: 'slack', kind: 'status', status: 503, times: null });
  await sendNotice(system.ctx, notice('u', { urgent: true }));
  await over(system, 'u pending - slack_http_503 1');
  assert.equal(system.simulator.sends().length, 0, 'Slack gets a second chance');
  await attempt(system);
  await system.until(() => system.simulator.sends({ text: '🚨 aviso u', sent: true }).length === 1, 'the WhatsApp message');
  await system.until(async () => {
    await attempt(system);
    return (await rows(system)).includes('u sent whatsapp - 2');
  }, 'the notice to be over');

  await sendNotice(system.ctx, notice('p'));
  await over(system, 'p pending - slack_http_503 1');
  for (let tries = 2; tries <= 4; tries++) {
    await attempt(system);
    assert.ok((await rows(system)).includes(`p pending - slack_http_503 ${tries}`));
  }
  system.simulator.clearFaults();
  await attempt(system);
  assert.ok((await rows(system)).includes('p sent slack - 4'), 'Slack was back in time');
  assert.equal(system.simulator.sends({ text: 'aviso p' }).length, 0);
  const told = system.lines.filter(({ level, context }) => level === 'ERROR' && context['reason'] === 'slack_http_503');
  assert.equal(told.length, 2, 'one for each notice');
  assert.ok(!JSON.stringify(system.lines.filter(({ level }) => level !== 'DEBUG')).includes('aviso'), 'no words in the log');
});

test('E3 a Slack that will never take it is not asked again; a passing refusal is', async (t) => {
  const system = await startSystem(t, { slack: 'bot', env: { GESTOR_WHATSAPP: MANAGER } });
  system.simulator.fault({ target: 'slack', kind: 'error', error: 'ratelimited' });
  await sendNotice(system.ctx, notice('passing'));
  await over(system, 'passing pending - slack_ratelimited 1');
  await attempt(system);
  assert.ok((await rows(system)).includes('passing sent slack - 1'));
  system.simulator.fault({ target: 'slack', kind: 'error', error: 'channel_not_found', times: null });
  await sendNotice(system.ctx, notice('gone'));
  await system.until(() => system.simulator.sends({ text: 'aviso gone', sent: true }).length === 1, 'the WhatsApp message');
});

test('E3 a notice about a number never needs that number: another carries it, or it waits and says so', async (t) => {
  const system = await startSystem(t, { env: { GESTOR_WHATSAPP: MANAGER }, simulator: { instances: ['julia-dev', 'second'] } });
  await sendNotice(system.ctx, notice('alone', { about: 'julia-dev', urgent: true }));
  await over(system, 'alone pending - no_number 1');
  // it is written down first, and then told
  await system.until(
    () => system.lines.some(({ level, message }) => level === 'ERROR' && message === 'Notice not delivered, retrying'),
    'the line of the log',
  );
  await system.query(`select ensure_instance('second', null); update instances set status = 'open'`);
  await attempt(system);
  await system.until(() => system.simulator.sends({ text: 'aviso alone', sent: true }).length === 1, 'the WhatsApp message');
  assert.deepEqual(
    system.simulator.sends().map(({ instance }) => instance),
    ['second'],
  );
  // The news of its delivery, which would count for more than a failure, has come.
  await system.until(async () => (await system.query(`select 1 from messages where status = 'delivered'`))[0], 'the ack');
  // The number that carries it goes away for good: its message is lost, and the notice takes another way.
  await system.query(
    `update notices set status = 'handed', ended_at = null; update messages set status = 'failed' where direction = 'out'`,
  );
  await system.query(`update instances set status = 'close' where name = 'second'`);
  await attempt(system);
  assert.deepEqual(await rows(system), ['alone pending whatsapp no_number 3']);
});

test('E3 nobody to tell: an ERROR once, and the notice says why; after a day it is old news', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await sendNotice(system.ctx, notice('x'));
  await over(system, 'x failed - no_channel 0');
  await attempt(system);
  const told = system.lines.filter(({ level }) => level === 'ERROR');
  assert.deepEqual(
    told.map(({ message, context }) => [message, context['reason']]),
    [['Notice reached nobody', 'no_channel']],
  );
  const other = await startSystem(t, { workers: 0, slack: 'webhook' });
  other.simulator.fault({ target: 'slack', kind: 'drop', times: null });
  await sendNotice(other.ctx, notice('y'));
  await over(other, 'y pending - slack_unreachable 1');
  await other.query(`update notices set created_at = now() - interval '25 hours'`);
  await attempt(other);
  assert.deepEqual(await rows(other), ['y failed - too_old 1']);
});
