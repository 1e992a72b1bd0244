/** The sample shop in this process for scenarios: a database that is thrown away, api and worker as they are, the simulator in place of WhatsApp, and of Claude without a key. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';

import { installationEnvironment, WEBHOOK_SECRET } from '../scripts/lib/installation.ts';
import { teach } from '../scripts/lib/teach.ts';
import { sharedTestPostgres } from '../scripts/lib/test-postgres.ts';
import { startSimulator } from '../simulator/index.ts';
import type { Simulator } from '../simulator/index.ts';
import { apiRoutes } from '../src/api.ts';
import { loadConfig } from '../src/config.ts';
import { openContext } from '../src/context.ts';
import { migrate } from '../src/db/migrate.ts';
import { createLogger } from '../src/process/log.ts';
import { createApp, listen } from '../src/routes/http.ts';
import type { Process } from '../src/routes/ops.ts';
import { publishVersion, readVersion, saveVersion } from '../src/turns/agent-calls.ts';
import { parseVersion } from '../src/turns/version-words.ts';
import { WEBHOOK_EVENTS } from '../src/whatsapp/webhook-setting.ts';
import { startWorker } from '../src/worker.ts';

const INSTANCE = 'julia-dev';
const OF = { tenant: 'default', slug: 'default', by: 'evaluation' };

export type Stand = AsyncDisposable & { simulator: Simulator; query<T extends object>(sql: string, values: unknown[]): Promise<T[]> };

/** `agent`: the text of a version in the form of samples/agente.md, over the sample's; null: the sample's. `key`: of the real Claude. */
export async function openStand({ agent, key }: { agent: string | null; key: string | null }): Promise<Stand> {
  await using stack = new AsyncDisposableStack();
  const server = new pg.Pool({ connectionString: await sharedTestPostgres(), max: 1 });
  stack.defer(() => server.end());
  const name = `test_${randomBytes(6).toString('hex')}`;
  await server.query(`create database ${name}`);
  stack.defer(async () => void (await server.query(`drop database ${name} with (force)`)));
  const address = new URL(server.options.connectionString ?? '');
  address.pathname = `/${name}`;
  const databaseUrl = address.href;
  await migrate(databaseUrl);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  pool.on('error', () => {}); // the database is dropped under it at the end
  stack.defer(() => pool.end());
  const simulator = await startSimulator({ instances: [INSTANCE], noise: false, ackMs: 5, seed: 1 });
  stack.defer(() => simulator.close());

  const {
    ANTHROPIC_API_KEY: ownKey = '',
    ANTHROPIC_BASE_URL: ownUrl = '',
    ...rest
  } = installationEnvironment({
    environment: 'test',
    instance: INSTANCE,
    databaseUrl,
    redisUrl: null,
    simulator,
  });
  const loaded = loadConfig({
    ...rest,
    ...(key === null ? { ANTHROPIC_API_KEY: ownKey, ANTHROPIC_BASE_URL: ownUrl } : { ANTHROPIC_API_KEY: key }),
    RUN_MODE: 'all',
    SECRETS_KEY: randomBytes(32).toString('hex'),
    STT_BASE_URL: simulator.speechUrl,
    STT_API_KEY: 'stt-simulator',
    HTTP_ALLOW_PRIVATE: new URL(simulator.url).host,
    DEBOUNCE_MS: '60',
    DEBOUNCE_MAX_MS: '1000',
    HUMAN_DELAY: 'false',
    RATE_LIMIT_INTERVALO_MIN: '0',
    RATE_LIMIT_INTERVALO_MAX: '0',
  });
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  const { config } = loaded;
  const log = createLogger({
    level: 'CRITICAL',
    service: 'evaluation',
    pretty: false,
    destination: { write: (line) => void process.stderr.write(line) }, // standard output has the result
  });
  const ctx = stack.use(await openContext(config, log));
  if (config.secrets === null) throw new Error('SECRETS_KEY: is set above');
  await teach(databaseUrl, null, { origin: simulator.url, secrets: config.secrets });
  if (agent !== null) await publish(agent);
  const state: Process = { config, context: ctx, stopping: false };
  const http = await listen(
    createApp(state, log, (routes) => apiRoutes(routes, state)),
    '127.0.0.1',
    0,
  );
  stack.defer(() => http.close());
  simulator.setWebhook(`http://127.0.0.1:${http.port}/webhook/evolution`, WEBHOOK_SECRET, WEBHOOK_EVENTS);
  const worker = await startWorker(ctx);
  stack.defer(() => worker.stop(2_000));
  const owned = stack.move();
  return {
    simulator,
    query: async (sql, values) => (await pool.query(sql, values)).rows,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };

  async function publish(text: string): Promise<void> {
    const read = parseVersion(text);
    if (!read.ok) throw new Error(read.fault);
    const before = await readVersion(ctx.db, OF.tenant, OF.slug, null);
    if (before === null) throw new Error('the sample shop has no agent');
    const version = await saveVersion(ctx.db, OF, { ...before, ...read.file, note: null });
    await publishVersion(ctx.db, { ...OF, version, reason: null });
  }
}
