import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONDITIONS } from '../../src/watch/alert-conditions.ts';
import type { Snapshot } from '../../src/watch/alert-conditions.ts';
import { libraryFault, releaseFault, takesMessageId } from '../../src/whatsapp/release.ts';

test('W13 release: which one takes our ids, and which one is too old', () => {
  const cases: [version: string, takes: boolean, tooOld: boolean][] = [
    ['2.2.3', false, true],
    ['2.3.6', false, true],
    ['2.3.7', false, false],
    ['2.3.10', false, false],
    ['2.4', true, false],
    ['2.4.0', true, false],
    ['2.4.0-rc2', true, false],
    ['v2.5.1', true, false],
    ['3.0.0', true, false],
    ['1.8.7', false, true],
    ['latest', false, true],
    ['', false, true],
  ];
  for (const [version, takes, tooOld] of cases)
    assert.deepEqual([takesMessageId(version), releaseFault(version) !== null], [takes, tooOld], version);
  assert.equal(takesMessageId(null), false);
});

test('Z1 release: which one lets strangers write as anybody, which one may, and which one is not known to', () => {
  const says = (version: string): string => (libraryFault(version) ?? 'nothing').replace(/^Evolution \S* ?(\w+).*$/, '$1');
  assert.deepEqual(['2.3.6', '2.3.7', '2.4.0-rc2', '2.4.0', '2.4.1', '3.0.0', 'latest'].map(says), [
    'carries',
    'carries',
    'may',
    'may',
    'nothing',
    'nothing',
    'carries',
  ]);
});

test('W13 alert: a breaker that a missing licence opened names the page that activates it', () => {
  const opened = CONDITIONS.find(({ name }) => name === 'breaker_open');
  const breakers = [{ breaker: 'evolution', instance: 'julia', reason: 'unlicensed' }];
  const snapshot = { breakers, numbers: [], gateway: 'http://evolution:8080' };
  const [held] = opened?.held(snapshot as unknown as Snapshot) ?? []; // the condition reads nothing else
  assert.match(held?.text ?? '', /LICENSE_REQUIRED\): abra http:\/\/evolution:8080\/manager\/login\./);
});
