/** The acceptance scenarios of the specification (section 15), with real processes. The first has a file of its own: chaos-hour.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { startSite } from '../support/site.ts';
import type { Site } from '../support/site.ts';
import { WEBHOOK_SECRET } from '../support/system.ts';

type Row = {
  id: number;
  provider_id: string;
  status: string;
  reason: string | null;
  turn_id: number | null;
  created_at: Date;
  conversation_id: number;
};

const inboundRows = (site: Site) =>
  site.query<Row>(
    `select id::int, provider_id, status, reason, turn_id::int, created_at, conversation_id::int from messages where direction = 'in' order by conversation_id, seq`,
  );

/** Rows that have no end yet. */
const underWay = async (site: Site) =>
  (
    await site.query<{ n: number }>(
      `select count(*)::int as n from messages where status in ('received', 'queued', 'sending', 'uncertain')`,
    )
  )[0]?.n ?? 0;

test('scenario 4 worker never deployed: the api takes and keeps everything, /health/deep says why nothing is answered, and a worker that starts answers all of it', async (t) => {
  const site = await startSite(t);
  const api = await site.startReady('api');
  await site.startReady('scheduler');
  const contacts = Array.from({ length: 5 }, (_, index) =>
    site.simulator.addContact({ name: `Contato ${index}`, phone: `551198765432${index}` }),
  );
  for (const { id } of contacts) site.simulator.inbound({ contactId: id, text: 'Oi' });
  await site.until(async () => (await inboundRows(site)).length === 5, 'stored');
  const deep = async () => {
    const answer = await fetch(`${api.url}/health/deep`);
    return (await answer.json()) as { status: string; reasons: string[] };
  };
  const { status, reasons } = await deep();
  assert.equal(status, 'degraded');
  assert.ok(
    reasons.some((reason) => reason.startsWith('no worker is running')),
    reasons.join('\n'),
  );
  await site.startReady('worker');
  await site.until(async () => (await underWay(site)) === 0 && site.simulator.sends({ sent: true }).length === 5, 'all are answered');
  assert.equal(new Set(site.simulator.sends({ sent: true }).map((send) => send.number)).size, 5);
  assert.ok(!(await deep()).reasons.some((reason) => reason.startsWith('no worker')));
});

test('scenario 7 message during generation: it is answered, and nothing is said that it made wrong', async (t) => {
  const site = await startSite(t);
  await site.startReady('api');
  await site.startReady('worker');
  const maria = site.simulator.addContact({ name: 'Maria', phone: '5511987654321' });
  const gate = Promise.withResolvers<void>();
  site.simulator.script([
    { match: 'às 16h', text: 'Marcado para as 16h.' },
    { match: 'às 15h', text: 'Marcado para as 15h.', repeat: true },
  ]);
  site.simulator.fault({ target: 'claude', kind: 'slow', ms: 0, until: gate.promise });
  site.simulator.inbound({ contactId: maria.id, text: 'Quero às 15h' });
  await site.simulator.waitFor((wire) => wire.claude.length === 1, 30_000);
  site.simulator.inbound({ contactId: maria.id, text: 'Desculpe, às 16h' });
  await site.until(async () => (await inboundRows(site)).length === 2, 'stored');
  gate.resolve();
  await site.until(async () => (await underWay(site)) === 0 && site.simulator.sends({ sent: true }).length > 0, 'answered');
  assert.deepEqual(
    site.simulator.sends({ sent: true }).map((send) => send.text),
    ['Marcado para as 16h.'],
  );
  assert.deepEqual(
    (await inboundRows(site)).map((row) => row.status),
    ['answered', 'answered'],
  );
});

test('scenario 8 runtime down while events flow: what Evolution still repeats and what it gave up are both answered once when it is back', async (t) => {
  const site = await startSite(t);
  const { simulator } = site;
  // It ran before: the number is known, and the last comparison was twenty minutes ago.
  await site.query(`insert into instances (name, created_at) values ('julia-dev', now() - interval '1 day')`);
  await site.query(
    `insert into job_runs (job, tick, status, worker) values ('reconcile_inbox', date_trunc('minute', now()) - interval '20 minutes', 'done', 'before')`,
  );
  const [given, repeated] = ['5511987650001', '5511987650002'].map((phone) => simulator.addContact({ name: phone, phone }));
  simulator.setWebhook(null);
  simulator.inbound({ contactId: given?.id ?? '', text: 'desistiu', ageMs: 10 * 60_000 });
  const balancer = await startBalancer();
  t.after(() => balancer.close());
  simulator.setWebhook(`${balancer.url}/webhook/evolution`, WEBHOOK_SECRET);
  const again = simulator.inbound({ contactId: repeated?.id ?? '', text: 'repete' });
  await simulator.waitFor((wire) => wire.webhooks.some((hook) => hook.messageId === again.id && hook.status === 502), 30_000);
  const [api] = await Promise.all([site.startReady('api'), site.startReady('worker'), site.startReady('scheduler')]);
  balancer.upstreams.push(api.url);
  await site.until(async () => (await inboundRows(site)).length === 2 && (await underWay(site)) === 0, 'both are handled', 60_000);
  assert.deepEqual(
    (await inboundRows(site)).map((row) => row.status),
    ['answered', 'answered'],
  );
  assert.equal(simulator.sends({ sent: true }).length, 2);
});
