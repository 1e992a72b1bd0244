/** The bench runs, prints its table and leaves its JSON. Whether a bar is met is not asked: a machine that runs tests is no place to measure. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { projectRoot } from '../../scripts/lib/tools.ts';
import type { Report } from '../../scripts/bench/report.ts';

function bench(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['scripts/bench/main.ts', ...args], { cwd: projectRoot });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += String(chunk)));
    child.stderr.on('data', (chunk) => (output.stderr += String(chunk)));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
}

test('bench --quick prints a table and writes JSON in which no request failed', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-bench-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const json = path.join(folder, 'bench.json');
  const { code, stdout, stderr } = await bench('--quick', '--only', 'start,memory,accept', '--json', json);
  assert.equal(code, 0, `${stdout}\n${stderr}`);

  const report = JSON.parse(await readFile(json, 'utf8')) as Report;
  assert.equal(report.failed, 0);
  assert.equal(report.quick, true);
  assert.deepEqual(
    report.rows.map((row) => row.figure),
    ['start', 'start', 'start', 'accept', 'accept', 'memory', 'memory', 'memory'],
  );
  for (const row of report.rows) {
    assert.ok(Number.isFinite(row.product) && row.product > 0, `${row.name}: ${row.product}`);
    assert.ok(row.floor !== null && row.floor > 0, `${row.name}: floor ${row.floor}`);
    assert.ok(row.ratio !== null && row.ratio > 0, `${row.name}: ratio ${row.ratio}`);
    assert.ok(row.bar !== null, row.name);
    assert.ok(stdout.includes(row.name), `the table has no line "${row.name}":\n${stdout}`);
  }
  assert.match(stdout, /^figure +product +floor +ratio +bar/m);
});

test('bench refuses what it does not know, and explains itself', async () => {
  const wrong = await bench('--only', 'speed');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--only: speed is none of start, accept/);
  const help = await bench('--help');
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Usage: npm run bench/);
});
