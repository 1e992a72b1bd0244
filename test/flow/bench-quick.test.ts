/** The bench runs, prints its table and leaves its JSON. Whether a bar is met is not asked: a machine that runs tests is no place to measure. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { projectRoot } from '../../scripts/lib/tools.ts';
import type { Report } from '../../bench/report.ts';
import type { SoakReport } from '../../bench/soak-report.ts';

function bench(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['bench/main.ts', ...args], { cwd: projectRoot });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += String(chunk)));
    child.stderr.on('data', (chunk) => (output.stderr += String(chunk)));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
}

test('L7 L17 bench --quick prints a table and writes JSON in which no request failed', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-bench-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const json = path.join(folder, 'bench.json');
  const { code, stdout, stderr } = await bench('--quick', '--only', 'start,memory,accept,cache,knowledge', '--json', json);
  assert.equal(code, 0, `${stdout}\n${stderr}`);

  const report = JSON.parse(await readFile(json, 'utf8')) as Report;
  assert.equal(report.failed, 0);
  assert.equal(report.quick, true);
  assert.deepEqual(
    report.rows.map((row) => row.figure),
    [
      'start',
      'start',
      'start',
      'accept',
      'accept',
      'accept',
      'accept',
      'memory',
      'memory',
      'memory',
      'memory',
      'cache',
      ...Array<string>(12).fill('knowledge'),
    ],
  );
  for (const row of report.rows) {
    assert.ok(Number.isFinite(row.product) && row.product > 0, `${row.name}: ${row.product}`);
    if (row.figure !== 'cache' && row.figure !== 'knowledge') {
      assert.ok(row.floor !== null && row.floor > 0, `${row.name}: floor ${row.floor}`);
      assert.ok(row.ratio !== null && row.ratio > 0, `${row.name}: ratio ${row.ratio}`);
    }
    assert.ok(row.bar !== null || row.floorName === 'f3' || row.figure === 'knowledge', row.name);
    assert.ok(stdout.includes(row.name), `the table has no line "${row.name}":\n${stdout}`);
  }
  assert.match(stdout, /^figure +product +floor +ratio +bar/m);
  // These are no matter of the machine.
  assert.match(stdout, /^input read from the model's cache, 30 turns, floor of 512 tokens .* %  .* >= 85 % +met$/m);
  assert.match(stdout, /^input read from the model's cache, 40,000 tokens of knowledge in the prompt .* %  .* >= 85 % +met$/m);
});

test('bench --soak --quick: every question has one answer on both queues, and each process its line of the table', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-soak-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const json = path.join(folder, 'soak.json');
  const { code, stdout, stderr } = await bench('--soak', '--quick', '--json', json);
  assert.equal(code, 0, `${stdout}\n${stderr}`);

  const report = JSON.parse(await readFile(json, 'utf8')) as SoakReport;
  assert.equal(report.failed, 0);
  assert.match(stdout, /^mode +queue +warmed up +end +most +slope +floor rises +verdict$/m);
  const lines = report.rows.map(({ mode, queue, verdict }) => `${mode} ${queue} ${verdict}`);
  const expected = ['redis', 'postgres'].flatMap((queue) => ['api', 'worker', 'scheduler'].map((mode) => `${mode} ${queue} too short`));
  assert.deepEqual(lines, expected);
  for (const { mode, queue, samples } of report.rows) {
    assert.match(stdout, new RegExp(`^${mode} +${queue} .* too short$`, 'm'));
    assert.ok(samples.length > 10 && samples.every(({ megabytes }) => megabytes > 0), `${mode} on ${queue}`);
  }
  for (const { queue, asked, answered, ordered, arrived, webhooks, scrapes, ...wrong } of report.totals) {
    assert.ok(asked > 0 && ordered > 0 && scrapes > 0, `${queue}: a load was there`);
    assert.deepEqual({ answered, arrived }, { answered: asked, arrived: ordered }, queue);
    assert.ok(webhooks > 5 * asked, `${queue}: with what comes around a message`);
    assert.deepEqual(wrong, { doubled: 0, lost: 0, failed: 0, failures: {} }, queue);
    const count = asked.toLocaleString('en-US');
    assert.ok(stdout.includes(`${queue}: ${count} of ${count} questions answered`), stdout);
  }
});

test('bench refuses what it does not know, and explains itself', async () => {
  for (const [args, says] of [
    [['--soak', '--only', 'memory'], /--only: a soak measures none/],
    [['--minutes', '3'], /--minutes: belongs to --soak/],
    [['--soak', '--minutes', 'ten'], /--minutes: ten is not a number/],
  ] as const) {
    const refused = await bench(...args);
    assert.equal(refused.code, 2, args.join(' '));
    assert.match(refused.stderr, says);
  }
  const wrong = await bench('--only', 'speed');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--only: speed is none of start, accept/);
  const help = await bench('--help');
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Usage: npm run bench/);
});
