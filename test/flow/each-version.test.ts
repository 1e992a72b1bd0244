/**
 * The flows that a release of Evolution can break, again on those that compose does not run: the same tests, told by EVOLUTION_VERSION which Evolution the
 * simulator is. (Rejected: the whole suite three times, which says nothing more for most of it and takes half an hour.) Addresses, ids and doubts run on all three in
 * gateway.test.ts; what is decided in SQL alone (X5, X6) knows no release.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { DEFAULT_VERSION, EVOLUTION_VERSIONS } from '../../scripts/simulator/version.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';

/** Rows and where they are proven. */
const FLOWS: Readonly<Record<string, string>> = {
  'inbound-conversations': '^(I6|I8|I12) ',
  'inbound-durable': '^I16 ',
  'outbound-workers': '^I17 ',
  handoffs: '^(I6 X7|X7) ',
  reconcile: '^X2 ',
  'turn-outcomes': '^I15 ',
};

for (const version of EVOLUTION_VERSIONS.filter((each) => each !== DEFAULT_VERSION)) {
  test(`W5 versions: I6 I8 I12 I15 I16 I17 X2 X7 on Evolution ${version}`, async () => {
    const { NODE_TEST_CONTEXT: _ours, ...env } = process.env;
    const patterns = [...new Set(Object.values(FLOWS))].flatMap((pattern) => ['--test-name-pattern', `/${pattern}/`]);
    const files = Object.keys(FLOWS).map((name) => `test/flow/${name}.test.ts`);
    const args = ['--test', '--test-concurrency=2', '--test-timeout=300000', '--test-reporter=tap', ...patterns, ...files];
    const child = spawn(process.execPath, args, {
      cwd: projectRoot,
      env: { ...env, EVOLUTION_VERSION: version },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (out += text));
    const [code] = (await once(child, 'close')) as [number | null];
    assert.equal(
      code,
      0,
      out
        .split('\n')
        .filter((line) => !line.startsWith('ok '))
        .join('\n')
        .slice(-4_000),
    );
    const passed = Number(/^# pass (\d+)$/m.exec(out)?.[1]);
    assert.ok(passed >= 12, `only ${passed} tests ran`);
  });
}
