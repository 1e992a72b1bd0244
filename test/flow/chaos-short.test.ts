/** The chaos runner's short matrix as CI runs it: real processes, both queue backends. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { startGuarded } from '../../scripts/lib/guarded-process.ts';
import { dataDirectory, projectRoot } from '../../scripts/lib/tools.ts';

type Result = {
  name: string;
  conversations: number;
  reached: number;
  answered: number;
  inbound: number;
  lost: number;
  doubled: number;
  reordered: number;
  wrong: string[];
};

test('X1 chaos: no message is lost, doubled or reordered in any cell of the short matrix', async (t) => {
  const lines: string[] = [];
  const run = await startGuarded(process.execPath, ['chaos/main.ts', '--short'], {
    stopSignal: 'TERM',
    cwd: projectRoot,
    env: withoutTestRunner(),
    log: (line) => lines.push(line),
  });
  t.after(() => run.stop(30_000));
  const code = await run.exited;
  assert.equal(code, 0, lines.join('\n'));
  const { results }: { results: Result[] } = JSON.parse(await readFile(path.join(dataDirectory, 'chaos-short.json'), 'utf8'));
  assert.ok(results.length >= 12, `${results.length} cells`);
  for (const { name, conversations, reached, inbound, answered, lost, doubled, reordered, wrong } of results) {
    assert.deepEqual({ name, lost, doubled, reordered, wrong }, { name, lost: 0, doubled: 0, reordered: 0, wrong: [] });
    assert.equal(reached, conversations, `${name}: who was at the point when the fault struck`);
    assert.ok(inbound >= conversations && answered === inbound, `${name}: ${answered} of ${inbound} messages were answered`);
  }
});

/** node's test runner marks its children by NODE_TEST_CONTEXT; the chaos runner is no test file. */
function withoutTestRunner(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _context, NODE_V8_COVERAGE: _coverage, NODE_OPTIONS: _options, ...env } = process.env;
  return env;
}
