/** What contacts mean by their words for days and hours: a table, and properties over zones, moments and any words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dayFrom, momentOf, momentWords } from '../../src/words/dates.ts';
import { instantOf, zoneOf } from '../../src/words/zone.ts';
import { DATE_PHRASES } from '../fixtures/date-phrases.ts';

const SAO_PAULO = zoneOf('America/Sao_Paulo');
const wallOf = (zone: ReturnType<typeof zoneOf>, at: Date) =>
  new Date(at.getTime() + zone.offset(at.getTime())).toISOString().slice(0, 16).replace('T', ' ');
const at = (zone: ReturnType<typeof zoneOf>, wall: string) => new Date(instantOf(zone, Date.parse(`${wall.replace(' ', 'T')}:00Z`)));

const TABLE = Object.entries(DATE_PHRASES).flatMap(([now, lines]) =>
  lines
    .split('\n')
    .slice(1)
    .map((line) => line.split('|').map((each) => each.trim()))
    .map(([phrase = '', meant = '']) => ({ now, phrase, meant })),
);

test('L11: a table of phrases: the minute that is meant, or a question back', () => {
  assert.ok(TABLE.length >= 120, `${TABLE.length} phrases`);
  const wrong = TABLE.flatMap(({ now, phrase, meant }) => {
    const moment = momentOf(phrase, at(SAO_PAULO, now), SAO_PAULO);
    const found = moment.kind === 'at' ? wallOf(SAO_PAULO, moment.at) : `? ${moment.asks}`;
    return found === meant ? [] : [`${now}, ${phrase}: ${found}, not ${meant}`];
  });
  assert.deepEqual(wrong, []);
});

test('L11: the confirmation names weekday, date and hour; a question is one', () => {
  const now = at(SAO_PAULO, '2026-11-25 10:20');
  assert.deepEqual(momentOf('terça às 10', now, SAO_PAULO), {
    kind: 'at',
    at: new Date('2026-12-01T13:00:00Z'),
    words: 'terça-feira, 01/12/2026, às 10:00',
  });
  assert.deepEqual(momentOf('amanhã às 3', now, SAO_PAULO), { kind: 'ask', asks: 'hour', question: 'Às 03:00 ou às 15:00?' });
  for (const { now, phrase } of TABLE) {
    const moment = momentOf(phrase, at(SAO_PAULO, now), SAO_PAULO);
    if (moment.kind === 'ask') assert.match(moment.question, /\?$/, phrase);
  }
});

test('L11: a time that the clocks leave out is the one after it, a time that comes twice the first', () => {
  const berlin = zoneOf('Europe/Berlin');
  // 29 March 2026: from 2 to 3. 25 October: from 3 back to 2.
  const gap = momentOf('amanhã às 02:30', at(berlin, '2026-03-28 12:00'), berlin);
  assert.deepEqual(gap, { kind: 'at', at: new Date('2026-03-29T01:30:00Z'), words: 'domingo, 29/03/2026, às 03:30' });
  const fold = momentOf('amanhã às 02:30', at(berlin, '2026-10-24 12:00'), berlin);
  assert.deepEqual(fold, { kind: 'at', at: new Date('2026-10-25T00:30:00Z'), words: 'domingo, 25/10/2026, às 02:30' });
  // hours are hours, also over a change
  const over = momentOf('daqui a 24 horas', at(berlin, '2026-03-28 12:00'), berlin);
  assert.equal(over.kind === 'at' && over.words, 'domingo, 29/03/2026, às 13:00');
});

const ZONES = [
  'America/Sao_Paulo',
  'America/Noronha',
  'America/Rio_Branco',
  'Europe/Lisbon',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Pacific/Chatham',
  'UTC',
].map(zoneOf);
const zone = fc.constantFrom(...ZONES);
const moment = fc.date({ min: new Date('2024-01-01T00:00:00Z'), max: new Date('2033-01-01T00:00:00Z'), noInvalidDate: true });
const phrase = fc.oneof(
  fc.constantFrom(...TABLE.map(({ phrase }) => phrase)),
  fc.array(fc.constantFrom(...TABLE.flatMap(({ phrase }) => phrase.split(' '))), { maxLength: 8 }).map((words) => words.join(' ')),
  fc.string({ maxLength: 60, unit: 'binary' }),
);
const YEAR_MS = 365 * 86_400_000;

test('L11: any words, at any moment, in any zone: a whole minute to come within a year, or a question; the words name it', () => {
  fc.assert(
    fc.property(phrase, moment, zone, (words, now, zone) => {
      const meant = momentOf(words, now, zone);
      if (meant.kind === 'ask') return meant.question.endsWith('?');
      const ahead = meant.at.getTime() - now.getTime();
      return ahead > 0 && ahead <= YEAR_MS && meant.at.getTime() % 60_000 === 0 && meant.words === momentWords(meant.at, zone);
    }),
    { numRuns: 5_000 },
  );
});

test('L11: case, accents and marks change nothing', () => {
  fc.assert(
    fc.property(fc.constantFrom(...TABLE), zone, ({ phrase, now }, zone) => {
      const plain = phrase.normalize('NFD').replaceAll(/\p{M}/gu, '').toUpperCase();
      assert.deepEqual(momentOf(`  ${plain} !`, at(zone, now), zone), momentOf(phrase, at(zone, now), zone));
    }),
  );
});

test('L11: tomorrow at an hour is that hour of the next day on the clocks of the zone, but where they leave it out', () => {
  fc.assert(
    fc.property(moment, zone, fc.integer({ min: 7, max: 23 }), (now, zone, hour) => {
      const meant = momentOf(`amanhã às ${hour}h`, now, zone);
      const next = Math.floor((now.getTime() + zone.offset(now.getTime())) / 86_400_000) + 1;
      assert.ok(meant.kind === 'at');
      assert.equal(meant.at.getTime() + zone.offset(meant.at.getTime()), next * 86_400_000 + hour * 3_600_000);
      assert.equal(dayFrom(meant.at, now, zone), 'amanhã');
    }),
    { numRuns: 2_000 },
  );
});

test('L11: long words and many figures are read in a moment', () => {
  for (const word of ['as ', '1 ', 'dia 1 de ', 'daqui a ', '9:', 'e meia ', 'a']) {
    const words = word.repeat(50_000);
    assert.ok(momentOf(words, new Date(0), SAO_PAULO).kind);
  }
});
