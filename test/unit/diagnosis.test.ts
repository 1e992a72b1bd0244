import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthy, judgeClock, judgeDisk, judgeProcesses, judgeRights } from '../../src/watch/diagnosis.ts';

test('A11 doctor: a clock counts as off only beyond what whole seconds and the way there explain', () => {
  const noon = Date.UTC(2026, 10, 23, 12);
  const judged = (theirs: number, tookMs = 50) => judgeClock('Evolution', theirs, noon, noon + tookMs).status;
  for (const theirs of [noon, noon - 900, noon + 40, noon - 1_000 - 9_000, noon + 50 + 9_000])
    assert.equal(judged(theirs), 'ok', String(theirs - noon));
  assert.equal(judged(noon - 12_000), 'warning');
  assert.equal(judged(noon + 61_000), 'warning');
  assert.equal(judged(noon - 122_000), 'failed');
  assert.equal(judged(noon + 5_000, 6_000), 'ok', 'a slow answer proves nothing');
  assert.match(judgeClock('Evolution', noon - 301_000, noon, noon).says, /of Evolution differs by 300 s/);
});

test('A11 doctor: a disk is a warning below a tenth and a failure below three hundredths', () => {
  const judged = (free: number) => judgeDisk('/', free * 1e9, 100e9).status;
  assert.deepEqual([50, 10, 9, 3, 2, 0].map(judged), ['ok', 'ok', 'warning', 'warning', 'failed', 'failed']);
  assert.equal(judgeDisk('/', 0, 0).status, 'ok', 'a file system that tells nothing');
});

test('A11 doctor: missing processes are named, with the command that starts each', () => {
  assert.equal(judgeProcesses({ api: 1, worker: 59, scheduler: 3 }, 60).status, 'ok');
  const found = judgeProcesses({ api: 1, worker: 61 }, 60);
  assert.deepEqual([found.status, found.says], ['failed', 'no worker and no scheduler has shown a sign of life for 60 s']);
  assert.match(found.mend ?? '', /up -d worker scheduler; without containers RUN_MODE=worker npm start, RUN_MODE=scheduler npm start$/);
  const finding = { check: 'disk', says: '', mend: null } as const;
  assert.equal(
    healthy([
      { ...finding, status: 'ok' },
      { ...finding, status: 'warning' },
      { ...finding, status: 'skipped' },
    ]),
    true,
  );
  assert.equal(
    healthy([
      { ...finding, status: 'ok' },
      { ...finding, status: 'failed' },
    ]),
    false,
  );
});

test('Z14 doctor: in production a product that comes as an owner, a superuser or who may change the audit is told of', () => {
  const runtime = { role: 'julia', superuser: false, owner: false, audit: false };
  for (const production of [true, false]) assert.equal(judgeRights(runtime, production).status, 'ok');
  for (const [more, says] of [
    [{ superuser: true }, /as julia, a superuser/],
    [{ owner: true }, /who owns its tables/],
    [{ audit: true }, /who may change the audit/],
  ] as const) {
    assert.deepEqual(
      [judgeRights({ ...runtime, ...more }, true).status, judgeRights({ ...runtime, ...more }, false).status],
      ['warning', 'ok'],
    );
    assert.match(judgeRights({ ...runtime, ...more }, true).says, says);
  }
});
