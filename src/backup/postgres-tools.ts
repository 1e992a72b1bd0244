/** pg_dump and pg_restore: found by the server's major version, fed and read as streams, their mistakes told in words. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { readEnv } from '../config.ts';

export type PostgresTools = { dump: string; restore: string };

/** Where Debian, Ubuntu, Red Hat and Homebrew put the versions side by side. */
const PLACES = [
  (major: number) => `/usr/lib/postgresql/${major}/bin`,
  (major: number) => `/usr/pgsql-${major}/bin`,
  (major: number) => `/opt/homebrew/opt/postgresql@${major}/bin`,
];

/**
 * The tools of exactly the server's major version: an older pg_dump refuses a newer server, and what a newer one writes an older server may not take back.
 * `folder`: look only there. Throws with what to install.
 */
export async function findTools(client: pg.Client, folder: string | null): Promise<PostgresTools> {
  const { rows } = await client.query<{ version: string }>(`select current_setting('server_version_num') as version`);
  const major = Math.floor(Number(rows[0]?.version) / 10_000);
  const onPath = (readEnv()['PATH'] ?? '').split(path.delimiter);
  const seen: number[] = [];
  for (const place of folder === null ? [...PLACES.map((each) => each(major)), ...onPath] : [folder]) {
    const tools = { dump: path.join(place, 'pg_dump'), restore: path.join(place, 'pg_restore') };
    if (!existsSync(tools.dump) || !existsSync(tools.restore)) continue;
    const found = await majorOf(tools.dump);
    if (found === major) return tools;
    seen.push(found);
  }
  const others = seen.length === 0 ? '' : ` (found: ${[...new Set([...seen, ...installed()])].join(', ')})`;
  throw new Error(
    `the server is Postgres ${major} and there is no pg_dump of that version${others}: install postgresql-client-${major}, or name its folder in PG_BIN_DIR`,
  );
}

function installed(): number[] {
  return existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').map(Number).filter(Number.isInteger) : [];
}

async function majorOf(command: string): Promise<number> {
  let text = '';
  await runTool(command, ['--version'], null, { output: (line) => (text += line) }).catch(() => {});
  return Number(/\(PostgreSQL\) (\d+)/.exec(text)?.[1] ?? 0);
}

type Streams = {
  /** What the tool reads. */
  input?: Readable;
  /** Where its bytes go, through these in order. */
  into?: [...transforms: NodeJS.ReadWriteStream[], end: Writable];
  /** Each line of its output. */
  output?: (line: string) => void;
  /** Ends it. */
  signal?: AbortSignal;
  /** Each line of its complaints and progress. */
  progress?: (line: string) => void;
};

/** Runs to the end; rejects with the tool's last complaint. The password of `url` goes through the environment: arguments are seen by everybody on the machine. */
export async function runTool(command: string, args: string[], url: string | null, streams: Streams = {}): Promise<void> {
  const { address, password } = split(url);
  const child = spawn(command, [...args, ...(address === null ? [] : ['--dbname', address])], {
    env: { ...toolEnvironment(), LC_ALL: 'C', ...(password === null ? {} : { PGPASSWORD: password }), PGCONNECT_TIMEOUT: '10' },
    stdio: 'pipe',
    ...(streams.signal === undefined ? {} : { signal: streams.signal }),
  });
  if (streams.input === undefined) child.stdin.end();
  const complaints: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    streams.progress?.(line);
    // Not what merely speaks of errors: with --verbose names of tables and functions stand in its lines.
    if (/^\w+: (?:error|fatal):/.test(line)) complaints.push(line);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${path.basename(command)} failed (${code ?? signal}): ${complaints.at(0) ?? 'without a word'}`));
    });
  });
  const flows: Promise<unknown>[] = [ended];
  if (streams.into !== undefined) flows.push(pipeline([child.stdout, ...streams.into]));
  else createInterface({ input: child.stdout }).on('line', (line) => streams.output?.(line));
  // It may have read all that it wants before the input ends; what the input has to complain about comes first.
  if (streams.input !== undefined)
    flows.unshift(
      pipeline(streams.input, child.stdin).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') {
          child.kill();
          throw error;
        }
      }),
    );
  const results = await Promise.allSettled(flows);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** What finds programs, libraries and certificates; none of the product's secrets, which a tool that reads somebody's archive has no use for. */
function toolEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(readEnv()).filter(([name]) => /^(?:PATH|HOME|TMPDIR|TZ|LD_LIBRARY_PATH|SSL_CERT_\w+|PG\w+)$/.test(name)),
  );
}

function split(url: string | null): { address: string | null; password: string | null } {
  if (url === null) return { address: null, password: null };
  const parsed = new URL(url);
  const password = parsed.password === '' ? null : decodeURIComponent(parsed.password);
  parsed.password = '';
  return { address: parsed.href, password };
}

export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    application_name: 'whats-agents backup',
  });
  client.on('error', () => {}); // the statement under way says so
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}
