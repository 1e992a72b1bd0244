/**
 * The product as an operator runs it: real processes (`node src/main.ts`) on a database of their own, with the simulator for the world
 * outside. The database is reached through a door that a test can shut, as when Postgres is down.
 */
import { EventEmitter, once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import pg from 'pg';
import { startMode, WEBHOOK_SECRET } from '../../scripts/lib/installation.ts';
import type { RunMode } from '../../scripts/lib/installation.ts';
import { freePort } from '../../scripts/lib/ports.ts';
import type { RedisServer } from '../../scripts/lib/redis.ts';
import { startSimulator } from '../../simulator/index.ts';
import { WEBHOOK_EVENTS } from '../../src/whatsapp/webhook-setting.ts';
import type { Simulator } from '../../simulator/index.ts';
import { testDatabase } from './database.ts';
import { COMPILE_CACHE, watch } from './process.ts';
import type { Program } from './process.ts';
import { openRedis, testedVersion, testEnvironment } from './system.ts';

type TestHooks = { after(hook: () => Promise<void>): void };

export type ModeProcess = Program & {
  mode: RunMode;
  /** Address of its ops routes. */
  url: string;
};

export type Site = {
  /** Not through the door: always open. */
  databaseUrl: string;
  simulator: Simulator;
  /** Where the queue is, unless it is in Postgres. */
  redis: RedisServer | null;
  env: Record<string, string>;
  /** All processes that were started, also those that have ended. */
  processes: ModeProcess[];
  /** Starts a mode; an api gets the simulator's webhooks. Does not wait for it. */
  /** `main`: of another release's code. */
  start(mode: RunMode, env?: Record<string, string>, main?: string): Promise<ModeProcess>;
  /** Starts it and waits until /ready says so. */
  startReady(mode: RunMode, env?: Record<string, string>, main?: string): Promise<ModeProcess>;
  query<T extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<T[]>;
  /** As System.until: asked now, and after each line of a process and each event of the simulator. */
  until<T>(check: () => Promise<T> | T, what: string, patienceMs?: number): Promise<NonNullable<T>>;
  /** Shut: connections to Postgres are cut and refused. */
  databaseDoor(open: boolean): Promise<void>;
};

const PATIENCE_MS = 90_000;

export async function startSite(
  t: TestHooks,
  options: { env?: Record<string, string>; simulator?: Parameters<typeof startSimulator>[0]; queue?: 'postgres' | 'redis' } = {},
): Promise<Site> {
  const stack = new AsyncDisposableStack();
  const database = await testDatabase();
  stack.defer(() => database.close());
  const door = await openDoor(new URL(database.url));
  stack.defer(() => door.close());
  const simulator = await startSimulator({
    version: testedVersion(),
    instances: ['julia-dev'],
    noise: false,
    ackMs: 5,
    timeScale: 20,
    ...options.simulator,
  });
  stack.defer(() => simulator.close());
  const redis = options.queue === 'redis' ? await openRedis() : null;
  if (redis) stack.defer(() => redis.stop());
  const pool = new pg.Pool({ connectionString: database.url, max: 3 });
  pool.on('error', () => {});
  stack.defer(() => pool.end());
  const changes = new EventEmitter().setMaxListeners(0);
  stack.defer(simulator.on(() => changes.emit('change')));
  // Processes end first, then what they stand on.
  const running = new Set<() => Promise<void>>();
  stack.defer(async () => void (await Promise.all([...running].map((end) => end()))));
  t.after(() => stack.disposeAsync());

  const doorUrl = new URL(database.runtimeUrl);
  doorUrl.port = String(door.port);
  const site: Site = {
    databaseUrl: database.url,
    simulator,
    redis,
    env: {
      ...testEnvironment({ databaseUrl: doorUrl.href, redisUrl: redis?.url ?? null, simulator }),
      LOG_LEVEL: 'DEBUG',
      ...options.env,
    },
    processes: [],
    async start(mode, env = {}, main = 'src/main.ts') {
      const port = Number(env['PORT'] ?? (await freePort()));
      const command = [process.execPath, main];
      const program = watch({ after: (hook) => void running.add(hook) }, (log) =>
        startMode(mode, { ...COMPILE_CACHE, ...site.env, ...env }, { port, command, log }),
      );
      program.onChange(() => changes.emit('change'));
      await program.started;
      const made = Object.assign(program, { mode, url: `http://127.0.0.1:${port}` });
      site.processes.push(made);
      if (mode === 'api' || mode === 'all') simulator.setWebhook(`${made.url}/webhook/evolution`, WEBHOOK_SECRET, WEBHOOK_EVENTS);
      return made;
    },
    async startReady(mode, env, main) {
      const made = await site.start(mode, env, main);
      // Said right before the routes know it; the next request finds it ready.
      await made.line(`${mode} ready`);
      const answer = await fetch(`${made.url}/ready`);
      if (answer.status !== 200) throw new Error(`${mode} is not ready: ${await answer.text()}`);
      return made;
    },
    async query(sql, values = []) {
      return (await pool.query(sql, values)).rows;
    },
    async until(check, what, patienceMs = PATIENCE_MS) {
      const timeout = AbortSignal.timeout(patienceMs);
      for (;;) {
        const changed = once(changes, 'change', { signal: timeout }).catch(() => null);
        const found = await check();
        if (found) return found;
        if ((await changed) === null && !(await check())) {
          const rows = await site.query(`select direction, status, reason, attempts, text from messages order by id desc limit 20`);
          throw new Error(
            `${what} did not come true in ${patienceMs / 1000} s.\n${rows.map((row) => JSON.stringify(row)).join('\n')}\n${site.processes
              .map((each) =>
                each.stdout
                  .slice(-6)
                  .map((line) => line.slice(0, 300))
                  .join('\n'),
              )
              .join('\n\n')}`,
          );
        }
      }
    },
    databaseDoor: (open) => (open ? door.open() : door.shut()),
  };
  return site;
}

async function openDoor(target: URL): Promise<{ port: number; open(): Promise<void>; shut(): Promise<void>; close(): Promise<void> }> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  let server: Server | null = null;
  async function open(): Promise<void> {
    server = createServer((near) => {
      const far = connect(Number(target.port), target.hostname);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  }
  async function shut(): Promise<void> {
    const closing = server;
    server = null;
    if (closing === null) return;
    const closed = once(closing, 'close');
    closing.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }
  await open();
  return { port, open, shut, close: shut };
}
