/** Bad bodies by the hundred, bad neighbours, and a database that is away. */
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { removePostgresData, startPostgres } from '../../scripts/lib/embedded-postgres.ts';
import { DatabaseAway } from '../../src/db/failures.ts';
import { migrate } from '../../src/db/migrate.ts';
import { openEnvelopes } from '../../src/whatsapp/envelope.ts';
import { FUZZ, fuzzed, recent } from '../support/fuzz.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

/** JSON that JSON.stringify cannot write, and a gateway may. */
const UNWRITABLE: Readonly<Record<string, string>> = {
  lists: `"message":${'['.repeat(90_000)}${']'.repeat(90_000)}`,
  wrappers: `"message":${'{"ephemeralMessage":{"message":'.repeat(45_000)}1${'}}'.repeat(45_000)}`,
  'beside the message': `"message":{"conversation":"oi"},"deep":${'{"a":'.repeat(90_000)}1${'}'.repeat(90_000)}`,
  'numbers beyond all': `"message":{"conversation":"oi","n":1e400,"m":-1e400,"z":-0},"messageTimestamp":1e400`,
  'digits without end': `"message":{"locationMessage":{"degreesLatitude":${'9'.repeat(5_000)},"degreesLongitude":-0.${'0'.repeat(5_000)}1}}`,
  'one name twice': `"message":{"conversation":"um"},"message":{"conversation":"dois"}`,
  'a name of nothing': `"message":{"":"oi","\\u0000":{"\\ud800":"x"}}`,
};
/** The numbers of the recordings. */
const RECORDED = ['wa1', 'evo1', 'meta1', 'julia'];
/** A quarter of what the reader alone is shown: each is a transaction, and those that say something are answered. */
const POSTED = Math.ceil(FUZZ.runs / 4);
/** Posted side by side, as Evolution does. */
const GROUP = 25;

test(`W5 W9 H11 fuzz of the door: ${POSTED} changed recordings from seed ${FUZZ.seed} are all 200, or 400 where no event is left, nothing of them stops a turn, and the good ones among them are answered`, async (t) => {
  const system = await startSystem(t, {
    workers: 0,
    env: { DEBOUNCE_MS: '0' },
    simulator: { instances: [INSTANCE, ...RECORDED], ackMs: null },
  });
  // Of numbers that nobody registered nothing would reach the functions that store it.
  await system.query('insert into instances (name) select unnest($1::text[])', [RECORDED]);
  system.simulator.setWebhook(null);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const refused: string[] = [];
  let withoutEvent = 0;
  for (let start = 0; start < POSTED; start += GROUP) {
    const seeds = Array.from({ length: Math.min(GROUP, POSTED - start) }, (_, index) => FUZZ.seed + start + index);
    await Promise.all(
      seeds.map(async (seed) => {
        const body = recent(fuzzed(seed));
        const response = await system.webhook(body);
        await response.arrayBuffer();
        const right = openEnvelopes(JSON.parse(JSON.stringify(body)), null).ok ? 200 : 400;
        if (right === 400) withoutEvent += 1;
        if (response.status !== right) refused.push(`seed ${seed}: ${response.status}`);
      }),
    );
    assert.equal((await system.webhook(upsert(`GOOD${start}`, `boa ${start}`, start))).status, 200);
  }
  for (const [name, data] of Object.entries(UNWRITABLE)) {
    const text = `{"event":"messages.upsert","instance":"wa1","data":{"key":{"remoteJid":"5511988887777@s.whatsapp.net","fromMe":false,"id":"RAW"},${data}}}`;
    const response = await system.webhook(text);
    if (response.status !== 200) refused.push(`${name}: ${response.status}`);
  }
  assert.deepEqual(refused, []);
  assert.ok(withoutEvent < POSTED / 5, 'an event has seldom lost its name');
  const reached = await system.query<{ outcome: string }>(
    `select distinct result ->> 'outcome' as outcome from webhook_events, jsonb_array_elements(results) result where instance = any ($1)`,
    [RECORDED],
  );
  const outcomes = new Set(reached.map(({ outcome }) => outcome));
  for (const outcome of ['stored', 'context', 'early', 'connection', 'duplicate'])
    assert.ok(outcomes.has(outcome), `${outcome} was not reached`);

  // Some of them said that a number is closed.
  await system.query(`update instances set status = 'open'`);
  await system.addWorker();
  await system.until(async () => {
    const [row] = await system.query<{ left: number }>(`select count(*)::int as left from messages where status = 'received'`);
    return row?.left === 0;
  }, 'an outcome of all that was stored');
  const good = await system.query(`select status, count(*)::int as n from messages where provider_id like 'GOOD%' group by 1`);
  assert.deepEqual(good, [{ status: 'answered', n: Math.ceil(POSTED / GROUP) }]);
  assert.deepEqual(await system.query(`select reason, count(*)::int as n from handoffs group by 1`), []);
  assert.equal((await fetch(`${system.url}/health`)).status, 200);
});

test('I18 neighbours: of 60 webhooks at once the ones that the database refuses fail alone, and the rest is stored', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`alter table messages add constraint poisoned check (text <> 'veneno')`);
  const texts = Array.from({ length: 60 }, (_, index) => (index % 20 === 7 ? 'veneno' : `texto ${index}`));
  const statuses = await Promise.all(texts.map(async (text, index) => (await system.webhook(upsert(`M${index}`, text, index))).status));
  assert.deepEqual(
    statuses,
    texts.map((text) => (text === 'veneno' ? 500 : 200)),
  );
  const [stored] = await system.query<{ n: number }>('select count(*)::int as n from messages');
  assert.equal(stored?.n, 57);
});

test('H11 database away: before the call or after it, the answer is 503, the repeat is stored once, and it is answered once', async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const { db } = system.ctx;
  const real = db.call.bind(db);
  for (const when of ['before', 'after'] as const) {
    let away = 2;
    db.call = async (name, args) => {
      const ours = name === 'record_inbound' && JSON.stringify(args).includes(`"providerId":"${when}"`);
      if (!ours || away-- <= 0) return await real(name, args);
      if (when === 'after') await real(name, args);
      throw new DatabaseAway(name, 'cut by the test');
    };
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      const response = await system.webhook(upsert(when, `oi ${when}`));
      statuses.push(response.status);
      if (response.status === 503) assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'unavailable');
    }
    assert.deepEqual(statuses, [503, 503, 200], when);
    await system.until(() => system.simulator.sends({ sent: true }).length === (when === 'before' ? 1 : 2), 'the answer');
  }
  await answeredOnce(system, ['oi before', 'oi after']);
});

test('H11 database away: connections that are cut during a burst give 503, and what Evolution repeats is stored exactly once', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const post = async (index: number): Promise<number> => (await system.webhook(upsert(`M${index}`, `texto ${index}`, index % 10))).status;
  let cut = 0;
  const statuses = await Promise.all(
    Array.from({ length: 150 }, async (_, index) => {
      if (index % 30 === 15) {
        const rows = await system.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'whats-agents'`,
        );
        cut += rows.length;
      }
      for (let attempt = 0; attempt < 30; attempt++) {
        const status = await post(index);
        assert.ok(status === 200 || status === 503, `status ${status}`);
        if (status === 200) return attempt;
      }
      return -1;
    }),
  );
  assert.ok(cut > 0, 'something was cut');
  assert.ok(
    statuses.every((attempts) => attempts >= 0),
    'all taken in the end',
  );
  const [stored] = await system.query<{ n: number; ids: number }>(
    'select count(*)::int as n, count(distinct provider_id)::int as ids from messages',
  );
  assert.deepEqual(stored, { n: 150, ids: 150 });
});

test('H11 database away: Postgres stops and comes back under the whole product: 503 meanwhile, then all is answered by itself', async (t) => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'whats-agents-away-'));
  const postgres = await startPostgres({ dataDir, durable: false });
  t.after(async () => {
    await postgres.stop();
    await removePostgresData(dataDir);
  });
  await migrate(postgres.url);
  const system = await startSystem(t, { databaseUrl: postgres.url, simulator: { timeScale: 100 } });
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.inbound({ contactId: maria.id, text: 'antes' });
  await system.until(async () => (await system.dump()).at(-1)?.startsWith('out agent delivered'), 'the first answer');
  // A job that is cut off in its middle is taken up only when its lock has run out: that is a test of the queue, not of the webhook.
  await queuesIdle(system);

  await postgres.stop();
  assert.equal((await system.webhook(upsert('BYHAND', 'durante'))).status, 503);
  assert.equal((await fetch(`${system.url}/health`)).status, 200, 'the api lives');
  const during = system.simulator.inbound({ contactId: maria.id, text: 'durante' });
  await system.simulator.waitFor(
    (wire) => wire.webhooks.some((webhook) => webhook.messageId === during.id && webhook.status === 503),
    20_000,
  );
  await postgres.restart();
  await system.simulator.waitFor(
    (wire) => wire.webhooks.some((webhook) => webhook.messageId === during.id && webhook.status === 200),
    20_000,
  );
  await system.until(() => system.simulator.sends({ sent: true }).length === 2, 'the second answer');
  await answeredOnce(system, ['antes', 'durante']);
  // The pool of the system is closed before the server.
  await system.close();
});

function upsert(id: string, text: string, person = 0): Record<string, unknown> {
  const remoteJid = `55119123${String(45_000 + person)}@s.whatsapp.net`;
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid, fromMe: false, id },
      message: { conversation: text },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
}

async function queuesIdle(system: System): Promise<void> {
  for (;;) {
    const counts = Object.values(await system.ctx.queues.counts()).flatMap((queue) => Object.values(queue));
    if (counts.every((count) => count === 0)) return;
  }
}

/** Each of these texts is stored and answered once, and nothing else was sent. */
async function answeredOnce(system: System, texts: string[]): Promise<void> {
  assert.deepEqual(
    (await system.dump()).filter((line) => line.startsWith('in ')),
    texts.map((text) => `in contact answered: ${text}`),
  );
  assert.equal(system.simulator.sends({ sent: true }).length, texts.length);
}
