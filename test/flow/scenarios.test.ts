/** The acceptance scenarios of the specification (section 15), with real processes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../scripts/simulator/clock.ts';
import { startBalancer } from '../support/balancer.ts';
import { startSite } from '../support/site.ts';
import type { ModeProcess, Site } from '../support/site.ts';
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
      `select count(*)::int as n from messages where status in ('received', 'queued', 'sending') or (status = 'uncertain' and reason is distinct from 'unproven')`,
    )
  )[0]?.n ?? 0;

const SEED = 20_261_127;
const CONTACTS = 30;
const DEBOUNCE_MS = 1_000;

test('scenario 1 chaos hour: two of each mode, bursts, repeats, failing model and Evolution, kills: all stored, answered once, nothing stuck', async (t) => {
  const site = await startSite(t, {
    env: {
      DEBOUNCE_MS: String(DEBOUNCE_MS),
      DEBOUNCE_MAX_MS: '5000',
      EVOLUTION_BREAKER_FAILURES: '1000',
      CLAUDE_BREAKER_FAILURES: '1000',
      EVOLUTION_BREAKER_RESET_SECONDS: '1',
      LOG_LEVEL: 'INFO',
    },
    simulator: { timeScale: 20, seed: SEED },
  });
  const { simulator } = site;
  const random = createRandom(SEED);
  const balancer = await startBalancer();
  t.after(() => balancer.close());
  const running = new Map<string, ModeProcess>();
  const launch = async (mode: 'api' | 'worker' | 'scheduler', which: number): Promise<void> => {
    const started = await site.startReady(mode);
    running.set(`${mode}-${which}`, started);
    if (mode === 'api') balancer.upstreams[which] = started.url;
    simulator.setWebhook(`${balancer.url}/webhook/evolution`, WEBHOOK_SECRET);
  };
  await Promise.all((['api', 'worker', 'scheduler'] as const).flatMap((mode) => [launch(mode, 0), launch(mode, 1)]));

  // Each answer repeats what its contact wrote last, so a second copy on the wire shows.
  const contacts = Array.from({ length: CONTACTS }, (_, index) =>
    simulator.addContact({ name: `Contato ${index}`, phone: `55119876${String(50_000 + index).slice(1)}0` }),
  );
  simulator.script(
    contacts
      .flatMap((_, index) =>
        [2, 1, 0].map((part) => ({ match: `pergunta ${index}-${part};`, text: `Resposta ${index}-${part}.`, repeat: true })),
      )
      .toReversed()
      .toSorted((a, b) => Number(b.match.at(-2)) - Number(a.match.at(-2))),
  );
  for (const each of [
    { target: 'claude', kind: 'status', status: 529, times: 4 },
    { target: 'send', kind: 'rate-limited', times: 2 },
    { target: 'send', kind: 'status', status: 500, times: 2 },
    { target: 'send', kind: 'drop', sent: true, times: 2 },
  ] as const)
    simulator.fault(each);
  const written: string[] = [];
  let kills = 0;
  for (const [index, contact] of contacts.entries()) {
    for (const part of [0, 1, 2]) {
      const { id } = simulator.inbound({ contactId: contact.id, text: `pergunta ${index}-${part};` });
      written.push(id);
      if (random.next() < 0.2) void simulator.repeatWebhook({ messageId: id });
    }
    // A kill now and then, of each mode, while the others go on.
    if (index % 6 !== 5) continue;
    const victims = [...running.keys()];
    const name = victims[Math.floor(random.next() * victims.length)] ?? 'worker-0';
    kills++;
    running.get(name)?.signal('SIGKILL');
    await running.get(name)?.ended;
    const [mode, which] = name.split('-') as ['api' | 'worker' | 'scheduler', string]; // keys are made above
    await launch(mode, Number(which));
  }

  await site.until(
    async () => (await inboundRows(site)).length === written.length && (await underWay(site)) === 0,
    'everything has ended',
    240_000,
  );
  const rows = await inboundRows(site);
  assert.deepEqual(rows.map((row) => row.provider_id).toSorted(), written.toSorted(), 'each is stored once');
  assert.deepEqual(
    rows.filter((row) => row.status !== 'answered').map((row) => `${row.status} ${row.reason}`),
    [],
  );
  const texts = simulator.sends({ sent: true }).map((send) => send.text);
  assert.equal(
    new Set(texts).size,
    texts.length,
    `twice on the wire: ${texts.filter((text, at) => texts.indexOf(text) !== at).join(' | ')}`,
  );
  // A burst has one answer, unless what a kill held back came when the others had theirs.
  const split = rows.filter((row, at) => {
    const before = rows[at - 1];
    if (before?.conversation_id !== row.conversation_id || before.turn_id === row.turn_id) return false;
    return Math.abs(row.created_at.getTime() - before.created_at.getTime()) < DEBOUNCE_MS;
  });
  assert.ok(split.length <= kills, `${split.length} bursts with two answers, ${kills} kills`);
  assert.deepEqual(await site.query(`select id from turns where status = 'open'`), []);
  assert.deepEqual(await site.query(`select job, tick from job_runs group by job, tick having count(*) > 1`), []);
});

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
