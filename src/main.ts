/** env -> config -> context -> the mode; runs until SIGTERM. */
import { enableCompileCache } from 'node:module';
import { loadConfig, readEnv, RUN_MODE_HINT, RUN_MODE_INVALID, RUN_MODE_MISSING } from './config.ts';
import { createLogger } from './process/log.ts';
import { flushTraces } from './process/trace.ts';

// Halves the time and the memory of a start, from the second one on; without a writable place nothing happens.
enableCompileCache();
const loaded = loadConfig(readEnv());
if (!loaded.ok) {
  // Nothing else is loaded for this: it answers at once, and opens no connection.
  createLogger({ level: 'INFO', service: 'whats-agents', pretty: false }).critical(
    { problems: loaded.problems, ...(isOfMode(loaded.problems[0]) ? { hint: RUN_MODE_HINT } : {}) },
    loaded.problems.join('\n'),
  );
  process.exitCode = 1;
} else {
  const { run } = await import('./run.ts');
  const code = await run(loaded.config, loaded.warnings);
  await flushTraces();
  // Whatever outlived its grace (a send that Evolution does not answer takes 90 s) must not keep the process; its lease tells the next one.
  process.exit(code);
}

function isOfMode(problem = ''): boolean {
  return problem === RUN_MODE_MISSING || problem.startsWith(RUN_MODE_INVALID);
}
