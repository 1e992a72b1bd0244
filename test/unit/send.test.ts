import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { splitAnswer, typingTimes } from '../../src/turns/answer.ts';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { jidVariants } from '../../src/words/phone.ts';
import { absenceProves, FIRST_LOOK_MS, matchEcho, nextLook, retryDelay } from '../../src/outbox/decide.ts';

const AT = new Date('2026-03-02T12:00:00Z');

test('O3 retry: waits grow with the attempts, within their bounds', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((attempts) => retryDelay(attempts, 0)),
    [5_000, 15_000, 45_000, 135_000, 405_000],
  );
  fc.assert(
    fc.property(fc.integer({ min: -3, max: 10_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempts, random) => {
      const wait = retryDelay(attempts, random);
      assert.ok(Number.isInteger(wait) && wait >= 5_000 && wait <= 750_000);
    }),
  );
});

/** When each look at a doubtful send begins, in ms from its claim; each look takes `lookMs`. */
function looksOf(reason: string, firstMs: number, lookMs: number): number[] {
  const begins = [firstMs];
  for (;;) {
    const at = begins.at(-1) ?? 0;
    const wait = nextLook({ reason, claimed_at: AT, looks: begins.length, now: new Date(AT.getTime() + at) });
    if (wait === null) return begins;
    begins.push(at + lookMs + wait);
    assert.ok(begins.length < 50);
  }
}

test('W2 doubt: a send that nobody can settle is given up within two minutes of its claim, however slowly looks fail', () => {
  const lookMs = [0, 100, 1_000, 6_000];
  // An answer, or the patience of the client, comes within 90 s; the death of a worker is seen when its lease is over, or when its job is taken up.
  for (const look of lookMs) {
    for (const ambiguousAt of [0, 1_000, 20_000, 60_000, 90_000]) {
      const last = (looksOf('timeout', ambiguousAt + FIRST_LOOK_MS, look).at(-1) ?? 0) + look;
      assert.ok(last <= 120_000, `answer after ${ambiguousAt}, looks of ${look}: ${last}`);
    }
    for (const seenAt of [30_000, 45_000, 60_000]) {
      const last = (looksOf('worker_lost', seenAt, look).at(-1) ?? 0) + look;
      assert.ok(last <= 120_000, `seen after ${seenAt}, looks of ${look}: ${last}`);
    }
  }
});

test('W2 doubt: the last look is late enough for absence to prove something, and never the only one', () => {
  for (const reason of ['timeout', 'worker_lost', 'restored'])
    for (const firstMs of [2_000, 31_000, 92_000, 600_000, 86_400_000]) {
      const begins = looksOf(reason, firstMs, 100);
      const last = begins.at(-1) ?? 0;
      assert.ok(begins.length >= 3, reason);
      assert.equal(absenceProves({ reason, claimed_at: AT, now: new Date(AT.getTime() + last) }), reason === 'worker_lost');
      assert.ok(last - firstMs < 120_000);
    }
  assert.equal(
    absenceProves({ reason: 'worker_lost', claimed_at: AT, now: new Date(AT.getTime() + 99_000) }),
    false,
    'a call may be at work in Evolution yet',
  );
});

function own(text: string, overrides: Partial<Record<string, unknown>> = {}): InboundEvent {
  return {
    kind: 'message',
    providerId: text,
    fromMe: true,
    sentAt: AT.toISOString(),
    content: { type: 'text', text },
    ...overrides,
  } as unknown as InboundEvent;
}

test('O2 echo: our words are known again whatever became of the white space, oldest first', () => {
  const found = [
    own('b', { content: { text: 'Oi,  tudo\nbem? ' }, sentAt: new Date(AT.getTime() + 5_000).toISOString() }),
    own('a', { content: { text: 'Oi, tudo bem?' } }),
  ];
  assert.deepEqual(matchEcho({ type: 'text', text: ' Oi, tudo bem?' }, found, AT), ['a', 'b']);
});

test('O2 echo: not the contact’s words, not older ones, not other ones, and a reaction is no message', () => {
  const early = new Date(AT.getTime() - 1).toISOString();
  const found = [own('Ok', { fromMe: false }), own('Ok', { sentAt: early }), own('ok'), own('Ok', { kind: 'reaction', emoji: 'Ok' })];
  assert.deepEqual(matchEcho({ type: 'text', text: 'Ok' }, found, AT), []);
  assert.deepEqual(matchEcho({ type: 'reaction', text: 'Ok' }, found, AT), ['Ok']);
});

test('I12 both ways to write a Brazilian mobile are looked at; other addresses have one', () => {
  assert.deepEqual(jidVariants('5531988776655@s.whatsapp.net'), ['5531988776655@s.whatsapp.net', '553188776655@s.whatsapp.net']);
  assert.deepEqual(jidVariants('553188776655@s.whatsapp.net'), ['553188776655@s.whatsapp.net', '5531988776655@s.whatsapp.net']);
  for (const jid of ['551133334444@s.whatsapp.net', '14155550123@s.whatsapp.net', '123456789012345@lid', '120363043111111111@g.us']) {
    assert.deepEqual(jidVariants(jid), [jid]);
  }
});

test('O7 split: nothing is lost but white space, nothing is longer than the limit, no emoji is halved', () => {
  const sentence = fc.stringMatching(/^[A-Za-zÀ-ú0-9 ,]{1,60}[.!?…\n]{1,2} ?$/);
  const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(
      fc.array(fc.oneof(sentence, word), { maxLength: 60 }).map((pieces) => pieces.join(' ')),
      fc.integer({ min: 20, max: 400 }),
      (text, limit) => {
        const parts = splitAnswer(text, limit);
        const bare = (value: string) => value.replaceAll(/\s+/g, '');
        assert.equal(bare(parts.join('')), bare(text));
        for (const part of parts) {
          assert.ok(part.length <= limit && part.trim() !== '', JSON.stringify(part));
          assert.ok(part.isWellFormed() || !text.isWellFormed());
        }
      },
    ),
  );
});

test('O7 split: at sentence ends', () => {
  const sentences = Array.from(
    { length: 12 },
    (_, index) => `Esta é a frase de número ${index}, que tem um tamanho comum para uma conversa.`,
  );
  const parts = splitAnswer(sentences.join(' '));
  assert.ok(parts.length > 1);
  for (const part of parts) assert.match(part, /^Esta é .*conversa\.$/);
});

test('O9 delay: within its range, and what the contact has waited already is taken off the first part', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 400 }), { minLength: 1, maxLength: 5 }),
      fc.nat(60_000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (parts, spent, random) => {
        const [first = 0, ...rest] = typingTimes(parts, spent, random);
        assert.ok(first >= 400 && first <= Math.max(400, 9_000 - spent));
        for (const ms of rest) assert.ok(ms >= 787 && ms <= 9_000);
      },
    ),
  );
});
