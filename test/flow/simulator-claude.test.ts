// The Messages API look-alike of simulator, asked through the real SDK where that is possible.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { startSimulator, type Simulator } from '../../simulator/index.ts';

type Body = Anthropic.MessageCreateParamsNonStreaming;

/** Does not think unless it is asked to, so that the answers of the persona stand alone. */
const MODEL = 'claude-haiku-4-5';
const TOOLS: Anthropic.Tool[] = ['handoff_to_human', 'opt_out', 'remember', 'react'].map((name) => ({
  name,
  description: name,
  input_schema: { type: 'object' },
}));

/** What the persona says of a company stands in its prompt. */
const KNOWN =
  '## O que fazer\nA consulta custa R$ 150,00. Atendemos de segunda a sexta, das 8h às 18h. Ficamos na Rua das Flores, 100, Centro, São Paulo.';

let simulator: Simulator;
let client: Anthropic;

before(async () => {
  simulator = await startSimulator();
  client = new Anthropic({ apiKey: 'any', baseURL: simulator.anthropicUrl, maxRetries: 0, logLevel: 'off' });
});
after(() => simulator.close());
beforeEach(() => simulator.reset());

describe('persona', () => {
  const answers: [string, RegExp][] = [
    ['oi', /^Olá! Tudo bem\? Como posso ajudar\?$/],
    ['quanto custa a consulta?', /A consulta custa R\$ 150,00/],
    ['que horas vocês abrem?', /8h às 18h/],
    ['onde fica?', /Rua das Flores/],
    ['tem estacionamento?', /não tenho aqui.*pessoa da equipe/],
    ['você é um robô?', /assistente virtual.*pessoa da equipe/],
    ['[áudio de 3 s]', /ouvir áudios.*texto/],
    ['[áudio de voz, 3 s, transcrição]\nque horas vocês abrem?', /8h às 18h/],
    ['[imagem]', /ver arquivos.*texto/],
    ['[em resposta a: "qual o preço?"]\nxyz', /^Entendi\. Pode me contar/],
  ];
  for (const [text, expected] of answers) {
    test(JSON.stringify(text), async () => {
      const message = await create([user(text)], { system: KNOWN });
      assert.match(textOf(message), expected);
      assert.equal(message.stop_reason, 'end_turn');
      assert.match(message.id, /^msg_/);
    });
  }

  test('several questions in one burst are all answered', async () => {
    const message = await create([user('oi'), user('qual o preço?'), user('e o horário? onde fica?')], { system: KNOWN });
    assert.match(textOf(message), /^Olá!.*150,00.*18h.*Flores/);
  });

  const calls: [string, string, unknown][] = [
    [
      'quero falar com um atendente',
      'handoff_to_human',
      { reason: 'o contato pediu para falar com uma pessoa', summary: 'quero falar com um atendente' },
    ],
    ['não quero mais mensagens', 'opt_out', {}],
    ['SAIR', 'opt_out', {}],
    ['meu nome é Ana Lima', 'remember', { fact: 'O nome do contato é Ana Lima' }],
    ['obrigado', 'react', { emoji: '🙏' }],
  ];
  for (const [text, name, input] of calls) {
    test(`${text} calls ${name}, then answers in words`, async () => {
      const first = await create([user(text)], { tools: TOOLS });
      const [call] = first.content;
      assert.ok(call?.type === 'tool_use');
      assert.deepEqual([first.content.length, first.stop_reason, call.name, call.input], [1, 'tool_use', name, input]);
      const result = { type: 'tool_result' as const, tool_use_id: call.id, content: 'ok' };
      const history = [user(text), { role: 'assistant' as const, content: first.content }, { role: 'user' as const, content: [result] }];
      const second = await create(history, { tools: TOOLS });
      assert.equal(second.stop_reason, 'end_turn');
      assert.notEqual(textOf(second), '');
      const without = await create([user(text)]);
      assert.deepEqual(without.content, second.content, 'a tool that is not offered is not called');
    });
  }
});

describe('refusals', () => {
  const call = { type: 'tool_use', id: 'toolu_1', name: 'react', input: {} };
  const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: 'ok' };
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ['no model', { model: undefined }, /^model: Field required$/],
    ['no max_tokens', { max_tokens: undefined }, /^max_tokens: Field required$/],
    ['max_tokens 0', { max_tokens: 0 }, /^max_tokens: Input should be greater/],
    ['no messages', { messages: [] }, /at least one message is required/],
    ['assistant first', { messages: [{ role: 'assistant', content: 'oi' }] }, /first message must use the "user" role/],
    ['a role of its own', { messages: [{ role: 'tool', content: 'oi' }] }, /role: Input should be/],
    ['empty content', { messages: [{ role: 'user', content: [] }] }, /non-empty content/],
    ['blank text block', { messages: [{ role: 'user', content: [{ type: 'text', text: ' ' }] }] }, /non-whitespace text/],
    [
      'call without result',
      { messages: [user('a'), { role: 'assistant', content: [call] }, user('b')], tools: TOOLS },
      /without `tool_result` blocks immediately after: toolu_1/,
    ],
    ['call at the end', { messages: [user('a'), { role: 'assistant', content: [call] }], tools: TOOLS }, /without `tool_result`/],
    ['result without call', { messages: [{ role: 'user', content: [result] }], tools: TOOLS }, /unexpected `tool_use_id`/],
    ['tool name', { tools: [{ name: 'não pode', input_schema: { type: 'object' } }] }, /String should match pattern/],
    ['two tools of one name', { tools: [...TOOLS, ...TOOLS] }, /must be unique/],
    ['five breakpoints', { system: Array.from({ length: 5 }, () => cached('x')) }, /maximum of 4 blocks with cache_control.*Found 5/],
  ];
  for (const [name, change, expected] of cases) {
    test(name, async () => {
      const answer = await raw({ model: MODEL, max_tokens: 10, messages: [user('oi')], ...change });
      const { type, error } = answer.body as { type: string; error: { type: string; message: string } };
      assert.deepEqual([answer.status, type, error.type], [400, 'error', 'invalid_request_error']);
      assert.match(error.message, expected);
    });
  }

  test('no key, no JSON, an unknown model', async () => {
    const body = { model: MODEL, max_tokens: 10, messages: [user('oi')] };
    assert.deepEqual(errorOf(await raw(body, {})), [401, 'authentication_error']);
    assert.deepEqual(errorOf(await raw('{')), [400, 'invalid_request_error']);
    assert.deepEqual(errorOf(await raw({ ...body, model: 'claude-gone-1' })), [404, 'not_found_error']);
  });
});

describe('usage', () => {
  const system = cached('s'.repeat(16_000));
  test('a stored prefix is read, and only what is new is written', async () => {
    const first = await create([userBlocks(cached('a'.repeat(400)))], { system: [system] });
    assert.equal(first.usage.cache_read_input_tokens, 0);
    assert.ok((first.usage.cache_creation_input_tokens ?? 0) > 4_900);

    const again = await create([userBlocks(cached('a'.repeat(400)))], { system: [system] });
    assert.deepEqual(
      [again.usage.cache_read_input_tokens, again.usage.cache_creation_input_tokens],
      [first.usage.cache_creation_input_tokens, 0],
    );

    // The breakpoint has moved on: the older one is still found behind it.
    const history = [userBlocks({ type: 'text', text: 'a'.repeat(400) }), { role: 'assistant' as const, content: 'b' }];
    const longer = await create([...history, userBlocks(cached('c'.repeat(400)))], { system: [system] });
    assert.equal(longer.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens);
    assert.ok((longer.usage.cache_creation_input_tokens ?? 0) >= 100 && (longer.usage.cache_creation_input_tokens ?? 0) < 200);

    const other = await create([user('outra conversa')], { system: [system] });
    assert.ok((other.usage.cache_read_input_tokens ?? 0) > 4_900, 'the system text is shared between conversations');
    assert.ok(other.usage.input_tokens > 0 && other.usage.input_tokens < 20);

    const changed = await create([user('outra conversa')], { system: [cached(`t${'s'.repeat(16_000)}`)] });
    assert.equal(changed.usage.cache_read_input_tokens, 0);
    const model = await create([user('outra conversa')], { system: [system], model: 'claude-sonnet-4-5' });
    assert.equal(model.usage.cache_read_input_tokens, 0, 'another model has another cache');
  });

  test('without a breakpoint nothing is cached', async () => {
    for (let round = 0; round < 2; round += 1) {
      const { usage } = await create([user('x'.repeat(4_000))]);
      assert.deepEqual([usage.cache_read_input_tokens, usage.cache_creation_input_tokens], [0, 0]);
      assert.ok(usage.input_tokens > 1_000);
    }
  });
});

test('script: the first turn that fits is taken, then the persona answers again', async () => {
  simulator.script([
    { match: 'BOLETO', tools: [{ name: 'remember', input: { fact: 'pediu boleto' } }], text: 'um momento' },
    { text: 'primeira' },
    { status: 529 },
    { match: 'sempre', text: 'de novo', repeat: true },
  ]);
  assert.equal(textOf(await create([user('oi')])), 'primeira');
  const call = await create([user('quero o boleto')], { tools: TOOLS });
  assert.deepEqual([call.stop_reason, textOf(call)], ['tool_use', 'um momento']);
  await assert.rejects(create([user('oi')]), Anthropic.APIError);
  assert.equal(textOf(await create([user('sempre')])), 'de novo');
  assert.equal(textOf(await create([user('sempre')])), 'de novo');
  assert.match(textOf(await create([user('oi')])), /^Olá!/);
});

test('an answer longer than max_tokens is cut', async () => {
  simulator.script([{ text: 'x'.repeat(100) }]);
  const message = await create([user('oi')], { max_tokens: 5 });
  assert.deepEqual([message.stop_reason, textOf(message).length], ['max_tokens', 16]);
});

test('streams what it would have answered', async () => {
  const params = { model: MODEL, max_tokens: 100, messages: [user('obrigado')], tools: TOOLS };
  const streamed = await client.messages.stream(params).finalMessage();
  assert.deepEqual([streamed.stop_reason, streamed.content.map((block) => block.type)], ['tool_use', ['tool_use']]);
  const words = await client.messages.stream({ ...params, tools: [] }).finalMessage();
  assert.match(textOf(words), /^Por nada/);
  assert.ok(words.usage.input_tokens > 0);
});

describe('faults', () => {
  for (const status of [429, 500, 529]) {
    test(`${status}`, async () => {
      simulator.fault({ target: 'claude', kind: 'status', status, ...(status === 429 ? { retryAfter: 7 } : {}) });
      const answer = await raw({ model: MODEL, max_tokens: 10, messages: [user('oi')] });
      const type = { 429: 'rate_limit_error', 500: 'api_error', 529: 'overloaded_error' }[status];
      assert.deepEqual(errorOf(answer), [status, type]);
      assert.equal(answer.retryAfter, status === 429 ? '7' : null);
      assert.equal((await raw({ model: MODEL, max_tokens: 10, messages: [user('oi')] })).status, 200);
    });
  }

  test('hang ends when the client leaves', { timeout: 10_000 }, async () => {
    simulator.fault({ target: 'claude', kind: 'hang' });
    const leaving = new AbortController();
    const request = client.messages.create({ model: MODEL, max_tokens: 10, messages: [user('oi')] }, { signal: leaving.signal });
    await simulator.waitFor((wire) => wire.claude.length === 1);
    leaving.abort();
    await assert.rejects(request, Anthropic.APIUserAbortError);
  });

  test('truncated, without text, broken', async () => {
    for (const kind of ['truncated', 'no-text', 'invalid-json']) simulator.fault({ target: 'claude', kind });
    const truncated = await create([user('oi')]);
    assert.equal(truncated.stop_reason, 'max_tokens');
    assert.ok('Olá! Tudo bem? Como posso ajudar?'.startsWith(textOf(truncated)));
    assert.deepEqual((await create([user('oi')])).content, []);
    await assert.rejects(raw({ model: MODEL, max_tokens: 10, messages: [user('oi')] }), SyntaxError);
  });

  test('only texts that match are hit', async () => {
    simulator.fault({ target: 'claude', kind: 'status', status: 500, match: { text: 'alvo' } });
    assert.match(textOf(await create([user('oi')])), /^Olá!/);
    await assert.rejects(create([user('alvo')]), Anthropic.InternalServerError);
  });
});

test('ten requests at once are all on the wire log', async () => {
  const texts = Array.from({ length: 10 }, (_, index) => `pergunta ${index}`);
  simulator.script([{ text: 'ok', delayMs: 5, repeat: true }]);
  await Promise.all(texts.map((text) => create([user(text)])));
  const { claude } = simulator.wire();
  assert.deepEqual(
    claude.map(({ status }) => status),
    Array(10).fill(200),
  );
  assert.deepEqual(new Set(claude.map(({ request }) => (request as unknown as Body).messages[0]?.content)), new Set(texts));
});

test('proxy passes the request on with its own key and records the answer', async () => {
  const proxy = await startSimulator({ claude: 'proxy', claudeApiKey: 'the-real-key', claudeBaseUrl: simulator.anthropicUrl });
  try {
    const through = new Anthropic({ apiKey: 'any', baseURL: proxy.anthropicUrl, maxRetries: 0 });
    const message = await through.messages.create({ model: MODEL, max_tokens: 100, messages: [user('oi')] });
    assert.match(textOf(message), /^Olá!/);
    assert.equal(proxy.wire().claude[0]?.status, 200);
    assert.equal(simulator.wire().claude.length, 1);
  } finally {
    await proxy.close();
  }
});

async function create(messages: Anthropic.MessageParam[], change: Partial<Body> = {}): Promise<Anthropic.Message> {
  return await client.messages.create({ model: MODEL, max_tokens: 500, messages, ...change });
}

async function raw(
  body: unknown,
  headers: Record<string, string> = { 'x-api-key': 'any', 'anthropic-version': '2023-06-01' },
): Promise<{ status: number; body: unknown; retryAfter: string | null }> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(`${simulator.anthropicUrl}/v1/messages`, { method: 'POST', headers, body: text });
  return { status: response.status, body: await response.json(), retryAfter: response.headers.get('retry-after') };
}

function errorOf(answer: { status: number; body: unknown }): [number, string] {
  return [answer.status, (answer.body as { error: { type: string } }).error.type];
}

function user(text: string): { role: 'user'; content: string } {
  return { role: 'user', content: text };
}

function userBlocks(block: Anthropic.TextBlockParam): Anthropic.MessageParam {
  return { role: 'user', content: [block] };
}

function cached(text: string): Anthropic.TextBlockParam {
  return { type: 'text', text, cache_control: { type: 'ephemeral' } };
}

function textOf(message: Anthropic.Message): string {
  return message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}
