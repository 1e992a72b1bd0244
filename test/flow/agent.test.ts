/** The agent's loop against the simulator's Messages API, and against a server of a few lines where the wire itself matters. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { z } from 'zod';
import { modelOf } from '../../simulator/claude-models.ts';
import { startSimulator } from '../../simulator/index.ts';
import type { Simulator } from '../../simulator/index.ts';
import { runAgent } from '../../src/turns/agent.ts';
import type { AgentOutcome, AgentRun } from '../../src/turns/agent.ts';
import { createBreakers } from '../../src/breakers/breakers.ts';
import { PRICES } from '../../src/claude/prices.ts';
import { buildPrompt } from '../../src/turns/prompt.ts';
import { NOTHING_KNOWN } from '../../src/knowledge/knowledge.ts';
import type { Prompt, PromptMessage } from '../../src/turns/prompt.ts';
import { createLlm } from '../../src/claude/llm.ts';
import type { ModelRequest } from '../../src/claude/llm.ts';
import { TOOLS } from '../../src/turns/tools/all.ts';
import type { LookupTool } from '../../src/turns/tools/tool.ts';

const FIGURES = { failures: 1_000, resetSeconds: 60, maxResetSeconds: 60 };
let simulator: Simulator;
let breaker: AgentRun['breaker'];
before(async () => {
  simulator = await startSimulator();
});
after(() => simulator.close());
beforeEach((t) => {
  simulator.reset();
  const breakers = createBreakers(
    { evolution: FIGURES, claude: FIGURES, database: FIGURES },
    { process: 'test', onTransition: () => {}, probe: async () => null, takeTrial: async () => true, endTrial: () => {} },
  );
  (t as unknown as { after(hook: () => void): void }).after(() => breakers[Symbol.dispose]());
  breaker = (model) => breakers.claude(model);
});

const message = (text: string, direction: 'in' | 'out' = 'in'): PromptMessage => ({
  id: 1,
  direction,
  author: direction === 'in' ? 'contact' : 'agent',
  type: 'text',
  text,
  at: new Date(0),
  quoted_text: null,
});

function promptOf(pending: string, history: PromptMessage[] = []): Prompt {
  const agent = { name: 'Julia', tone: 'Cordial.', instructions: 'Ajude.', promises: 'Nada.', language: 'pt-BR' as const };
  return buildPrompt({
    known: NOTHING_KNOWN,
    model: 'claude-haiku-5-5',
    agent,
    company: 'Sol',
    contactName: null,
    memory: [],
    history,
    pending: [message(pending)],
    now: new Date(0),
    timeZone: 'UTC',
  });
}
function run(change: Partial<AgentRun> = {}, limits: Partial<AgentRun['limits']> = {}): Promise<AgentOutcome> {
  return runAgent({
    llm: createLlm({ apiKey: 'sk-test', baseUrl: simulator.anthropicUrl }),
    breaker,
    limits: { maxTokens: 300, effort: 'low', maxToolRounds: 3, callTimeoutMs: 5_000, turnTimeoutMs: 10_000, ...limits },
    model: 'claude-haiku-5-5',
    fallbackModel: 'claude-sonnet-5-5',
    promptFor: () => promptOf('oi'),
    spareModels: [],
    declinedBy: [],
    previous: null,
    budget: null,
    check: null,
    tools: [...TOOLS],
    situation: { pending: [{ id: 5, type: 'text' }], now: new Date('2026-11-25T13:20:00Z'), timeZone: 'UTC' },
    signal: new AbortController().signal,
    ...change,
  });
}
function answered(outcome: AgentOutcome): Extract<AgentOutcome, { kind: 'answer' }> {
  assert.equal(outcome.kind, 'answer', JSON.stringify(outcome));
  return outcome;
}
function failed(outcome: AgentOutcome): { reason: string; fault: string; outcomes: string[] } {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  const { reason, fault, modelCalls } = outcome;
  return { reason, fault, outcomes: modelCalls.map((call) => call.outcome) };
}
const fact = (text: string) => ({ name: 'remember', input: { fact: text } });
const requests = () => simulator.wire().claude.map((call) => JSON.stringify(call.request));

test('L1 a tool runs, the model hears of it, and words said beside it are said too', async () => {
  simulator.script([{ text: 'Um momento.', tools: [fact('prefere manhãs')] }, { text: 'Anotado!' }]);
  const outcome = answered(await run());
  assert.equal(outcome.text, 'Um momento.\n\nAnotado!');
  assert.deepEqual(outcome.effects, [{ type: 'remember', fact: 'prefere manhãs', kind: 'other', about: '' }]);
  assert.deepEqual(
    outcome.toolCalls.map(({ name, ok, output }) => [name, ok, output]),
    [['remember', true, 'Anotado.']],
  );
  assert.deepEqual(
    outcome.modelCalls.map((call) => call.outcome),
    ['tool_use', 'end_turn'],
  );
  assert.ok(outcome.modelCalls.every((call) => call.output_tokens > 0 && (call.cost_usd ?? 0) > 0));
  assert.equal(outcome.transcript.length, 3);
});

test('L1 at most 3 tool rounds: the fourth call must end in words, and what it still wants is not run', async () => {
  simulator.script([1, 2, 3, 4, 5].map((n) => ({ text: n === 4 ? 'Chega.' : '', tools: [fact(`fato ${n}`)] })));
  const outcome = answered(await run());
  assert.equal(simulator.wire().claude.length, 4);
  assert.equal(outcome.text, 'Chega.');
  assert.deepEqual(
    outcome.effects.map((effect) => effect.type === 'remember' && effect.fact),
    ['fato 1', 'fato 2', 'fato 3'],
  );
  assert.match(requests()[3] ?? '', /"tool_choice":{"type":"none"}/);
  assert.doesNotMatch(requests()[2] ?? '', /tool_choice/);
});

const lookup = (name: string, look: LookupTool['lookup']): LookupTool => ({
  name,
  description: 'reads',
  input: z.object({ order: z.string() }),
  lookup: look,
});

test('L1 a tool that reads is asked in the loop, one after the other, and the model has what it said', async () => {
  const asked: string[] = [];
  const read = lookup('read_order', async (input) => {
    asked.push((input as { order: string }).order);
    await Promise.resolve();
    return { ok: asked.length === 1, output: `lido ${asked.length}` };
  });
  const order = (id: string) => ({ name: 'read_order', input: { order: id } });
  simulator.script([{ tools: [order('7'), order('8')] }, { text: 'Pronto.' }]);
  const outcome = answered(await run({ tools: [...TOOLS, read] }));
  assert.deepEqual(asked, ['7', '8']);
  assert.deepEqual(outcome.effects, []);
  assert.deepEqual(
    outcome.toolCalls.map(({ input, ok, output }) => [input, ok, output]),
    [
      [{ order: '7' }, true, 'lido 1'],
      [{ order: '8' }, false, 'lido 2'],
    ],
  );
  assert.match(requests()[1] ?? '', /lido 1.*lido 2/);
});

test('L1 a lookup ends with the turn: when its answer is not wanted, and when its time is over', async () => {
  const waits = lookup('read_order', (_input, _situation, signal) => {
    const { promise, resolve } = Promise.withResolvers<{ ok: boolean; output: string }>();
    signal.addEventListener('abort', () => resolve({ ok: false, output: 'parado' }), { once: true });
    unwanted.abort();
    return promise;
  });
  const unwanted = new AbortController();
  simulator.script([{ tools: [{ name: 'read_order', input: { order: '7' } }] }, { text: 'Pronto.' }]);
  assert.equal((await run({ tools: [waits], signal: unwanted.signal })).kind, 'aborted');
  assert.equal(simulator.wire().claude.length, 1);

  simulator.script([{ tools: [{ name: 'read_order', input: { order: '7' } }] }, { text: 'Pronto.' }]);
  assert.equal((await run({ tools: [waits] }, { turnTimeoutMs: 800 })).kind, 'failed');
});

test('L1 tools for ever and never a word is a failure, not silence', async () => {
  simulator.script([{ tools: [fact('x')], repeat: true }]);
  assert.deepEqual(failed(await run()), {
    reason: 'model_empty_answer',
    fault: 'answer',
    outcomes: ['tool_use', 'tool_use', 'tool_use', 'end_turn'],
  });
});

test('L1 an invalid input and an unknown tool are told to the model and have no effect', async () => {
  simulator.script([
    {
      tools: [
        { name: 'handoff_to_human', input: { summary: 3 } },
        { name: 'transfer_money', input: { to: 'me' } },
        { name: 'react', input: { emoji: 'abc' } },
      ],
    },
    { text: 'Certo.' },
  ]);
  const outcome = answered(await run());
  assert.deepEqual(outcome.effects, []);
  assert.deepEqual(
    outcome.toolCalls.map((call) => [call.name, call.ok]),
    [
      ['handoff_to_human', false],
      ['transfer_money', false],
      ['react', false],
    ],
  );
  assert.match(outcome.toolCalls[0]?.output ?? '', /Entrada inválida/);
  assert.match(outcome.toolCalls[1]?.output ?? '', /não existe/);
  assert.match(requests()[1] ?? '', /"is_error":true/);
});

test('L1 a tool that this agent does not have is refused even though it exists', async () => {
  simulator.script([{ tools: [{ name: 'opt_out', input: {} }] }, { text: 'Certo.' }]);
  const outcome = answered(await run({ tools: TOOLS.filter((tool) => tool.name !== 'opt_out') }));
  assert.deepEqual(outcome.effects, []);
  assert.equal(outcome.toolCalls[0]?.ok, false);
});

test('L1 asked for twice in a turn, an effect happens once', async () => {
  simulator.script([
    { tools: [fact('a'), fact('a'), { name: 'opt_out', input: {} }] },
    { tools: [{ name: 'opt_out', input: {} }, fact(' a ')] },
    { text: 'Pronto.' },
  ]);
  assert.deepEqual(answered(await run()).effects, [{ type: 'remember', fact: 'a', kind: 'other', about: '' }, { type: 'opt_out' }]);
});

test('L1 a reaction alone is an answer; the same words twice are said once', async () => {
  simulator.script([{ tools: [{ name: 'react', input: { emoji: '👍' } }] }, { text: '' }]);
  assert.deepEqual(answered(await run()).effects, [{ type: 'react', message_id: 5, emoji: '👍' }]);
  simulator.script([{ text: 'Vou ver.', tools: [fact('b')] }, { text: 'Vou ver.' }]);
  assert.equal(answered(await run()).text, 'Vou ver.');
});

for (const model of ['claude-haiku-5-5', 'claude-sonnet-5-5', 'claude-opus-5-5', 'claude-sonnet-4-6', 'claude-haiku-4-5']) {
  test(`L13 ${model} through three rounds of tools: nothing is refused, thoughts go back as they came`, async () => {
    simulator.script([...[1, 2, 3].map((n) => ({ text: `${n}`, tools: [fact(`fato ${n}`)] })), { text: 'Pronto.' }]);
    const outcome = answered(await run({ model }));
    assert.deepEqual(
      simulator.wire().claude.map(({ status }) => status),
      [200, 200, 200, 200],
    );
    assert.match(outcome.text, /Pronto\.$/);
    assert.equal(outcome.effects.length, 3);
  });
}

test('L13 a model that nobody has listed is asked in a way that every listed one would take, through two rounds', async () => {
  const llm = createLlm({ apiKey: 'k', baseUrl: simulator.anthropicUrl });
  const models = [...new Set(PRICES.map((row) => row.model))].filter((model) => modelOf(model) !== null);
  assert.ok(models.length >= 10, models.join());
  for (const model of models) {
    simulator.reset();
    simulator.script([{ tools: [fact('a')] }, { text: 'Pronto.' }]);
    // The request is the unknown one's, the answer this model's.
    const outcome = await run({
      model: 'claude-of-tomorrow',
      llm: { call: (request, options) => llm.call({ ...request, model }, options) },
    });
    assert.equal(answered(outcome).text, 'Pronto.', model);
    assert.deepEqual(
      simulator.wire().claude.map(({ status }) => status),
      [200, 200],
      model,
    );
  }
});

test('L13 encrypted thoughts are brought back too', async () => {
  simulator.script([{ tools: [fact('a')], redactedThinking: true }, { text: 'Pronto.' }]);
  assert.equal(answered(await run({ model: 'claude-opus-5-5' })).text, 'Pronto.');
  assert.match(requests()[1] ?? '', /redacted_thinking/);
});

test('L13 another model in the middle of a turn gets no thoughts of the first', async () => {
  simulator.script([{ tools: [fact('a')] }, { text: 'Pronto.', repeat: true }]);
  const llm = createLlm({ apiKey: 'k', baseUrl: simulator.anthropicUrl });
  let calls = 0;
  const outcome = answered(
    await run({
      model: 'claude-opus-5-5',
      llm: {
        async call(request, options) {
          calls += 1;
          const gone = { kind: 'model_gone' as const, detail: '', restMs: 0 };
          return calls === 2 ? { ok: false, failure: gone } : llm.call(request, options);
        },
      },
    }),
  );
  assert.equal(outcome.model, 'claude-sonnet-5-5');
  assert.doesNotMatch(requests()[1] ?? '', /"type":"thinking"/);
});

test('L13 an answer that ends in thinking, or in the middle of a call, is asked for again with more room', async () => {
  simulator.script([
    { text: 'Olá!', thinkTokens: 5_000 },
    { text: 'Olá!', thinkTokens: 5_000 },
  ]);
  const outcome = answered(await run({ model: 'claude-opus-5-5' }));
  assert.equal(outcome.text, 'Olá!');
  assert.deepEqual(
    outcome.modelCalls.map((call) => call.outcome),
    ['max_tokens', 'end_turn'],
  );
  simulator.script([...[1, 2].map(() => ({ text: 'Um momento', tools: [fact('x'.repeat(290))] })), { text: 'Anotado.' }]);
  const cut = answered(await run({}, { maxTokens: 60 }));
  assert.deepEqual([cut.text, cut.effects.length], ['Um momento\n\nAnotado.', 1]);
});

test('L13 an answer that is only thinking even with all the room is a failure that may be tried again', async () => {
  simulator.script([{ text: 'Olá!', thinkTokens: 200_000, repeat: true }]);
  const outcome = failed(await run({ model: 'claude-opus-5-5' }));
  assert.deepEqual(outcome, { reason: 'model_empty_answer', fault: 'answer', outcomes: ['max_tokens', 'max_tokens', 'max_tokens'] });
});

test('L13 every end of an answer is an end: words are said, a full context is nothing to try again', async () => {
  for (const stop_reason of ['end_turn', 'stop_sequence', 'pause_turn', 'of_a_later_version']) {
    simulator.script([{ text: 'Olá!', stop_reason }]);
    assert.equal(answered(await run()).text, 'Olá!', stop_reason);
  }
  simulator.script([{ text: 'Temos vaga na sexta. Também na', stop_reason: 'model_context_window_exceeded' }]);
  assert.equal(answered(await run()).text, 'Temos vaga na sexta.');
  simulator.script([{ text: '', stop_reason: 'model_context_window_exceeded', repeat: true }]);
  assert.deepEqual(failed(await run()), {
    reason: 'model_context_exceeded',
    fault: 'request',
    outcomes: ['model_context_window_exceeded', 'model_context_window_exceeded'],
  });
});

test('L4 L16 the ledger is the bill: each call costs what the other side would ask for it', async () => {
  for (const model of ['claude-haiku-5-5', 'claude-sonnet-5-5', 'claude-opus-5-5', 'claude-sonnet-4-6', 'claude-haiku-4-5']) {
    simulator.reset();
    simulator.script([{ tools: [fact('a')] }, { text: 'Pronto.' }]);
    const { modelCalls } = answered(await run({ model, promptFor: () => promptOf('x'.repeat(20_000)) }));
    const bill = simulator.wire().claude.map(({ usd }) => usd);
    assert.equal(bill.length, 2);
    for (const [at, usd] of bill.entries()) assert.ok(Math.abs((modelCalls[at]?.cost_usd ?? 0) - usd) < 1e-8, `${model} ${at}`);
  }
});

test('L16 thinking is told apart; a model without a price costs null, not nothing', async () => {
  const thought = answered(await run({ model: 'claude-opus-5-5' })).modelCalls[0];
  assert.ok((thought?.thinking_tokens ?? 0) >= 150 && (thought?.output_tokens ?? 0) > (thought?.thinking_tokens ?? 0));
  const unknown = await run({
    llm: {
      call: async () => ({ ok: false, failure: { kind: 'timeout', detail: '', restMs: 0, paid: { usage: NOTHING, costUsd: null } } }),
    },
  });
  assert.deepEqual(
    unknown.modelCalls.map((call) => [call.cost_usd, call.estimated]),
    [
      [null, true],
      [null, true],
    ],
  );
});
const NOTHING = { input: 0, output: 0, thinking: 0, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 };

test('L4 cache: three breakpoints, and the second turn reads what the first has written', async () => {
  simulator.script([{ text: 'Olá!', repeat: true }]);
  const first = answered(await run({ promptFor: () => promptOf('oi') }));
  const second = answered(await run({ promptFor: () => promptOf('qual o preço?', [message('oi'), message('Olá!', 'out')]) }));
  for (const request of requests()) assert.ok(request.split('"cache_control"').length - 1 <= 4);
  assert.equal((requests()[1] ?? '').split('"cache_control"').length - 1, 3);
  assert.equal(first.modelCalls[0]?.cache_read_tokens, 0);
  const read = second.modelCalls[0]?.cache_read_tokens ?? 0;
  assert.ok(read >= (first.modelCalls[0]?.cache_write_tokens ?? Infinity), `${read} of ${first.modelCalls[0]?.cache_write_tokens}`);
});

const FAULTS: [name: string, fault: Record<string, unknown>, reason: string][] = [
  ['429', { kind: 'status', status: 429 }, 'rate_limited'],
  ['500', { kind: 'status', status: 500 }, 'overloaded'],
  ['529', { kind: 'status', status: 529 }, 'overloaded'],
  ['403', { kind: 'status', status: 403 }, 'forbidden'],
  ['404', { kind: 'status', status: 404 }, 'model_gone'],
  ['a dropped connection', { kind: 'drop' }, 'unreachable'],
  ['an answer that is no JSON', { kind: 'invalid-json' }, 'unreachable'],
  ['a refused request', { kind: 'status', status: 400 }, 'refused'],
];
for (const [name, fault, kind] of FAULTS) {
  test(`L15 model failure: ${name} once is one call, and the other model answers`, async () => {
    simulator.fault({ target: 'claude', ...fault } as Parameters<Simulator['fault']>[0]);
    simulator.script([{ text: 'Olá!' }]);
    const outcome = answered(await run());
    assert.equal(outcome.model, 'claude-sonnet-5-5');
    // the client repeats nothing by itself: the turn decides
    assert.deepEqual(
      outcome.modelCalls.map((call) => [call.model, call.outcome]),
      [
        ['claude-haiku-5-5', kind],
        ['claude-sonnet-5-5', 'end_turn'],
      ],
    );
  });
  test(`L15 model failure: ${name} of both models is told with whose fault it is`, async () => {
    simulator.fault({ target: 'claude', ...fault, times: 2 } as Parameters<Simulator['fault']>[0]);
    const outcome = failed(await run());
    const whose = { forbidden: 'configuration', model_gone: 'configuration', refused: 'request' }[kind] ?? 'nobody';
    assert.deepEqual(outcome, { reason: `model_${kind}`, fault: whose, outcomes: [kind, kind] });
  });
}

for (const [status, kind] of [
  [401, 'unauthorized'],
  [402, 'billing'],
] as const) {
  test(`L15 model failure: ${status} is of the key, so no other model is asked`, async () => {
    simulator.fault({ target: 'claude', kind: 'status', status, times: 2 });
    assert.deepEqual(failed(await run()), { reason: `model_${kind}`, fault: 'configuration', outcomes: [kind] });
  });
}

test('L15 model failure: an answer without words is tried again by the turn, not by the other model', async () => {
  simulator.fault({ target: 'claude', kind: 'no-text' });
  assert.deepEqual(failed(await run()), { reason: 'model_empty_answer', fault: 'answer', outcomes: ['end_turn'] });
});

test('L15 a model that answers, only not in time to the end of the turn, is there: that is no outage', async () => {
  simulator.script([{ tools: [fact('x')] }, { text: 'tarde demais' }]);
  const llm = createLlm({ apiKey: 'k', baseUrl: simulator.anthropicUrl });
  let calls = 0;
  const late = {
    call: (request: ModelRequest, options: { signal: AbortSignal; timeoutMs: number }) =>
      ++calls === 1
        ? llm.call(request, options)
        : Promise.resolve({ ok: false, failure: { kind: 'timeout', detail: '', restMs: 0 } } as const),
  };
  assert.deepEqual(failed(await run({ llm: late })), {
    reason: 'model_timeout',
    fault: 'answer',
    outcomes: ['tool_use', 'timeout', 'timeout'],
  });
});

test('L15 one overloaded and one gone: who can still answer decides', async () => {
  simulator.fault({ target: 'claude', kind: 'status', status: 529 });
  assert.deepEqual(failed(await run({ model: 'claude-haiku-5-5', fallbackModel: 'claude-gone-1' })), {
    reason: 'model_overloaded',
    fault: 'nobody',
    outcomes: ['overloaded', 'model_gone'],
  });
});

test('L15 one is gone, the other one rests: nothing is asked again before its rest is over', async () => {
  simulator.fault({ target: 'claude', kind: 'status', status: 429, retryAfter: 50, match: { model: 'claude-sonnet-5-5' } });
  const outcome = await run({ model: 'claude-gone-1' });
  assert.deepEqual(failed(outcome), { reason: 'model_rate_limited', fault: 'nobody', outcomes: ['model_gone', 'rate_limited'] });
  assert.ok(outcome.kind === 'failed' && outcome.retryInMs > 40_000, JSON.stringify(outcome));
});

test('L15 the other model takes over in the middle of a turn, and keeps what the first round has cost', async () => {
  simulator.script([{ tools: [fact('x')] }, { status: 500 }, { text: 'Anotado!' }]);
  const outcome = answered(await run());
  assert.deepEqual(
    outcome.modelCalls.map((call) => [call.model, call.outcome]),
    [
      ['claude-haiku-5-5', 'tool_use'],
      ['claude-haiku-5-5', 'overloaded'],
      ['claude-sonnet-5-5', 'end_turn'],
    ],
  );
  assert.ok((outcome.modelCalls[0]?.cost_usd ?? 0) > 0);
  assert.deepEqual(outcome.effects, [{ type: 'remember', fact: 'x', kind: 'other', about: '' }]);
});

test('L15 retry-after: the model is not asked again before that, the other one is', async () => {
  simulator.fault({ target: 'claude', kind: 'status', status: 429, retryAfter: 40 });
  simulator.script([{ text: 'Olá!', repeat: true }]);
  answered(await run());
  assert.deepEqual(
    answered(await run()).modelCalls.map((call) => call.model),
    ['claude-sonnet-5-5'],
  );
  const wait = breaker('claude-haiku-5-5').retryInMs();
  assert.ok(wait > 30_000 && wait <= 40_000, `${wait}`);
  assert.equal(breaker('claude-sonnet-5-5').retryInMs(), 0);
  simulator.fault({ target: 'claude', kind: 'status', status: 429, retryAfter: 20 });
  const outcome = await run();
  assert.deepEqual(failed(outcome), { reason: 'model_rate_limited', fault: 'nobody', outcomes: ['rate_limited'] });
  assert.ok(outcome.kind === 'failed' && outcome.retryInMs > 10_000 && outcome.retryInMs <= 20_000, 'the sooner of the two');
});

test('I14 a request that no model takes is nobody else’s fault', async () => {
  assert.deepEqual(failed(await run({}, { maxTokens: -5_000 })), {
    reason: 'model_refused',
    fault: 'request',
    outcomes: ['refused', 'refused'],
  });
});

test('an answer cut off by the limit of tokens ends with its last whole sentence', async () => {
  simulator.fault({ target: 'claude', kind: 'truncated' });
  simulator.script([{ text: 'Temos vaga na sexta. Também temos na segunda e na terça de manhã.' }]);
  const outcome = answered(await run());
  assert.equal(outcome.text, 'Temos vaga na sexta.');
  assert.equal(outcome.modelCalls[0]?.outcome, 'max_tokens');
});

test('L1 a model that is gone: the fallback model answers, and is the one on record', async () => {
  simulator.script([{ text: 'Olá!' }]);
  const outcome = answered(await run({ model: 'claude-gone-1' }));
  assert.equal(outcome.model, 'claude-sonnet-5-5');
  assert.deepEqual(
    outcome.modelCalls.map((call) => [call.model, call.outcome]),
    [
      ['claude-gone-1', 'model_gone'],
      ['claude-sonnet-5-5', 'end_turn'],
    ],
  );
  assert.deepEqual(failed(await run({ model: 'claude-gone-1', fallbackModel: 'claude-gone-2' })), {
    reason: 'model_model_gone',
    fault: 'configuration',
    outcomes: ['model_gone', 'model_gone'],
  });
});

test('I14 an open breaker costs no call', async () => {
  const open = (name: string) => ({ ...breaker(name), run: async () => ({ open: true, retryInMs: 5_000 }) as const });
  assert.deepEqual(failed(await run({ breaker: open })), { reason: 'model_breaker_open', fault: 'nobody', outcomes: [] });
  assert.equal(simulator.wire().claude.length, 0);
});

/** A server that answers as `handle` says; resolves with its address. */
async function server(
  t: { after(hook: () => unknown): void },
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const made = createServer((request, response) => {
    request.resume();
    handle(request, response);
  });
  made.listen(0, '127.0.0.1');
  await once(made, 'listening');
  t.after(() => {
    made.closeAllConnections();
    made.close();
  });
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

test('X3 L16 an abort ends the request at the wire; what it had been given is booked, as an estimate', async (t) => {
  const aborting = new AbortController();
  const closed = Promise.withResolvers<boolean>();
  const url = await server(t, (_request, response) => {
    response.once('close', () => closed.resolve(response.writableFinished));
    aborting.abort();
  });
  const outcome = await run({ llm: createLlm({ apiKey: 'k', baseUrl: url }), signal: aborting.signal });
  assert.equal(outcome.kind, 'aborted');
  assert.equal(await closed.promise, false);
  assert.deepEqual(
    outcome.modelCalls.map((call) => [call.outcome, call.estimated, call.input_tokens > 1_000, (call.cost_usd ?? 0) > 0.0001]),
    [['aborted', true, true, true]],
  );
});

test('X3 an abort between two rounds keeps what the first has cost and starts nothing more', async () => {
  const aborting = new AbortController();
  simulator.script([{ tools: [fact('x')] }, { text: 'tarde demais' }]);
  const llm = createLlm({ apiKey: 'k', baseUrl: simulator.anthropicUrl });
  const outcome = await run({
    signal: aborting.signal,
    llm: {
      async call(request, options) {
        const result = await llm.call(request, options);
        aborting.abort();
        return result;
      },
    },
  });
  assert.equal(outcome.kind, 'aborted');
  assert.deepEqual(
    outcome.modelCalls.map((call) => [call.outcome, (call.cost_usd ?? 0) > 0, call.estimated]),
    [
      ['tool_use', true, false],
      ['aborted', false, false],
    ],
  );
  assert.equal(simulator.wire().claude.length, 1);
});

test('L1 a call that takes too long is a timeout', async (t) => {
  const url = await server(t, () => {});
  assert.deepEqual(failed(await run({ llm: createLlm({ apiKey: 'k', baseUrl: url }) }, { callTimeoutMs: 100 })), {
    reason: 'model_timeout',
    fault: 'nobody',
    outcomes: ['timeout', 'timeout'],
  });
});

test('L1 an answer that stops half way is a timeout too', async (t) => {
  const url = await server(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"id":"msg_1",');
  });
  assert.deepEqual(failed(await run({ llm: createLlm({ apiKey: 'k', baseUrl: url }) }, { callTimeoutMs: 100 })), {
    reason: 'model_timeout',
    fault: 'nobody',
    outcomes: ['timeout', 'timeout'],
  });
});

test('L1 the turn has one limit for all its calls', async (t) => {
  let calls = 0;
  const url = await server(t, (_request, response) => {
    if (++calls > 1) return;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'claude-haiku-5-5',
        content: [{ type: 'tool_use', id: 'toolu_1', name: 'opt_out', input: {} }],
        stop_reason: 'tool_use',
        stop_sequence: null,
        usage: { input_tokens: 10, output_tokens: 5 },
      }),
    );
  });
  const outcome = failed(await run({ llm: createLlm({ apiKey: 'k', baseUrl: url }) }, { callTimeoutMs: 60_000, turnTimeoutMs: 300 }));
  assert.deepEqual(outcome, { reason: 'model_timeout', fault: 'answer', outcomes: ['tool_use', 'timeout'] });
});
