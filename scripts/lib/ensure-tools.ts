/**
 * Gets the programs that the tests need and npm does not bring: `node scripts/lib/ensure-tools.ts redis pgbouncer chromium`.
 * Tells what is missing and how to get it by hand; exits 1 when something is.
 */
import { ensureChromium } from './chromium.ts';
import { ensurePgBouncer } from './pgbouncer.ts';
import { ensureRedisServer } from './redis.ts';

const TOOLS: Record<string, () => Promise<unknown>> = { redis: ensureRedisServer, pgbouncer: ensurePgBouncer, chromium: ensureChromium };

for (const name of process.argv.slice(2)) {
  try {
    const ensure = TOOLS[name];
    if (ensure === undefined) throw new Error(`unknown tool: ${name}`);
    await ensure();
  } catch (error) {
    process.exitCode = 1;
    console.error(error instanceof Error ? error.message : error);
  }
}
