/** The first acceptance scenario of the specification (section 15): an hour of chaos in a minute, with real processes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SignJWT } from 'jose';
import type { Writer } from '../../chaos/conversations.ts';
import { judge } from '../../chaos/judge.ts';
import { settle } from '../../chaos/run-batch.ts';
import { createRandom } from '../../simulator/clock.ts';
import type { Random } from '../../simulator/clock.ts';
import type { Simulator } from '../../simulator/index.ts';
import type { Fault, FaultInput } from '../../simulator/types.ts';
import { startBalancer } from '../support/balancer.ts';
import type { Balancer } from '../support/balancer.ts';
import { startSite } from '../support/site.ts';
import type { ModeProcess, Site } from '../support/site.ts';
import { JWT_SECRET, WEBHOOK_SECRET } from '../support/system.ts';

const SEED = 20_261_127;
const MESSAGES = 1_000;
const BURST = 3;
/** From one burst to the next, each of another contact. */
const BURST_MS = 120;
/** A death each two seconds instead of twenty: an hour has 180 of them, and this must have some. */
const KILL_MS = 2_000;
const DEBOUNCE_MS = 1_000;
const REPEATED = 0.2;
const TROUBLED = 0.05;
/** What is looked up at Evolution because its worker died in the middle of it takes 100 s. */
const SETTLE_MS = 280_000;

const NUMBER = 'julia-dev';
/** The number of a campaign that runs meanwhile: its cap must hold too. */
const CAMPAIGN_NUMBER = 'campanha';
const CAMPAIGN = 60;
const CAP_HOUR = 20;

test('scenario 1 chaos hour: two of each mode, 1,000 messages in bursts, repeats, failing model and Evolution, kills: all stored, each burst answered once, limits held, nothing stuck', async (t) => {
  const site = await startSite(t, {
    env: {
      DEBOUNCE_MS: String(DEBOUNCE_MS),
      DEBOUNCE_MAX_MS: '5000',
      EVOLUTION_BREAKER_FAILURES: '1000',
      CLAUDE_BREAKER_FAILURES: '1000',
      EVOLUTION_BREAKER_RESET_SECONDS: '1',
      MAX_RESPOSTAS_POR_HORA: '100000',
      MAX_MSGS_POR_HORA: String(CAP_HOUR),
      LOG_LEVEL: 'INFO',
    },
    simulator: { instances: [NUMBER, CAMPAIGN_NUMBER], timeScale: 20, seed: SEED },
  });
  const { simulator } = site;
  const random = createRandom(SEED);
  const balancer = await startBalancer();
  t.after(() => balancer.close());
  const fleet = await startFleet(site, balancer);
  await site.query('insert into instances (name) values ($1) on conflict do nothing', [CAMPAIGN_NUMBER]);

  const { people, troubles } = openPeople(simulator, random);
  const writing = new AbortController();
  const kills = killNowAndThen(fleet, random, writing.signal);
  const campaign = runCampaign(balancer);
  for (const person of people) {
    person.writeBurst();
    await delay(BURST_MS);
  }
  await campaign;
  writing.abort();
  await kills;
  const writers = people.map(({ writer }) => writer);
  const written = writers.flatMap((writer) => writer.written.map(({ id }) => id));
  assert.equal(written.length, MESSAGES);

  const { signal } = new AbortController();
  await settle(site, NUMBER, writers, SETTLE_MS, signal);
  // Whoever has answered already is asked once more.
  for (const messageId of written) assert.deepEqual(await simulator.repeatWebhook({ messageId }), [200]);
  await settle(site, NUMBER, writers, SETTLE_MS, signal);

  const { inbound, answered, lost, doubled, reordered, wrong } = await judge(site, NUMBER, writers);
  assert.ok(wrong.length === 0, [...wrong, JSON.stringify(await site.query(TALKS, [wrong.join('\n')]), null, 1)].join('\n'));
  const struck = await struckTwice(site, fleet.killed);
  assert.deepEqual(
    { inbound, answered: answered + struck, lost, doubled, reordered },
    { inbound: MESSAGES, answered: MESSAGES, lost: 0, doubled: 0, reordered: 0 },
    JSON.stringify(await site.query(UNANSWERED, [NUMBER]), null, 1),
  );
  const killed = fleet.killed.length;
  const split = await splitBursts(site);
  // A burst has one answer, unless what a kill held back came when the others had theirs.
  assert.ok(split.length <= killed, `${split.length} bursts with two answers, ${killed} kills`);
  assert.deepEqual(await site.query(`select id from turns where status = 'open'`), []);
  assert.deepEqual(await site.query(`select job, tick from job_runs group by job, tick having count(*) > 1`), []);

  const offers = simulator.sends({ instance: CAMPAIGN_NUMBER, sent: true }).map(({ text }) => text);
  assert.equal(new Set(offers).size, offers.length, 'no offer twice');
  assert.ok(offers.length > 0 && offers.length <= CAP_HOUR, `${offers.length} offers within the hour`);
  const met = troubles.filter(({ times }) => times === 0).length;
  assert.ok(met > MESSAGES / BURST / 20, `${met} of ${troubles.length} troubles came true`);
  t.diagnostic(
    `${killed} kills, ${met} failures of model and Evolution, ${split.length} bursts with two answers, ${struck} messages of twice lost turns, ${offers.length} offers`,
  );
});

/**
 * Messages that a person has because two workers died in the middle of answering them: who has waited for a minute hears of it (I14). An hour hardly has one, as its
 * deaths are ten times as far apart and a lease is as long.
 */
async function struckTwice(site: Site, killed: readonly number[]): Promise<number> {
  const rows = await site.query(
    `select m.id from messages m join instances i on i.id = m.instance_id
     where i.name = $1 and m.direction = 'in' and m.status = 'handed_over' and m.reason = 'turn_failed'
       and (select count(distinct t.worker) from turns t where t.conversation_id = m.conversation_id and t.status = 'expired'
         and substring(t.worker from '-(\\d+)-[0-9a-f]+$')::int = any ($2)) >= 2`,
    [NUMBER, killed],
  );
  return rows.length;
}

/** What came of whatever has no answer, of what was to be its answer, and of the turns. */
const UNANSWERED = `select m.text, m.status, m.reason, o.status as answer, o.reason as because, o.attempts, o.text as words,
    (select jsonb_agg(jsonb_build_array(t.status, t.reason, t.worker, t.started_at, t.lease_until, t.ended_at) order by t.id) from turns t where t.conversation_id = m.conversation_id) as turns
  from messages m join instances i on i.id = m.instance_id
  left join messages o on o.conversation_id = m.conversation_id and o.direction = 'out'
  where i.name = $1 and m.direction = 'in' and (m.status <> 'answered' or o.status not in ('sent', 'delivered', 'read'))`;

/** All that was said in the conversations of which something is wrong. */
const TALKS = `select c.jid, m.seq, m.direction, m.status, m.reason, m.attempts, m.turn_id, m.text, m.provider_at, m.created_at, m.claimed_at, c.superseded_in_row
  from messages m join conversations c on c.id = m.conversation_id where position(c.jid in $1) > 0 order by m.conversation_id, m.seq`;

/** Contacts that got more than one answer, although what they wrote came within the debounce. */
async function splitBursts(site: Site): Promise<Record<string, unknown>[]> {
  return site.query(
    `select m.conversation_id from messages m join instances i on i.id = m.instance_id where i.name = $1 and m.direction = 'in'
     group by m.conversation_id having count(distinct m.turn_id) > 1 and max(m.created_at) - min(m.created_at) < make_interval(secs => $2)`,
    [NUMBER, DEBOUNCE_MS / 1000],
  );
}

type Fleet = {
  names: string[];
  /** Processes that were killed. */
  killed: number[];
  kill(name: string): Promise<void>;
};

/** Two of each mode. A process that is killed gets a successor at once, and the others go on meanwhile. */
async function startFleet(site: Site, balancer: Balancer): Promise<Fleet> {
  const running = new Map<string, ModeProcess>();
  const killed: number[] = [];
  const launch = async (mode: 'api' | 'worker' | 'scheduler', which: number): Promise<void> => {
    const started = await site.start(mode);
    // The site has pointed Evolution at the new api itself, which does not listen yet.
    site.simulator.setWebhook(`${balancer.url}/webhook/evolution`, WEBHOOK_SECRET);
    running.set(`${mode}-${which}`, started);
    await started.line(`${mode} ready`);
    if (mode === 'api') balancer.upstreams[which] = started.url;
  };
  await Promise.all((['api', 'worker', 'scheduler'] as const).flatMap((mode) => [launch(mode, 0), launch(mode, 1)]));
  return {
    names: [...running.keys()],
    killed,
    async kill(name) {
      killed.push(running.get(name)?.pid ?? 0);
      running.get(name)?.signal('SIGKILL');
      await running.get(name)?.ended;
      const [mode, which] = name.split('-') as ['api' | 'worker' | 'scheduler', string]; // keys are made above
      await launch(mode, Number(which));
    },
  };
}

/** Orders offers at the api, as another program would: with a key, and again with the same key when nobody answers. */
async function runCampaign(balancer: Balancer): Promise<void> {
  const token = await new SignJWT({ role: 'admin', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('campaign')
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(JWT_SECRET));
  for (let offer = 0; offer < CAMPAIGN; offer++) {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'idempotency-key': `offer-${offer}` };
    const body = JSON.stringify({ to: `55118${70_000_000 + offer}`, text: `Oferta ${offer}`, kind: 'campaign', instance: CAMPAIGN_NUMBER });
    for (;;) {
      const { status } = await fetch(`${balancer.url}/api/messages`, { method: 'POST', headers, body });
      if (status < 300) break;
      assert.ok(status >= 500, `POST /api/messages answered ${status}`);
      await delay(BURST_MS);
    }
    await delay((MESSAGES / BURST / CAMPAIGN) * BURST_MS);
  }
}

async function killNowAndThen(fleet: Fleet, random: Random, until: AbortSignal): Promise<void> {
  for (;;) {
    await delay(KILL_MS, undefined, { signal: until }).catch(() => {});
    if (until.aborted) return;
    await fleet.kill(fleet.names[Math.floor(random.next() * fleet.names.length)] ?? 'worker-0');
  }
}

/** One burst a person. The newest message of a burst is what the model answers to; some answers fail, and some do not leave at first, or leave without Evolution saying so. */
function openPeople(simulator: Simulator, random: Random): { people: { writer: Writer; writeBurst(): void }[]; troubles: Fault[] } {
  const people = Array.from({ length: Math.ceil(MESSAGES / BURST) }, (_, index) => {
    const phone = `551198${1_000_000 + index}`;
    const { id: contactId } = simulator.addContact({ name: `Contato ${index}`, phone });
    const parts = Array.from({ length: Math.min(BURST, MESSAGES - index * BURST) }, (_, part) => {
      const tag = `pergunta ${index}-${part};`;
      return { tag, answer: `Resposta à ${tag}` };
    });
    const writer: Writer = { instance: NUMBER, jid: `${phone}@s.whatsapp.net`, written: [] };
    return {
      parts,
      writer,
      writeBurst() {
        for (const part of parts) {
          const { id } = simulator.inbound({ instance: NUMBER, contactId, text: part.tag });
          writer.written.push({ id, ...part });
          if (random.next() < REPEATED) void simulator.repeatWebhook({ messageId: id });
        }
      },
    };
  });
  simulator.script(
    people.flatMap(({ parts }) => parts.toReversed().map(({ tag, answer }) => ({ match: tag, text: answer, repeat: true }))),
  );
  const kinds = [
    { kind: 'rate-limited' },
    { kind: 'status', status: 500 },
    { kind: 'drop', sent: true },
    { kind: 'timed-out', sent: true },
  ];
  const troubles = people.flatMap(({ parts }) => {
    const match = { text: parts.at(-1)?.tag ?? '' };
    const kind = kinds[Math.floor(random.next() * kinds.length)] ?? { kind: 'drop' };
    const planned: FaultInput[] = [
      { target: 'claude', kind: 'status', status: 529, match },
      { target: 'send', ...kind, match },
    ];
    return planned.filter(() => random.next() < TROUBLED).map((input) => simulator.fault(input));
  });
  return { people, troubles };
}
