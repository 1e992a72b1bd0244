/** Campaigns from a list to their report: over the API, while workers are killed, and with the button pressed in the middle. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { campaignsJob } from '../../src/crons/campaigns.ts';
import { sweepSends } from '../../src/outbox/calls.ts';
import { aRun } from '../support/jobs.ts';
import { startProgram } from '../support/process.ts';
import type { Program } from '../support/process.ts';
import { JWT_SECRET, startSystem, testEnvironment } from '../support/system.ts';
import type { System, SystemOptions } from '../support/system.ts';

const FREE = { MAX_MSGS_POR_HORA: '100000', MAX_MSGS_POR_DIA: '100000', NOME_EMPRESA: 'Loja Pitanga' };
/** The whole thing takes minutes: CAMPAIGN_KILLS=20 with 500 recipients is for who changed something here. */
const KILLS = Number(process.env['CAMPAIGN_KILLS'] ?? 3);
const RECIPIENTS = KILLS * 25;
/** Messages that one worker sends at a time: so many may be in doubt when it dies. */
const AT_ONCE = 2;

type Answer = { status: number; body: Record<string, unknown> };

async function api(system: System): Promise<(method: string, path: string, body?: unknown) => Promise<Answer>> {
  const token = await new SignJWT({ role: 'operator', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('loja')
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(JWT_SECRET));
  return async (method, path, body) => {
    const answer = await fetch(system.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Answer['body'] };
  };
}

const csv = (lines: string[]) => ({ name: 'lista.csv', base64: Buffer.from(lines.join('\n')).toString('base64') });
const people = (count: number) => csv(['telefone;nome', ...Array.from({ length: count }, (_, n) => `55119${86_000_000 + n};Pessoa ${n}`)]);
const outcomes = async (ask: Awaited<ReturnType<typeof api>>, name: string) =>
  (await ask('GET', `/api/campaigns/${name}`)).body['outcomes'] as Record<string, number>;

test('M3 M4 a campaign from a list to its report: each row told, a preview, a start, its messages, what came of it', async (t) => {
  const system = await startSystem(t, { workers: 1, env: FREE });
  const ask = await api(system);
  const wrong = await ask('POST', '/api/campaigns', { name: 'natal', text: 'Oi {cliente}', tag: 'vip' });
  assert.equal(wrong.status, 400);
  assert.match(JSON.stringify(wrong.body), /\{cliente\}/);
  assert.equal((await ask('POST', '/api/campaigns', { name: 'natal', text: 'Oi' })).status, 400, 'for nobody');
  assert.equal((await ask('POST', '/api/campaigns', { name: 'Natal 1', text: 'Oi', tag: 'vip' })).status, 400);
  const made = await ask('POST', '/api/campaigns', {
    name: 'natal',
    text: 'Oi {primeiro_nome}, a {loja} abre no sábado!',
    file: csv(['nome,telefone', 'Maria Silva,11 98600-0001', 'Zé,98600-0002', 'Bia,11 98600-0001', 'Eva,11 98600-0003', 'Lia,xx']),
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.deepEqual(made.body['list'], {
    tag: 'lista:natal',
    added: 2,
    known: 0,
    opted_out: 0,
    rows: 5,
    guessed_encoding: false,
    refused: [
      { line: 3, fate: 'no_area_code', given: '98600-0002', of: null },
      { line: 4, fate: 'duplicate', given: '11 98600-0001', of: 2 },
      { line: 6, fate: 'no_phone', given: 'xx', of: null },
    ],
  });
  const seen = await ask('POST', `/api/campaigns/${String(made.body['id'])}/preview`);
  assert.deepEqual([seen.status, seen.body['goes'], seen.body['numbers']], [200, 2, [system.config.evolution?.instance]]);
  assert.equal((await ask('POST', '/api/campaigns/pascoa/start')).status, 404);
  assert.equal((await ask('POST', '/api/campaigns/natal/start', { at: 'amanhã' })).status, 400);
  assert.equal((await ask('POST', '/api/campaigns/natal/start')).status, 200);
  assert.equal((await ask('POST', '/api/campaigns/natal/start')).status, 409);
  await campaignsJob.run(system.ctx, aRun());
  await system.until(async () => (await outcomes(ask, 'natal'))['delivered'] === 2, 'both to arrive');
  assert.deepEqual(
    system.simulator
      .sends()
      .map(({ text }) => text)
      .toSorted(),
    ['Oi Eva, a Loja Pitanga abre no sábado!', 'Oi Maria, a Loja Pitanga abre no sábado!'],
  );
  await campaignsJob.run(system.ctx, aRun());
  const report = (await ask('GET', '/api/campaigns/natal')).body;
  assert.deepEqual([report['status'], report['replies'], report['opt_outs']], ['done', 0, 0]);
  const list = (await ask('GET', '/api/campaigns')).body['campaigns'] as object[];
  assert.equal(list.length, 1);
});

test(`M3 kills: ${RECIPIENTS} recipients, ${KILLS} workers killed on the way: each has one outcome, and none is written to twice`, async (t) => {
  const system = await startSystem(t, { queue: 'redis', workers: 0, env: FREE, simulator: { ackMs: null } });
  system.simulator.setWebhook(null); // echoes have tests of their own, here they only take time
  const ask = await api(system);
  assert.equal((await ask('POST', '/api/campaigns', { name: 'natal', text: 'Oi {nome}!', file: people(RECIPIENTS) })).status, 201);
  assert.equal((await ask('POST', '/api/campaigns/natal/start')).status, 200);
  const env = {
    ...testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: system.redis?.url ?? null, simulator: system.simulator }),
    ...FREE,
    RUN_MODE: 'worker',
    WORKER_CONCURRENCY: String(AT_ONCE),
  };
  const alive: Program[] = [];
  const start = async () => {
    const worker = startProgram(t, 'src/main.ts', { env });
    alive.push(worker);
    await worker.line('Worker started');
  };
  // Two schedulers at once, as after a restart that overlaps.
  const feed = async () => {
    await Promise.all([campaignsJob.run(system.ctx, aRun()), campaignsJob.run(system.ctx, aRun())]);
    for (const lane of await sweepSends(system.ctx.db, 500)) await system.ctx.queues.wakeSend(lane);
  };
  await Promise.all([start(), start()]);
  await feed();
  for (let killed = 0; killed < KILLS; killed++) {
    const until = Math.round(((killed + 0.5) * RECIPIENTS) / KILLS);
    await system.until(async () => {
      // What a dead worker had taken from the queue comes back by the sweep.
      await feed();
      const { waiting = 0, queued = 0 } = await outcomes(ask, 'natal');
      return system.simulator.sends().length >= until || waiting + queued === 0;
    }, `${until} sends`);
    const victim = alive.shift();
    victim?.signal('SIGKILL');
    await victim?.ended;
    await system.redis?.flush();
    await start();
    await feed();
  }
  // What died with a worker has a lease of half a minute; the moment of its end is brought forward.
  await system.until(async () => {
    await system.query(
      `update messages set lease_until = now(), claimed_at = claimed_at - interval '3 minutes' where status = 'sending' and claimed_at < now() - interval '5 seconds'`,
    );
    await system.query(`update messages set due_at = now() where status = 'uncertain' and due_at > now()`);
    await feed();
    const found = await outcomes(ask, 'natal');
    return (found['waiting'] ?? 0) + (found['queued'] ?? 0) + (found['sending'] ?? 0) + (found['uncertain'] ?? 0) === 0;
  }, 'all to have an outcome');
  const found = await outcomes(ask, 'natal');
  assert.equal(
    Object.values(found).reduce((sum, n) => sum + n, 0),
    RECIPIENTS,
    JSON.stringify(found),
  );
  const wire = system.simulator.sends({ sent: true }).map(({ text }) => text);
  assert.equal(new Set(wire).size, wire.length, 'somebody twice');
  // What was between the call and its word when a worker died may stay in doubt, and is listed to a person.
  assert.ok((found['sent'] ?? 0) >= RECIPIENTS - AT_ONCE * KILLS, JSON.stringify(found));
});

test('M3 A5 a campaign paused in the middle: at most one message a worker still leaves; it goes on where it was', async (t) => {
  const options: SystemOptions = { queue: 'redis', workers: 4, env: { ...FREE, WORKER_CONCURRENCY: '1' }, simulator: { ackMs: null } };
  const system = await startSystem(t, options);
  system.simulator.setWebhook(null);
  const ask = await api(system);
  await ask('POST', '/api/campaigns', { name: 'natal', text: 'Oi {nome}!', file: people(90) });
  await ask('POST', '/api/campaigns/natal/start');
  await campaignsJob.run(system.ctx, aRun());
  await system.simulator.waitFor((wire) => wire.sends.length >= 20, 60_000);
  assert.equal((await ask('POST', '/api/campaigns/natal/pause', { reason: 'preço errado' })).status, 200);
  const left = system.simulator.sends().length;
  await system.until(async () => {
    const [busy] = await system.query<{ n: number }>(
      `select count(*)::int as n from messages where status = 'sending' or (status = 'queued' and reason is distinct from 'paused_campaign')`,
    );
    return busy?.n === 0;
  }, 'all to be held');
  assert.ok(system.simulator.sends().length - left <= 4, `${system.simulator.sends().length - left} left after the pause`);
  assert.ok(left < 80);
  assert.equal(await campaignsJob.run(system.ctx, aRun()), 0);
  assert.equal((await ask('POST', '/api/campaigns/natal/resume')).status, 200);
  await system.until(async () => (await outcomes(ask, 'natal'))['sent'] === 90, 'all to leave');
  const wire = system.simulator.sends({ sent: true }).map(({ text }) => text);
  assert.equal(new Set(wire).size, 90);
});
