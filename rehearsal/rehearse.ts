/**
 * A stored day on today's code: each webhook goes through `receive` at its moment, turns and sends follow on a virtual clock, and what is decided is compared with what
 * was. Nothing leaves: the model says what was said that day, and the wire takes everything under the id that it had.
 */
import { createRandom } from '../simulator/clock.ts';
import { openSimulatedDatabase } from '../simulation/database.ts';
import type { SimulatedDatabase } from '../simulation/database.ts';
import { atRest, installTime, outside, within } from '../simulation/time.ts';
import type { Clockwork } from '../simulation/time.ts';
import { openContext } from '../src/context.ts';
import type { Door } from '../src/db/door.ts';
import { store } from '../src/inbox/receive.ts';
import { createLogger } from '../src/process/log.ts';
import { parseWebhook } from '../src/whatsapp/payload.ts';
import { redact } from '../src/whatsapp/redact.ts';
import { startWorker } from '../src/worker.ts';
import { configOf, modelOf, queuesOf, wireOf } from './outside.ts';
import type { StoredDay, StoredEvent } from './stored.ts';

/** `what`: an event of a webhook, or a contact's message. */
export type Difference = { what: 'event' | 'message'; id: string; at: string; was: string; is: string };
export type Rehearsal = { events: number; messages: number; differences: Difference[] };

/** After the last webhook everything has so long to come to its end. Milliseconds. */
const PEACE_MS = 15 * 60_000;
/** After so many webhooks dead rows go, and the planner learns of the new ones. */
const TIDY_EVERY = 1_500;
/** And what is told of the last sends comes within so long. Milliseconds. */
const NEWS_MS = 120_000;
const SILENT = createLogger({ level: 'CRITICAL', service: 'rehearsal', pretty: false, destination: { write: () => {} } });

type Planned = { at: number; no: number; run: () => void };

/** `env`: the configuration of today, where it is not what a rehearsal brings itself. */
export async function rehearse(day: StoredDay, env: NodeJS.ProcessEnv = {}): Promise<Rehearsal> {
  installTime();
  const database = await openSimulatedDatabase();
  try {
    return await onDatabase(database, day, env);
  } finally {
    await database.close();
  }
}

async function onDatabase(database: SimulatedDatabase, day: StoredDay, env: NodeJS.ProcessEnv): Promise<Rehearsal> {
  await takeOver(database, day);
  const first = day.events[0];
  const differences: Difference[] = [];
  if (first === undefined) return { events: 0, messages: 0, differences };
  const random = createRandom(1);
  let now = first.received_at.getTime() - 1_000;
  let count = 0;
  /** Calls of the database. */
  const underWay = new Set<Promise<void>>();
  let planned: Planned[] = [];
  const plan = (ms: number, run: () => void): (() => void) => {
    const one = { at: now + Math.max(0, Math.ceil(ms)), no: count++, run };
    planned.push(one);
    return () => void (planned = planned.filter((each) => each !== one));
  };
  const clockwork: Clockwork = {
    now: () => now,
    random: () => random.next(),
    // What comes again and again looks for what was forgotten: here nothing is.
    after: (ms, run, every) => (every ? () => {} : plan(ms, () => within(clockwork, run))),
  };
  const settled = async (): Promise<void> => {
    await atRest();
    while (underWay.size > 0) {
      await Promise.race(underWay);
      await atRest();
    }
  };
  /** Runs all that is due until then, in its order. */
  const until = async (to: number): Promise<void> => {
    await settled();
    for (;;) {
      const next = planned.reduce<Planned | null>(
        (best, each) => (best === null || each.at < best.at || (each.at === best.at && each.no < best.no) ? each : best),
        null,
      );
      if (next === null || next.at > to) break;
      planned = planned.filter((each) => each !== next);
      now = Math.max(now, next.at);
      next.run();
      await settled();
    }
    now = Math.max(now, to);
  };
  const door: Door = {
    call(name, args) {
      const call = outside(async () => {
        await database.setNow(now);
        return database.door.call(name, args);
      });
      const ended = call.then(
        () => {},
        () => {},
      );
      underWay.add(ended);
      void ended.then(() => underWay.delete(ended));
      return call;
    },
    close: () => Promise.resolve(),
  };
  const wire = wireOf(day.messages);
  const ours = new Set(
    day.messages.flatMap(({ direction, provider_id: id, author }) =>
      direction === 'out' && author === 'agent' && id !== null ? [id] : [],
    ),
  );
  const ctx = await within(clockwork, () =>
    openContext(configOf(env, first.instance), SILENT, {
      overrides: {
        db: door,
        queues: queuesOf(plan, clockwork),
        llm: modelOf(day.messages),
        http: wire.call,
        random: () => random.next(),
      },
    }),
  );
  await within(clockwork, () => startWorker(ctx));
  let seen = 0;
  const take = async (event: StoredEvent): Promise<void> => {
    const results = await within(clockwork, () => post(event));
    for (const [index, was] of (event.results ?? []).entries()) {
      seen += 1;
      const [before, after] = [inWords(was), inWords(results[index])];
      if (before !== after)
        differences.push({ what: 'event', id: `${event.id}.${index}`, at: event.received_at.toISOString(), was: before, is: after });
    }
  };
  /** News of what has not left here yet: a lane may be slower than it was by the seconds for which somebody is seen typing. */
  let early: StoredEvent[] = [];
  const takeEarly = async (all: boolean): Promise<void> => {
    const [ready, rest] = [early.filter((event) => all || !isEarly(event)), early.filter((event) => !all && isEarly(event))];
    early = rest;
    for (const event of ready) await take(event);
  };
  for (const [at, event] of day.events.entries()) {
    // what autovacuum does elsewhere
    if (at > 0 && at % TIDY_EVERY === 0) await database.query('vacuum analyze');
    await until(event.received_at.getTime());
    if (early.length > 0) await takeEarly(false);
    if (isEarly(event)) early.push(event);
    else await take(event);
  }
  await until(now + NEWS_MS);
  await takeEarly(false);
  await until(now + PEACE_MS);
  await takeEarly(true);
  const decided = new Map(
    (
      await database.query<{ provider_id: string; status: string; reason: string | null }>(
        `select provider_id, status, reason from messages where direction = 'in' and provider_id is not null`,
      )
    ).map((row) => [row.provider_id, row]),
  );
  const said = day.messages.filter(({ direction, provider_id: id }) => direction === 'in' && id !== null);
  for (const was of said) {
    const is = decided.get(was.provider_id ?? '');
    const [before, after] = [decision(was), is === undefined ? 'not stored' : decision(is)];
    if (before !== after) differences.push({ what: 'message', id: was.provider_id ?? '', at: '', was: before, is: after });
  }
  return { events: seen, messages: said.length, differences };

  function isEarly({ body, event }: StoredEvent): boolean {
    return parseWebhook(body, event, new Date(now), Number.MAX_SAFE_INTEGER).some(
      (each) => 'providerId' in each && each.providerId !== null && ours.has(each.providerId) && !wire.sent.has(each.providerId),
    );
  }

  async function post({
    id,
    instance,
    event,
    body,
    posted_by: from,
  }: StoredEvent): Promise<{ outcome: string; reason?: string | null | undefined }[]> {
    const events = parseWebhook(body, event, new Date(now), Number.MAX_SAFE_INTEGER);
    const answer = await store(ctx, { requestId: `rehearsal-${id}`, instance, event, raw: redact(body), from, events });
    await settled();
    return answer;
  }
}

function inWords(result: { outcome: string; reason?: string | null | undefined } | undefined): string {
  if (result === undefined) return 'nothing';
  return result.reason == null ? result.outcome : `${result.outcome} (${result.reason})`;
}

function decision({ status, reason }: { status: string; reason: string | null }): string {
  return reason === null ? status : `${status} (${reason})`;
}

/** The rows of the day's installation, as they are: no trigger fires, no key is asked. */
async function takeOver(database: SimulatedDatabase, { tables }: StoredDay): Promise<void> {
  await database.query('set session_replication_role = replica');
  for (const [table, rows] of tables) {
    await database.query(`delete from ${table}`);
    const [columns] = await database.query<{ list: string }>(
      `select string_agg(quote_ident(attname), ', ' order by attnum) as list from pg_attribute
        where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
      [table],
    );
    const list = columns?.list ?? '';
    await database.query(
      `insert into ${table} (${list}) overriding system value select ${list} from jsonb_populate_recordset(null::${table}, $1)`,
      [JSON.stringify(rows)],
    );
    const [counted] = await database.query(
      `select from information_schema.columns where table_schema = 'public' and table_name = $1 and column_name = 'id' and is_identity = 'YES'`,
      [table],
    );
    if (counted !== undefined)
      await database.query(`select setval(pg_get_serial_sequence('${table}', 'id'), greatest((select max(id) from ${table}), 1))`);
  }
  await database.query('set session_replication_role = origin');
}
