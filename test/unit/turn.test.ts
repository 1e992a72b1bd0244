import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_FAILED_TURNS, MAX_MESSAGE_CHARS, decideTurn, putOff, turnRetryDelay, turnTimeLimit } from '../../src/turns/decide.ts';
import { debounceDelay, presenceDelay } from '../../src/inbox/debounce.ts';
import type { Route } from '../../src/turns/routing-words.ts';
import type { TurnDecision, TurnSettings, TurnSnapshot } from '../../src/turns/decide.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const SETTINGS: TurnSettings = {
  maxMessageAgeMinutes: 120,
  models: { normal: 'normal', complex: 'complex' },
  abuse: { turnsPerDay: 100, tokensPerDay: 1_000_000 },
};
const AGENT = { model: null, model_complex: null };

function message(text: string, minutesAgo = 0, intent: string | null = null): TurnSnapshot['pending'][number] {
  const at = new Date(NOW.getTime() - minutesAgo * 60_000);
  return { type: 'text', text, at, created_at: at, intent };
}
function ago(minutes: number): Date {
  return message('', minutes).at;
}
/** Its webhook came just now. */
function late(text: string, minutesAgo: number): TurnSnapshot['pending'][number] {
  return { ...message(text, minutesAgo), created_at: NOW };
}
function person(minutesAgo: number, type = 'text'): TurnSnapshot['history'][number] {
  return { direction: 'out', author: 'human', type, text: '', at: message('', minutesAgo).at };
}
function turn(change: Partial<TurnSnapshot> = {}): TurnSnapshot {
  return {
    now: NOW,
    holder: 'agent',
    failed_in_row: 0,
    failing_since: null,
    deferred_since: null,
    deferred_reason: null,
    money: null,
    apologised_at: null,
    passed_over: false,
    pending: [message('oi')],
    history: [],
    quiet: null,
    today: { turns: 0, tokens: 0 },
    identity: null,
    agent: AGENT,
    ...change,
  };
}
const run = (model: string, other = 'complex', route: Route = 'plain'): TurnDecision => ({ kind: 'run', route, model, otherModel: other });
const talk = (direction: 'in' | 'out', count: number): TurnSnapshot['history'] =>
  Array.from({ length: count }, (_, index) => ({
    direction,
    author: direction === 'in' ? 'contact' : 'agent',
    type: 'text',
    text: `${direction} ${index}`,
    at: new Date(NOW.getTime() - (count - index) * 600_000),
  }));
const inbound = (count: number) => talk('in', count);
const outbound = (count: number) => talk('out', count);
const rounds = (count: number) => Array.from({ length: count }, () => [...inbound(1), ...outbound(2)]).flat();
const book = 'x'.repeat(MAX_MESSAGE_CHARS + 1);

const DECISIONS: [name: string, snapshot: Partial<TurnSnapshot>, expected: TurnDecision, settings?: Partial<TurnSettings>][] = [
  ['plain', {}, run('normal')],
  ['a person has it', { holder: 'human' }, { kind: 'leave', reason: 'human' }],
  ['a person types', { holder: 'takeover' }, { kind: 'leave', reason: 'takeover' }],
  ['manual mode', { holder: 'manual' }, { kind: 'leave', reason: 'manual' }],
  [
    'a person has it, whatever else',
    { holder: 'human', agent: null, failed_in_row: 9, pending: [message(book, 999)] },
    { kind: 'leave', reason: 'human' },
    { models: null },
  ],
  ['old', { pending: [message('oi', 121)] }, { kind: 'skip', reason: 'too_old', tellPerson: true }],
  ['grew old while the model was unavailable', { pending: [message('oi', 500)], deferred_since: ago(490) }, run('normal')],
  [
    'was old before that',
    { pending: [message('oi', 500)], deferred_since: ago(100) },
    { kind: 'skip', reason: 'too_old', tellPerson: true },
  ],
  [
    'waited for a day',
    { pending: [message('oi', 1441)], deferred_since: ago(1440) },
    { kind: 'skip', reason: 'too_old', tellPerson: true },
  ],
  ['exactly at the age', { pending: [message('oi', 120)] }, run('normal')],
  ['an old and a new one', { pending: [message('oi', 500), message('e aí?', 1)] }, run('normal')],
  ['newest is not last', { pending: [message('e aí?', 1), message('oi', 500)] }, run('normal')],
  ['old, and no model', { pending: [message('oi', 121)] }, { kind: 'skip', reason: 'too_old', tellPerson: true }, { models: null }],
  [
    'late, and a person wrote since',
    { pending: [late('oi', 50)], history: [person(40)] },
    { kind: 'skip', reason: 'answered_by_person', tellPerson: false },
  ],
  [
    'late and old, and a person wrote since',
    { pending: [late('oi', 150)], history: [person(140)] },
    { kind: 'skip', reason: 'answered_by_person', tellPerson: false },
  ],
  ['late, and a person wrote before', { pending: [late('oi', 50)], history: [person(60)] }, run('normal')],
  ['late, and a person only reacted', { pending: [late('oi', 50)], history: [person(40, 'reaction')] }, run('normal')],
  [
    'late, and one more came since the person wrote',
    { pending: [late('oi', 50), late('e agora?', 30)], history: [person(40)] },
    run('normal'),
  ],
  [
    'in time: the person’s takeover had its say, and somebody asks for an answer again',
    { pending: [message('oi', 50)], history: [person(40)] },
    run('normal'),
  ],
  ['of the future', { pending: [message('oi', -5)] }, run('normal')],
  ['no agent', { agent: null }, { kind: 'handoff', reason: 'no_agent', say: null }],
  ['no model', {}, { kind: 'handoff', reason: 'no_model', say: null }, { models: null }],
  ['no model, failed before', { failed_in_row: 3 }, { kind: 'handoff', reason: 'no_model', say: null }, { models: null }],
  ['failed twice', { failed_in_row: 2 }, run('normal')],
  ['failed three times', { failed_in_row: 3 }, { kind: 'handoff', reason: 'turn_failed', say: 'fallback' }],
  ['failed more often', { failed_in_row: 7 }, { kind: 'handoff', reason: 'turn_failed', say: 'fallback' }],
  ['a book and a question', { pending: [message(book), message('entendeu?')] }, run('normal')],
  ['just no book', { pending: [message(book.slice(1))] }, run('normal')],
  ['the model of the agent', { agent: { model: 'mine', model_complex: 'mine-too' } }, run('mine', 'mine-too')],
  [
    'one model for both: the other one of the installation is the spare',
    { agent: { model: 'complex', model_complex: null } },
    run('complex', 'normal'),
  ],
  [
    'the complex model of the agent',
    { agent: { model: 'mine', model_complex: 'mine-too' }, pending: [message('está caro')] },
    run('mine-too', 'mine', 'objection'),
  ],
  ['a long talk', { history: rounds(5) }, run('complex', 'normal', 'long_talk')],
  [
    'a long talk, whose beginning is not read any more',
    { history: [...inbound(9), ...outbound(25)] },
    run('complex', 'normal', 'long_talk'),
  ],
  [
    'a long talk of another day',
    { history: inbound(30).map((each) => ({ ...each, at: new Date(each.at.getTime() - 86_400_000) })) },
    run('normal'),
  ],
  ['not yet a long talk', { history: [...rounds(4), ...inbound(3)] }, run('normal')],
];
for (const [name, snapshot, expected, settings] of DECISIONS) {
  test(`I14 decideTurn: ${name}`, () => assert.deepEqual(decideTurn(turn(snapshot), { ...SETTINGS, ...settings }), expected));
}

const SAID: [row: string, name: string, snapshot: Partial<TurnSnapshot>, expected: object][] = [
  ['O13', 'an opt-out is confirmed', { pending: [message('SAIR', 0, 'opt_out')] }, { kind: 'canned', reason: 'opt_out_confirmed' }],
  [
    'O13',
    'with a question beside it',
    { pending: [message('quanto é?'), message('SAIR', 0, 'opt_out')] },
    { kind: 'canned', reason: 'opt_out_confirmed' },
  ],
  [
    'O13',
    'of two wishes in one burst the last is confirmed: out and back',
    { pending: [message('SAIR', 1, 'opt_out'), message('VOLTAR', 0, 'resubscribe')] },
    { kind: 'canned', reason: 'resubscribe_confirmed' },
  ],
  [
    'O13',
    'of two wishes in one burst the last is confirmed: back and out',
    { pending: [message('VOLTAR', 1, 'resubscribe'), message('SAIR', 0, 'opt_out')] },
    { kind: 'canned', reason: 'opt_out_confirmed' },
  ],
  ['O13', 'once', { pending: [message('SAIR', 0, 'opt_out_again')] }, { kind: 'skip', reason: 'opted_out_already', tellPerson: false }],
  ['O13', 'a question beside a repeat is answered', { pending: [message('SAIR', 0, 'opt_out_again'), message('oi')] }, run('normal')],
  ['O13', 'not hours later', { pending: [message('SAIR', 300, 'opt_out')] }, { kind: 'skip', reason: 'too_old', tellPerson: false }],
  ['O13', 'a person has it', { holder: 'human', pending: [message('SAIR', 0, 'opt_out')] }, { kind: 'leave', reason: 'human' }],
  [
    'O13',
    'a resubscription is confirmed',
    { pending: [message('VOLTAR', 0, 'resubscribe')] },
    { kind: 'canned', reason: 'resubscribe_confirmed' },
  ],
  ['L9', 'who asks for a robot is answered by the agent', { pending: [message('é um robô?', 0, 'bot_question')] }, run('normal')],
  [
    'L9',
    'or by a person, as the tenant wishes',
    { pending: [message('é um robô?', 0, 'bot_question')], identity: 'handoff' },
    { kind: 'handoff', reason: 'bot_question', say: 'honest' },
  ],
  [
    'X8',
    'too many turns in a day',
    { today: { turns: 100, tokens: 0 } },
    { kind: 'quiet', reason: 'abuse_daily_turns', quietSeconds: 21_600 },
  ],
  [
    'X8',
    'too many tokens in a day',
    { today: { turns: 3, tokens: 1_000_000 } },
    { kind: 'quiet', reason: 'abuse_daily_tokens', quietSeconds: 21_600 },
  ],
  ['X8', 'one less', { today: { turns: 99, tokens: 999_999 } }, run('normal')],
  [
    'X8',
    'quiet after a machine is prolonged by it',
    { quiet: { reason: 'abuse_loop', until: NOW } },
    { kind: 'quiet', reason: 'abuse_loop', say: null, quietSeconds: 3_600 },
  ],
  [
    'X8',
    'quiet after a long day ends by itself',
    { quiet: { reason: 'abuse_daily_turns', until: NOW } },
    { kind: 'quiet', reason: 'abuse_daily_turns', say: null, quietSeconds: null },
  ],
  [
    'X8',
    'an opt-out is heard in the quiet',
    { quiet: { reason: 'abuse_loop', until: NOW }, pending: [message('SAIR', 0, 'opt_out')] },
    { kind: 'canned', reason: 'opt_out_confirmed' },
  ],
];
for (const [row, name, snapshot, expected] of SAID)
  test(`${row} decideTurn: ${name}`, () => assert.partialDeepStrictEqual(decideTurn(turn(snapshot), SETTINGS), expected));

test('X8 decideTurn: without ABUSE_GATES nothing counts as abuse', () => {
  assert.deepEqual(decideTurn(turn({ today: { turns: 999, tokens: 9e9 } }), { ...SETTINGS, abuse: null }), run('normal'));
});

test('I11 decideTurn: only books -> a summary is asked for, without the model', () => {
  const decision = decideTurn(turn({ pending: [message(book), message(book)] }), SETTINGS);
  assert.deepEqual(decision, { kind: 'canned', reason: 'too_long', say: 'too_long' });
});

test('I3 debounceDelay: after the newest message, capped after the first', () => {
  const settings = { debounceMs: 3_000, debounceMaxMs: 15_000 };
  const after = (ms: number) => debounceDelay(NOW, new Date(NOW.getTime() + ms), settings);
  assert.deepEqual([0, 5_000, 12_000, 13_000, 15_000, 99_000].map(after), [3_000, 3_000, 3_000, 2_000, 0, 0]);
});

test('I3 debounceDelay: never negative, never beyond either limit, whatever the clocks say', () => {
  const any = fc.record({ debounceMs: fc.nat(60_000), debounceMaxMs: fc.nat(120_000) });
  fc.assert(
    fc.property(fc.integer({ min: -1e9, max: 1e9 }), any, (ms, settings) => {
      const delay = debounceDelay(NOW, new Date(NOW.getTime() + ms), settings);
      assert.ok(delay >= 0 && delay <= settings.debounceMs);
      assert.ok(ms < 0 || ms + delay <= Math.max(ms, settings.debounceMaxMs));
    }),
  );
});

test('I14 turnRetryDelay: three calls of 30 s and the waits between them fit into 120 s; after the last a person is called at once', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 9].map((failed) => turnRetryDelay(failed, 0)),
    [2_000, 8_000, 0, 0, 0],
  );
  assert.deepEqual(
    [1, 2, 3].map((failed) => turnRetryDelay(failed, 1)),
    [2_500, 10_000, 0],
  );
  let total = MAX_FAILED_TURNS * 30_000;
  for (let failed = 1; failed <= MAX_FAILED_TURNS; failed++) total += turnRetryDelay(failed, 1);
  assert.ok(total <= 120_000, String(total));
});

test('I14 decideTurn: turns that fail for a minute go to a person, but not after a single failure', () => {
  const since = (seconds: number, failed = 2) => ({ failed_in_row: failed, failing_since: new Date(NOW.getTime() - seconds * 1000) });
  assert.deepEqual(decideTurn(turn(since(600, 1)), SETTINGS), run('normal'), 'a pause may lie between');
  assert.deepEqual(decideTurn(turn(since(59)), SETTINGS), run('normal'));
  assert.deepEqual(decideTurn(turn(since(60)), SETTINGS), { kind: 'handoff', reason: 'turn_failed', say: 'fallback' });
});

const seconds = (count: number): Date => new Date(NOW.getTime() - count * 1_000);

test('I14 turnTimeLimit: the second try ends early enough for the fallback text within two minutes of the first', () => {
  assert.equal(turnTimeLimit(turn(), 60_000), 60_000);
  assert.equal(turnTimeLimit(turn({ failing_since: seconds(62) }), 60_000), 43_000);
  assert.equal(turnTimeLimit(turn({ failing_since: seconds(500) }), 60_000), 8_000);
  assert.equal(turnTimeLimit(turn({ failing_since: seconds(500) }), 1_000), 1_000, 'never more than is allowed');
});

test('L15 turnTimeLimit: a try while the model is unavailable ends early enough for the apology, until that is said', () => {
  const pending = [{ ...message('oi'), created_at: seconds(80) }, message('e aí?')];
  assert.equal(turnTimeLimit(turn({ pending }), 60_000), 60_000, 'the first try has all its time');
  assert.equal(turnTimeLimit(turn({ pending, deferred_since: seconds(40) }), 60_000), 25_000);
  assert.equal(turnTimeLimit(turn({ pending, deferred_since: seconds(40), deferred_reason: 'replies_wait' }), 60_000), 60_000);
  assert.equal(turnTimeLimit(turn({ pending, deferred_since: seconds(400), apologised_at: seconds(300) }), 60_000), 60_000);
});

test('L15 putOff: again after as long as it has waited, never before the model may be asked; what the contact hears, once an outage', () => {
  const after = (waited: number | null, retryInMs = 0, fault: 'nobody' | 'configuration' = 'nobody') =>
    putOff(turn({ deferred_since: waited === null ? null : seconds(waited) }), { fault, retryInMs }, 0).retry_ms;
  assert.deepEqual(
    [null, 0, 2, 7, 20, 400].map((waited) => after(waited)),
    [2_000, 2_000, 2_000, 7_000, 20_000, 30_000],
  );
  assert.deepEqual(
    [null, 60, 4_000].map((waited) => after(waited, 0, 'configuration')),
    [10_000, 60_000, 300_000],
  );
  assert.deepEqual([after(null, 55_000), after(400, 290_000), after(400, 1_000)], [55_000, 290_000, 30_000]);
  assert.equal(putOff(turn(), { fault: 'nobody', retryInMs: 0 }, 1).retry_ms, 2_500);
  const heard = (apologised: Date | null) => putOff(turn({ apologised_at: apologised }), { fault: 'nobody', retryInMs: 0 }, 0).apology_ms;
  assert.deepEqual([heard(null), heard(seconds(600)), heard(seconds(13 * 3_600))], [105_000, null, 105_000]);
});

test('X3 presenceDelay: typing waits for some seconds of silence, recording until the cap, and a message ends its own typing', () => {
  const settings = { debounceMs: 3_000, debounceMaxMs: 15_000 };
  const delay = (presence: string, firstMs: number, newestMs = firstMs, other = settings): number | null =>
    presenceDelay(presence, { firstAt: new Date(NOW.getTime() - firstMs), newestAt: new Date(NOW.getTime() - newestMs), now: NOW }, other);
  assert.equal(delay('composing', 4_000), 6_000, 'silence ends it soon');
  assert.equal(delay('composing', 11_000, 2_000), 4_000, 'never beyond the cap');
  assert.equal(delay('composing', 60_000), 0);
  assert.equal(
    delay('composing', 4_000, 4_000, { debounceMs: 10_000, debounceMaxMs: 60_000 }),
    10_000,
    'never shorter than after a message',
  );
  assert.equal(delay('recording', 4_000), 11_000);
  assert.equal(delay('paused', 4_000), 3_000);
  assert.equal(delay('paused', 100), 3_000);
  // The webhook of the typing that this message ended came after the message.
  for (const presence of ['composing', 'recording']) {
    assert.equal(delay(presence, 0), null);
    assert.equal(delay(presence, 9_000, 799), null);
    assert.equal(delay(presence, 9_000, 800), 6_000); // what is left of the cap, too
  }
});
