/**
 * The one door to the database: `call` runs one SQL function of supabase/schemas and returns its JSON. Two ways through it,
 * node-postgres and supabase-js, behave alike and are run by the same tests.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { overDeadlocks } from './deadlock.ts';
import { DatabaseAway, DatabaseRefused } from './failures.ts';
import { saysTransactionPooler } from './pooler-words.ts';

export type Door = {
  /**
   * Runs the SQL function `name` with named arguments and returns its result as JSON.
   * Contract: may be called any number of times at once. Throws DatabaseAway when the database could not be reached or went away (whether
   * the call took effect is then unknown: every function may be repeated), DatabaseRefused with the SQL state when it said no.
   */
  call(name: string, args: Record<string, unknown>): Promise<unknown>;
  close(): Promise<void>;
};

/** Connection and statement limits, in milliseconds: a stuck database must become an error while somebody still waits for the answer. */
const CONNECT_MS = 5_000;
const STATEMENT_MS = 30_000;

/**
 * A named statement is missing, or there already: a pooler in transaction mode has mixed up who prepared what where. Both are said before anything runs, so the
 * call may be made again. From then on statements have no names.
 */
const MIXED_UP: ReadonlySet<string> = new Set(['26000', '42P05']);

/** `onPooler`: the address leads to a pooler in transaction mode; called once, when that is known. */
export function openPostgres(
  url: string,
  options: { poolSize?: number; onError?: (error: Error) => void; onPooler?: () => void } = {},
): Door {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.poolSize ?? 10,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS,
    keepAlive: true,
    application_name: 'whats-agents',
  });
  // An idle connection that drops says so here; the pool makes a new one at the next call.
  pool.on('error', (error) => options.onError?.(error));
  let named = !saysTransactionPooler(url);
  if (!named) options.onPooler?.();
  return repeating({
    async call(name, args) {
      const given = Object.entries(args).filter(([, value]) => value !== undefined);
      const list = given.map(([key], index) => `${identifier(key)} => $${index + 1}`).join(', ');
      const query = {
        text: `select public.${identifier(name)}(${list}) as result`,
        values: given.map(([, value]) => (typeof value === 'object' && value !== null ? JSON.stringify(value) : value)),
      };
      // A name lets the connection keep the plan: the parse is done once.
      const run = (): Promise<pg.QueryResult> =>
        pool.query(
          named
            ? {
                ...query,
                name: statementName(
                  name,
                  given.map(([key]) => key),
                ),
              }
            : query,
        );
      try {
        const { rows } = await run().catch((error: unknown) => {
          if (!MIXED_UP.has((error as { code?: string }).code ?? '')) throw error;
          if (named) options.onPooler?.();
          named = false;
          return run();
        });
        return (rows as { result?: unknown }[])[0]?.result;
      } catch (error) {
        throw failure(name, error);
      }
    },
    close: () => pool.end(),
  });
}

export function openSupabase(url: string, serviceKey: string): Door {
  // Loaded here: who uses Postgres directly need not carry it in memory.
  const loading = import('@supabase/supabase-js').then(({ createClient }) =>
    createClient(url, serviceKey, {
      auth: { persistSession: false, autoRefreshToken: false },
      global: { fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(STATEMENT_MS) }) },
    }),
  );
  loading.catch(() => {}); // told at the first call
  return repeating({
    async call(name, args) {
      const { data, error, status } = await (await loading).rpc(name, args);
      if (!error) return data as unknown;
      // PostgREST's own codes (PGRST202: no such function), and a gateway that refuses the key without any code.
      const { code } = error as { code?: string };
      if (code?.startsWith('PGRST') && status < 500) throw new DatabaseRefused(name, code, error.message);
      if (status === 401 && !code) throw new DatabaseRefused(name, '401', error.message);
      throw failure(name, error);
    },
    async close() {
      await (await loading).removeAllChannels();
    },
  });
}

/** Each call again, when a deadlock ended it. */
function repeating(door: Door): Door {
  return { ...door, call: (name, args) => overDeadlocks(() => door.call(name, args)) };
}

/** Postgres cuts the names of prepared statements at 63 bytes, so two long ones could be taken for each other (and pg complains on the console). */
function statementName(name: string, args: string[]): string {
  const full = `${name}(${args.join(',')})`;
  if (full.length <= 63) return full;
  return `${name.slice(0, 40)}:${createHash('sha256').update(full).digest('hex').slice(0, 16)}`;
}

function identifier(name: string): string {
  if (!/^[a-z_]+$/.test(name)) throw new Error(`not the name of a SQL function or argument: ${name}`);
  return name;
}

/** SQL states that say nothing about the call itself: connection trouble (08), shutdown and start-up (57P), too many connections (53). */
const AWAY = /^(08|57P|53|25006)/;

function failure(name: string, error: unknown): Error {
  const code = (error as { code?: unknown } | null)?.code;
  const message = (error as { message?: unknown } | null)?.message;
  const text = typeof message === 'string' && message !== '' ? message : String(code ?? error);
  // Five characters are a SQL state; anything else is the network (ECONNREFUSED, a timeout of the pool ...).
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !AWAY.test(code))
    return new DatabaseRefused(name, code, text, { cause: error });
  return new DatabaseAway(name, text, { cause: error });
}
