/** The Postgres that comes with the development dependencies, for trying things out: refused in production by config.ts. */
import type { Logger } from '../process/log.ts';
import { migrate } from './migrate.ts';

/** Starts (or joins) the embedded server with its data in .data/ and migrates it. */
export async function openEmbedded(log: Logger): Promise<{ url: string } & AsyncDisposable> {
  const { startPostgres } = await import('../../scripts/lib/embedded-postgres.ts').catch((cause: unknown) => {
    throw new Error(
      'DATABASE_URL: is not set, and the embedded database is not installed here (it comes with the development dependencies)',
      { cause },
    );
  });
  log.warning({}, 'DATABASE_URL is not set: using the embedded database in .data/, which is for development only');
  const server = await startPostgres({
    dataDir: new URL('../../.data/postgres', import.meta.url).pathname,
    log: (line: string) => log.debug({}, line),
  });
  await migrate(server.url, { log: (line) => log.info({}, line) });
  return { url: server.url, [Symbol.asyncDispose]: () => server.stop() };
}
