/** What `why` says of the model and its money. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../src/watch/timeline.ts';
import type { TimelineEntry } from '../../src/watch/timeline.ts';

const at = new Date('2026-11-29T12:00:00Z');
const CONVERSATION = {
  id: 1,
  instance: 'julia-dev',
  controlled_by: 'ai',
  escalation_reason: null,
  takeover_until: null,
  paused: null,
  opted_out: false,
  put_off: null,
};
const used = { input_tokens: 90, output_tokens: 60, thinking_tokens: 40, cache_read_tokens: 1_500, cache_write_tokens: 10 };
const call = {
  what: 'model_call' as const,
  id: 2,
  at,
  turn_id: 1,
  model: 'claude-opus-5-5',
  ms: 1_200,
  cost_usd: 0.00223,
  cache_miss: null,
};
const told = (entry: TimelineEntry): string => {
  const [line] = explain(CONVERSATION, [entry], null, at, (time) => time.toISOString()).entries;
  return `${line?.says} | ${line?.why ?? ''}`;
};

test('L16 why tells what the cache had, what was written to it, what was thinking, and the money of each call', () => {
  assert.equal(
    told({ ...call, ...used, outcome: 'end_turn', estimated: false, detail: null }),
    'the model claude-opus-5-5 worked 1.2 s and answered | 1600 tokens in, 60 out, US$ 0.002230 (1500 read from the cache, 10 written to the cache, 40 of the output thinking)',
  );
  const nothing = { input_tokens: 1_600, output_tokens: 0, thinking_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0 };
  assert.match(
    told({ ...call, ...nothing, outcome: 'aborted', estimated: true, detail: null }),
    /broken off.* \| 1600 tokens in, 0 out, about US\$ 0\.002230 for what it had been given$/,
  );
  assert.match(
    told({ ...call, ...used, cost_usd: null, outcome: 'end_turn', estimated: false, detail: null }),
    /no price is known for this model/,
  );
});

test('L14 why tells a refusal and the category that the model named', () => {
  assert.match(
    told({ ...call, ...used, outcome: 'refusal', estimated: false, detail: 'cyber' }),
    /declined to answer these words \(cyber\)/,
  );
});

test('L16 a turn tells the calls that are in no sum', () => {
  const turn = { what: 'turn' as const, id: 1, at, status: 'committed', reason: null, model: 'claude-of-tomorrow', ended_at: at };
  assert.match(
    told({
      ...turn,
      ...used,
      cost_usd: 0,
      agent: null,
      agent_version: null,
      prompt_hash: null,
      verdict: null,
      route: null,
      unpriced_calls: 2,
    }),
    /US\$ 0\.000000, and 2 calls of a model without a price/,
  );
});
