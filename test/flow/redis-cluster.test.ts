/** The queue on a real Redis Cluster of three masters, reached by the address of one of its nodes and nothing else. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { ensureRedisServer, startRedisCluster } from '../../scripts/lib/redis.ts';
import type { RedisCluster } from '../../scripts/lib/redis.ts';
import { openRedis as openClients } from '../../src/process/redis.ts';
import { within } from '../../src/process/wait.ts';
import { redisPrefix } from '../../src/queues.ts';
import { QUEUE_NAMES } from '../../src/words/queue-names.ts';
import { startSite } from '../support/site.ts';
import type { Site } from '../support/site.ts';
import { openRedis, startSystem } from '../support/system.ts';

/** Sweeps come every minute, and what a worker held when its node died is looked at after its lease. Milliseconds. */
const SWEPT_MS = 240_000;

/** What does not come by then never does. Milliseconds. */
const PATIENCE_MS = 30_000;

type Options = Omit<Parameters<typeof startRedisCluster>[0], 'dir'>;

/** Its caller stops it, after those who use it. */
async function openCluster(options: Options = {}): Promise<RedisCluster> {
  await ensureRedisServer();
  const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-cluster-'));
  const cluster = await startRedisCluster({ dir, ...options });
  return { ...cluster, stop: () => cluster.stop().then(() => rm(dir, { recursive: true, force: true })) };
}

let contacts = 0;
/** So many people write once each; their addresses. */
function write(site: Pick<Site, 'simulator'>, count: number): string[] {
  return Array.from({ length: count }, () => {
    const phone = `55119${80_000_000 + contacts++}`;
    const { id } = site.simulator.addContact({ name: `C${contacts}`, phone });
    site.simulator.inbound({ contactId: id, text: 'oi' });
    return `${phone}@s.whatsapp.net`;
  });
}

const answered = (site: Pick<Site, 'simulator'>): string[] =>
  site.simulator.sends({ kind: 'text', sent: true }).map(({ jid }) => jid ?? '');

async function allAnswered(site: Site, people: readonly string[]): Promise<void> {
  await site.until(() => people.every((jid) => answered(site).includes(jid)), 'an answer for everybody', SWEPT_MS);
  assert.deepEqual(answered(site).toSorted(), people.toSorted(), 'one for each, and for nobody twice');
  await site.until(
    async () => (await site.query(`select from messages where status in ('received', 'queued', 'sending')`)).length === 0,
    'nothing is under way',
  );
}

/** Evolution was never told to come again. */
function assertAccepted(site: Site): void {
  const statuses = new Set(site.simulator.wire().webhooks.map(({ status }) => status));
  assert.deepEqual(statuses, new Set([200]));
}

/** Resolves when this node has noticed that others are gone. */
async function untilDown(url: string): Promise<void> {
  const client = new Redis(url);
  while (!(await client.cluster('INFO')).includes('cluster_state:fail')) await delay(50);
  client.disconnect();
}

/** Without the scheduler nobody finds what a queue forgets: wake-ups themselves go their way again. */
async function assertWakes(site: Site, people: string[]): Promise<void> {
  const scheduler = site.processes.find(({ mode }) => mode === 'scheduler');
  scheduler?.signal('SIGTERM');
  assert.equal(await scheduler?.ended, 0);
  for (const { url } of site.processes.filter((each) => each !== scheduler)) assert.equal((await fetch(`${url}/ready`)).status, 200);
  people.push(...write(site, 20));
  await allAnswered(site, people);
}

async function installationOf(site: Site): Promise<string> {
  return (await site.query<{ id: string }>('select installation_id() as id'))[0]?.id ?? '';
}

test('X13 a Redis Cluster, by the address of any one of its nodes: messages are answered at once, each queue lives on one node, and all of them are looked at', async (t) => {
  const cluster = await openCluster();
  const started = cluster.nodes.map(({ url }) => startSystem(t, { workers: 2, env: { REDIS_URL: url } }));
  const systems = await Promise.all(started);
  t.after(() => cluster.stop());
  for (const system of systems) {
    system.simulator.script([{ text: 'Certo!', repeat: true }]);
    const people = write(system, 10);
    await system.until(() => answered(system).length >= people.length, 'the answers');
    assert.deepEqual(answered(system).toSorted(), people.toSorted());
    await system.ctx.queues.ping();
    assert.deepEqual(Object.keys(await system.ctx.queues.counts()), ['turn', 'send']);
    assert.deepEqual(
      system.lines
        .filter(({ level }) => level === 'WARNING' || level === 'ERROR' || level === 'CRITICAL')
        .map((line) => JSON.stringify(line)),
      [],
    );
  }
  const used = new Set<number>();
  for (const { ctx } of systems)
    for (const name of QUEUE_NAMES) used.add((await cluster.nodeOf(`${redisPrefix(ctx.queues.installation ?? '', name)}:`)).port);
  assert.ok(used.size > 1, 'the queues are spread over the nodes');
});

// Most of the time they wait, so they do it side by side.
describe('a cluster whose node is killed under load, and one that the queue moves to', { concurrency: true }, () => {
  test('X13 without a replica: webhooks are accepted while the cluster is down, a process that starts waits, and everybody is answered once when the node is back', async (t) => {
    const cluster = await openCluster();
    const site = await startSite(t);
    t.after(() => cluster.stop());
    // The worst case: the node that has the wake-ups, and whose address everybody was given.
    const node = await cluster.nodeOf(`${redisPrefix(await installationOf(site), 'turn')}:`);
    site.env['REDIS_URL'] = node.url;
    site.simulator.script([{ text: 'Certo!', repeat: true }]);
    await Promise.all([site.startReady('api'), site.startReady('worker'), site.startReady('worker'), site.startReady('scheduler')]);
    const people = write(site, 20);
    await site.until(() => answered(site).length > 2, 'the load');
    people.push(...write(site, 20));
    const { producer, consumer } = await openClients(node.url);
    await node.kill();
    people.push(...write(site, 20));
    const stored = async () => (await site.query(`select from messages where direction = 'in'`)).length === people.length;
    await site.until(stored, 'what was written meanwhile is stored');
    const other = cluster.nodes.find((each) => each !== node)?.url ?? '';
    await untilDown(other);
    const connected = consumer.connect();
    const late = await site.start('worker', { REDIS_URL: other });
    await late.line('Waiting for the queue');
    await node.restart();
    await late.line('worker ready');
    // A connection that was made while nothing worked.
    await within(PATIENCE_MS, connected);
    assert.equal(await consumer.exists('any'), 0);
    consumer.disconnect();
    producer.disconnect();
    people.push(...write(site, 20));
    await allAnswered(site, people);
    // All of it: nobody has a connection left, and what comes back is no whole cluster at first.
    await Promise.all(cluster.nodes.map((each) => each.kill()));
    people.push(...write(site, 10));
    for (const each of cluster.nodes) await each.restart();
    await allAnswered(site, people);
    await assertWakes(site, people);
    assertAccepted(site);
  });

  test('X13 with replicas: another node takes over, and nobody waits for the dead one', async (t) => {
    const cluster = await openCluster({ replicas: true });
    const site = await startSite(t);
    t.after(() => cluster.stop());
    const key = `${redisPrefix(await installationOf(site), 'turn')}:`;
    const node = await cluster.nodeOf(key);
    site.env['REDIS_URL'] = node.url;
    site.simulator.script([{ text: 'Certo!', repeat: true }]);
    await Promise.all([site.startReady('api'), site.startReady('worker'), site.startReady('worker'), site.startReady('scheduler')]);
    const { producer, consumer } = await openClients(node.url);
    const people = write(site, 20);
    await site.until(() => answered(site).length > 2, 'the load');
    await node.kill();
    people.push(...write(site, 20));
    await allAnswered(site, people);
    assert.notEqual((await cluster.nodeOf(key)).port, node.port);
    // A connection that is made again, as BullMQ does at times, finds the others although the address it was given is dead.
    await producer.connect();
    assert.equal(await producer.exists(key), 0);
    producer.disconnect();
    consumer.disconnect();
    await assertWakes(site, people);
    assertAccepted(site);
  });

  test('X13 the queue moves from one Redis to a cluster by REDIS_URL alone: what waited there is found', async (t) => {
    const [redis, cluster] = await Promise.all([openRedis(), openCluster()]);
    const site = await startSite(t, { env: { REDIS_URL: redis.url } });
    t.after(async () => void (await Promise.all([redis.stop(), cluster.stop()])));
    site.simulator.script([{ text: 'Certo!', repeat: true }]);
    const api = await site.startReady('api');
    const people = write(site, 5);
    await site.until(async () => (await site.query(`select from messages where direction = 'in'`)).length === 5, 'they wait for a worker');
    api.signal('SIGTERM');
    assert.equal(await api.ended, 0);
    site.env['REDIS_URL'] = cluster.url;
    await Promise.all([site.startReady('api'), site.startReady('worker'), site.startReady('scheduler')]);
    people.push(...write(site, 5));
    await allAnswered(site, people);
  });
});

test('X13 rediss:// with user and password goes to all nodes of a cluster', async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-certificate-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const [key, certificate] = [path.join(dir, 'key.pem'), path.join(dir, 'certificate.pem')];
  // For a day, of an address and nobody's name.
  const subject = ['-subj', '/CN=whats-agents of tests', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'];
  await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate, ...subject]);
  const cluster = await openCluster({
    address: { protocol: 'rediss:', user: 'julia', password: 'a-password-of-tests' },
    args: [
      `--tls-cert-file ${certificate} --tls-key-file ${key} --tls-ca-cert-file ${certificate} --tls-auth-clients no --tls-cluster yes`,
      '--user default off --user julia on >a-password-of-tests ~* &* +@all',
    ].flatMap((options) => options.split(' ')),
  });
  const site = await startSite(t, { env: { REDIS_URL: cluster.url, NODE_EXTRA_CA_CERTS: certificate } });
  t.after(() => cluster.stop());
  site.simulator.script([{ text: 'Certo!', repeat: true }]);
  await Promise.all([site.startReady('api'), site.startReady('worker')]);
  const people = write(site, 10);
  await allAnswered(site, people);
  for (const { stdout } of site.processes) assert.ok(!stdout.join('\n').includes('a-password-of-tests'));
});
