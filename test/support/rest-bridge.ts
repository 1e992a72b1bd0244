/**
 * The part of Supabase that the door uses: POST /rest/v1/rpc/NAME, answered as Kong and PostgREST 13 answer, on a test database.
 * Calls run as `service_role` or `anon`, as there, so that grants and row level security count.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { jwtVerify, SignJWT } from 'jose';
import pg from 'pg';

const JWT_SECRET = new TextEncoder().encode('a-jwt-secret-of-the-rest-bridge-0123456789');

export type RestBridge = {
  /** What SUPABASE_URL would be. */
  url: string;
  serviceKey: string;
  anonKey: string;
  /** Names of the functions that were called, whatever became of the call. */
  called: Set<string>;
  /** Connections to the database fail from now on, as when Postgres is down; false: they work again. */
  cutDatabase(cut: boolean): Promise<void>;
  close(): Promise<void>;
};

type TestHooks = { after(hook: () => Promise<void>): void };
type Answer = { status: number; body: string };

export async function startRestBridge(t: TestHooks, databaseUrl: string): Promise<RestBridge> {
  let pool = openPool(databaseUrl);
  await giveServiceRoleItsRights(pool);
  const called = new Set<string>();
  const keys = { service: await keyOf('service_role'), anon: await keyOf('anon') };

  const server = createServer((request, response) => {
    void answer(request, pool, called, Object.values(keys)).then((answered) => reply(response, answered));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the bridge has no port');

  let closed: Promise<void> | null = null;
  async function end(): Promise<void> {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await pool.end();
  }
  const close = (): Promise<void> => (closed ??= end());
  t.after(close);
  return {
    url: `http://127.0.0.1:${address.port}`,
    serviceKey: keys.service,
    anonKey: keys.anon,
    called,
    async cutDatabase(cut) {
      await pool.end();
      const nowhere = new URL(databaseUrl);
      nowhere.port = '1'; // nothing listens there
      pool = openPool(cut ? nowhere.href : databaseUrl);
    },
    close,
  };
}

function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 5 });
  pool.on('error', () => {});
  // A connection may break while it is in use and nobody waits for an answer.
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** Supabase's service_role passes row level security; roles belong to the whole server, so an older test run may have made it without. */
async function giveServiceRoleItsRights(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ rolbypassrls: boolean }>(`select rolbypassrls from pg_roles where rolname = 'service_role'`);
  if (rows[0]?.rolbypassrls === false) await pool.query('alter role service_role bypassrls');
}

function keyOf(role: string): Promise<string> {
  return new SignJWT({ role }).setProtectedHeader({ alg: 'HS256' }).setIssuedAt().setExpirationTime('1h').sign(JWT_SECRET);
}

async function answer(request: IncomingMessage, pool: pg.Pool, called: Set<string>, keys: string[]): Promise<Answer> {
  const body = await text(request);
  const { apikey } = request.headers;
  if (apikey === undefined)
    return json(401, { message: 'No API key found in request', hint: 'No `apikey` request header or url param was found.' });
  if (typeof apikey !== 'string' || !keys.includes(apikey)) {
    return json(401, { message: 'Invalid API key', hint: 'Double check your Supabase `anon` or `service_role` API key.' });
  }
  const role = await roleOf(request.headers.authorization ?? `Bearer ${apikey}`);
  if (role === null) return json(401, problem('PGRST301', 'No suitable key or wrong key type'));
  const name = /^\/rest\/v1\/rpc\/([^/?]+)$/.exec(request.url ?? '')?.[1];
  if (name === undefined || request.method !== 'POST') return json(404, problem('PGRST125', 'Invalid path specified in request URL'));
  called.add(name);
  let args: unknown;
  try {
    args = JSON.parse(body);
  } catch {
    return json(400, problem('PGRST102', 'Empty or invalid json'));
  }
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return json(400, problem('PGRST102', 'All object keys must match'));
  return await call(pool, role, name, args as Record<string, unknown>);
}

async function roleOf(authorization: string): Promise<string | null> {
  try {
    const { payload } = await jwtVerify(authorization.replace(/^Bearer /, ''), JWT_SECRET);
    return typeof payload['role'] === 'string' ? payload['role'] : null;
  } catch {
    return null;
  }
}

async function call(pool: pg.Pool, role: string, name: string, args: Record<string, unknown>): Promise<Answer> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    return json(503, {
      ...problem('PGRST000', 'Could not connect with the database due to an incorrect db-uri or due to the PostgreSQL service not running'),
      details: (error as Error).message,
    });
  }
  let broken: Error | undefined;
  try {
    const routine = await findRoutine(client, name, Object.keys(args));
    if (routine === null) {
      const signature = Object.keys(args).length === 0 ? ' without parameters' : `(${Object.keys(args).toSorted().join(', ')})`;
      return json(404, problem('PGRST202', `Could not find the function public.${name}${signature} in the schema cache`));
    }
    await client.query(`begin; set local role ${client.escapeIdentifier(role)}`);
    const { rows } = await client.query<{ result: string | null }>(routine.sql, [JSON.stringify(args)]);
    await client.query('commit');
    return routine.void ? { status: 204, body: '' } : { status: 200, body: rows[0]?.result ?? 'null' };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) {
      broken = error as Error;
      return json(503, problem('PGRST001', 'Database connection error. Retrying the connection.'));
    }
    const { code = 'XX000', message, detail = null, hint = null } = error;
    // A connection that was ended by its server cannot roll back.
    await client.query('rollback').catch((lost: Error) => (broken = lost));
    return json(statusOf(code, role), { code, message, details: detail, hint });
  } finally {
    client.release(broken);
  }
}

type Routine = { sql: string; void: boolean };

/** The function of that name whose parameters fit the given names, as PostgREST chooses it; a missing one must have a default. */
async function findRoutine(client: pg.PoolClient, name: string, given: string[]): Promise<Routine | null> {
  const { rows } = await client.query<{ names: string[] | null; types: string[]; defaults: number; void: boolean }>(
    `select proargnames as names, array(select format_type(t, null) from unnest(proargtypes) with ordinality as a (t, n) order by n) as types,
       pronargdefaults as defaults, prorettype = 'void'::regtype as void
     from pg_proc where proname = $1 and pronamespace = 'public'::regnamespace and prokind = 'f'`,
    [name],
  );
  const fits = ({ names, types, defaults }: (typeof rows)[number]): boolean =>
    given.every((each) => names?.includes(each)) && (names ?? []).slice(0, types.length - defaults).every((each) => given.includes(each));
  const found = rows.find(fits);
  if (found === undefined) return null;
  const id = (each: string) => client.escapeIdentifier(each);
  const columns = given.map((each) => `${id(each)} ${found.types[found.names?.indexOf(each) ?? -1]}`).join(', ');
  const passed = given.map((each) => `${id(each)} => args.${id(each)}`).join(', ');
  const from = given.length === 0 ? '(select $1::json) as unused' : `json_to_record($1::json) as args (${columns})`;
  return { sql: `select to_json(public.${id(name)}(${passed}))::text as result from ${from}`, void: found.void };
}

// prettier-ignore
/** The first prefix that fits; source: docs.postgrest.org, "Status Codes" of the errors page. */
const STATUSES: [prefix: string, status: number][] = [
  ['08', 503], ['09', 500], ['0L', 403], ['0P', 403], ['23503', 409], ['23505', 409], ['25006', 405], ['25', 500], ['28', 403], ['2D', 500],
  ['38', 500], ['39', 500], ['3B', 500], ['40', 500], ['53400', 500], ['53', 503], ['54', 500], ['55', 500], ['57P01', 503], ['57', 500],
  ['58', 500], ['F0', 500], ['HV', 500], ['P0001', 400], ['P0', 500], ['XX', 500], ['42883', 404], ['42P01', 404], ['42P17', 500],
];

function statusOf(code: string, role: string): number {
  if (code === '42501') return role === 'anon' ? 401 : 403;
  return STATUSES.find(([prefix]) => code.startsWith(prefix))?.[1] ?? 400;
}

function problem(code: string, message: string) {
  return { code, message, details: null, hint: null };
}

function json(status: number, body: unknown): Answer {
  return { status, body: JSON.stringify(body) };
}

function reply(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(body);
}
