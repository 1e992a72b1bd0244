/** A missed machine costs cents, an ignored customer costs the customer: what people write in a hurry, angry, bored or happy is never abuse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { abuseOf } from '../../src/turns/checks/abuse.ts';
import type { AbuseMessage } from '../../src/turns/checks/abuse.ts';
import { BURSTS, LINES } from '../support/ordinary-talks.ts';

const START = new Date('2026-03-02T12:00:00Z').getTime();
const LIMITS = { turnsPerDay: 1_000, tokensPerDay: 100_000_000 };
const OURS = ['Oi! Como posso ajudar?', 'Temos sim. Quer que eu separe?', 'Custa R$ 50.', 'Certo, anotado.', 'Para que dia?'];

/** Milliseconds that a hand takes for a message, after reading ours or after the one before. */
type Burst = { texts: readonly string[]; readMs: number; eachMs: number };

/** The first word that any of these turns would be refused with; null: all are answered. */
function refused(talk: readonly Burst[]): string | null {
  const history: AbuseMessage[] = [];
  let now = START;
  for (const [index, { texts, readMs, eachMs }] of talk.entries()) {
    now += readMs;
    const pending = texts.map((text, n): AbuseMessage => {
      const type = text.startsWith('[') ? text.slice(1, -1) : 'text';
      return { direction: 'in', author: 'contact', type, text, at: new Date(Math.floor((now + n * eachMs) / 1000) * 1000) };
    });
    now += texts.length * eachMs + 3_000;
    const snapshot = { now: new Date(now), history: history.slice(-100), pending, today: { turns: index, tokens: 0 }, waitedSince: null };
    const reason = abuseOf(snapshot, LIMITS);
    if (reason !== null) return `${reason} at ${index + 1}: ${texts.join(' | ')}`;
    now += 2_000;
    history.push(...pending, { direction: 'out', author: 'agent', type: 'text', text: OURS[index % OURS.length] ?? '', at: new Date(now) });
  }
  return null;
}

for (const texts of BURSTS)
  test(`X8 people: "${texts.slice(0, 4).join(' | ')} …" is answered, also when it comes again after an answer`, () => {
    const burst = { texts, readMs: 9_000, eachMs: 1_500 };
    assert.equal(refused([burst]), null);
    assert.equal(refused([burst, { texts: ['e aí?'], readMs: 30_000, eachMs: 1_500 }, burst]), null);
  });

test('X8 people: albums, voice notes and stickers in a row', () => {
  for (const kind of ['[image]', '[audio]', '[sticker]', '[document]'])
    assert.equal(refused([{ texts: Array.from({ length: 25 }, () => kind), readMs: 5_000, eachMs: 700 }]), null, kind);
});

test('X8 people: over random talks of ordinary lines, in bursts, at the pace of hands, nobody is taken for a machine', () => {
  const burst = (texts: readonly string[]) =>
    fc.record({
      texts: fc.constant(texts),
      readMs: fc.integer({ min: 4_000, max: 90_000 }),
      eachMs: fc.integer({ min: 1_200, max: 9_000 }),
    });
  const talk = fc
    .tuple(fc.shuffledSubarray([...LINES], { minLength: 20 }), fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 20, maxLength: 20 }))
    .map(([lines, sizes]) => {
      const left = [...lines];
      return sizes.map((size) => left.splice(0, size)).filter((texts) => texts.length > 0);
    })
    .chain((bursts) => fc.tuple(...bursts.map(burst)));
  fc.assert(
    fc.property(fc.noBias(talk), (bursts) => assert.equal(refused(bursts), null)),
    { numRuns: 300 },
  );
});
