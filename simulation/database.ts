/**
 * A real Postgres whose clock is the simulation's: in the simulation's own database every function and every default asks `simulated_now()`, which a setting of the
 * session says, in place of now() and clock_timestamp(). Between two seeds the rows are taken back to what the migrations left, and the sequences with them.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { sharedTestPostgres } from '../scripts/lib/test-postgres.ts';
import { openPostgres } from '../src/db/door.ts';
import type { Door } from '../src/db/door.ts';
import { migrate } from '../src/db/migrate.ts';

export type Query = <T extends Record<string, unknown>>(sql: string, values?: unknown[]) => Promise<T[]>;

/** A line of a function that is replaced by another: what somebody could have forgotten. */
export type SqlChange = { fn: string; from: string; to: string };

export type SimulatedDatabase = {
  /** One connection: its calls are one after the other, as the schedule chooses. */
  door: Door;
  /** Of a superuser, on a connection of its own. */
  query: Query;
  /** What now() is from here on. Milliseconds. */
  setNow(ms: number): Promise<void>;
  /** Takes all rows and sequences back to where the migrations left them. */
  reset(): Promise<void>;
  /** Rejects when a line is not there, or is there more than once. */
  change(changes: readonly SqlChange[]): Promise<void>;
  close(): Promise<void>;
};

/** Dead rows of so many seeds are kept before they are taken away. */
const VACUUM_EVERY = 20;

export async function openSimulatedDatabase(): Promise<SimulatedDatabase> {
  const server = await sharedTestPostgres();
  const name = `test_sim_${randomBytes(6).toString('hex')}`;
  await withClient(server, (client) => client.query(`create database ${name} template template0`));
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  await migrate(url);
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // dropped with the database
  await client.connect();
  const query: Query = async (sql, values = []) => (await client.query(sql, values)).rows;
  await query(CLOCK);
  await query(COPY);
  const door = openPostgres(url, { poolSize: 1 });
  let told = -1;
  let resets = 0;
  return {
    door,
    query,
    async setNow(ms) {
      if (ms === told) return;
      told = ms;
      await door.call('simulate_now', { p_now: new Date(ms).toISOString() });
    },
    async reset() {
      await query('select simulated_reset()');
      if (++resets % VACUUM_EVERY === 0) await query('vacuum');
    },
    async change(changes) {
      for (const change of changes) await replaceLine(query, change);
    },
    async close() {
      await door.close();
      await client.end();
      await withClient(server, (each) => each.query(`drop database ${name} with (force)`));
    },
  };
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function replaceLine(query: Query, { fn, from, to }: SqlChange): Promise<void> {
  const found = await query<{ text: string }>(
    `select pg_get_functiondef(p.oid) as text from pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname = $1`,
    [fn],
  );
  const text = found.length === 1 ? (found[0]?.text ?? '') : '';
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${fn} has this line ${parts.length - 1} times, not once: ${from}`);
  await query(parts.join(to));
}

/** now() and clock_timestamp() of all that the product has written; what a session has not been told is the true time. */
const CLOCK = String.raw`
create function simulated_now() returns timestamptz language sql volatile as
$$ select coalesce(nullif(current_setting('simulation.now', true), '')::timestamptz, pg_catalog.clock_timestamp()) $$;
create function simulate_now(p_now timestamptz) returns jsonb language sql volatile as
$$ select to_jsonb(set_config('simulation.now', p_now::text, false)) $$;
do $do$
declare v record;
begin
  for v in select p.oid, pg_get_functiondef(p.oid) as text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and p.proname not like 'simulate%'
      and p.prosrc ~ '\m(clock_timestamp|now)\(\)' loop
    execute regexp_replace(v.text, '\m(clock_timestamp|now)\(\)', 'public.simulated_now()', 'g');
  end loop;
  for v in select d.adrelid::regclass as tbl, a.attname, pg_get_expr(d.adbin, d.adrelid) as expr from pg_attrdef d
    join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum join pg_class c on c.oid = d.adrelid
    where c.relnamespace = 'public'::regnamespace and a.attgenerated = ''
      and pg_get_expr(d.adbin, d.adrelid) ~ '\m(clock_timestamp|now)\(\)' loop
    execute format('alter table %s alter column %I set default %s', v.tbl, v.attname,
      regexp_replace(v.expr, '\m(clock_timestamp|now)\(\)', 'public.simulated_now()', 'g'));
  end loop;
end $do$`;

/** A copy of what the migrations left, and the way back to it: no trigger fires, no key is asked. */
const COPY = String.raw`
create schema simulation;
do $do$
declare v record; v_body text := ''; v_columns text;
begin
  for v in select c.oid, c.relname from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1 loop
    execute format('create table simulation.%I as select * from public.%I', v.relname, v.relname);
    select string_agg(quote_ident(attname), ', ' order by attnum) into v_columns from pg_attribute
      where attrelid = v.oid and attnum > 0 and not attisdropped and attgenerated = '';
    v_body := v_body || format('delete from public.%I; insert into public.%I (%s) overriding system value select %s from simulation.%I;'
      || E'\n', v.relname, v.relname, v_columns, v_columns, v.relname);
  end loop;
  for v in select c.oid::regclass as seq, s.last_value, s.is_called from pg_class c, lateral (select
      coalesce(pg_sequence_last_value(c.oid), 1) as last_value, pg_sequence_last_value(c.oid) is not null as is_called) s
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'S' loop
    v_body := v_body || format('perform setval(%L, %s, %L);' || E'\n', v.seq, v.last_value, v.is_called);
  end loop;
  execute 'create function simulated_reset() returns void language plpgsql set session_replication_role = replica as $f$
#variable_conflict use_column
begin '
    || v_body || ' end $f$';
end $do$`;
