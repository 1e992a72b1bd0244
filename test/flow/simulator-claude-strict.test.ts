// The look-alike of the Messages API is as strict as the real one: what docs/claude.md lists, rule by rule, for the models that the product names.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startSimulator, type Simulator } from '../../simulator/index.ts';

type Json = Record<string, unknown>;
type Block = Json & { type: string };
type Answer = {
  status: number;
  headers: Headers;
  message: string;
  content: Block[];
  stop: string | null;
  usage: Json & { output_tokens_details: { thinking_tokens: number } };
  body: Json;
};

const HAIKU = 'claude-haiku-5-5';
const SONNET = 'claude-sonnet-5-5';
const OPUS = 'claude-opus-5-5';
const TOOLS = ['remember', 'react'].map((name) => ({ name, description: name, input_schema: { type: 'object' } }));
const OFF: Json = { thinking: { type: 'disabled' } };
const BETWEEN: Json = { thinking: { type: 'between_tools' } };

let simulator: Simulator;
before(async () => {
  simulator = await startSimulator();
});
after(() => simulator.close());
beforeEach(() => simulator.reset());

describe('thinking', () => {
  for (const [model, tokens] of [
    [HAIKU, 600],
    [SONNET, 1_500],
    [OPUS, 600],
  ] as const) {
    test(`${model} thinks when nothing is said of it, within max_tokens`, async () => {
      const small = await ask({ model, max_tokens: 300 });
      assert.deepEqual(
        [small.stop, small.content.map(({ type }) => type), small.usage['output_tokens']],
        ['max_tokens', ['thinking'], 300],
      );
      const roomy = await ask({ model, max_tokens: 4_000 });
      assert.deepEqual([roomy.stop, roomy.content.map(({ type }) => type)], ['end_turn', ['thinking', 'text']]);
      assert.deepEqual([roomy.content[0]?.['thinking'], roomy.usage.output_tokens_details.thinking_tokens], ['', tokens]);
      assert.ok(Number(roomy.usage['output_tokens']) > tokens);
    });
  }

  const settings: [string, Json, RegExp | null][] = [
    ['Haiku 5.5 off', { model: HAIKU, ...OFF }, null],
    ['Haiku 5.5 off at high', { model: HAIKU, ...OFF, ...effort('high') }, null],
    ['Haiku 5.5 off at xhigh', { model: HAIKU, ...OFF, ...effort('xhigh') }, /effort 'xhigh' is not supported when thinking is disabled/],
    ['Haiku 5.5 between tools', { model: HAIKU, ...BETWEEN }, /"thinking.type.between_tools" is not supported/],
    ['a budget', { model: HAIKU, thinking: { type: 'enabled', budget_tokens: 1_024 } }, /"thinking.type.enabled" is not supported/],
    ['Sonnet 5.5 off', { model: SONNET, ...OFF }, /send "thinking": \{"type": "between_tools"\} instead of/],
    ['Sonnet 5.5 between tools', { model: SONNET, ...BETWEEN, ...effort('low') }, null],
    ['Sonnet 5.5 between tools at max', { model: SONNET, ...BETWEEN, ...effort('max') }, /not supported when thinking is disabled/],
    [
      'between tools with display',
      { model: SONNET, thinking: { type: 'between_tools', display: 'summarized' } },
      /thinking.between_tools.display: Extra inputs/,
    ],
    ['Opus 5.5 off', { model: OPUS, ...OFF }, /"thinking.type.disabled" is not supported for this model/],
    ['Haiku 4.5 adaptive', { model: 'claude-haiku-4-5', thinking: { type: 'adaptive' } }, /adaptive thinking is not supported/],
    ['Haiku 4.5 effort', { model: 'claude-haiku-4-5', ...effort('low') }, /does not support the effort parameter/],
    [
      'Sonnet 4.6 xhigh',
      { model: 'claude-sonnet-4-6', ...effort('xhigh') },
      /effort level 'xhigh'. Supported levels: high, low, max, medium/,
    ],
    ['an effort of no such name', { model: HAIKU, ...effort('huge') }, /output_config.effort: Input should be/],
    ['a type of no such name', { model: HAIKU, thinking: { type: 'some' } }, /does not match any of the expected tags/],
  ];
  for (const [name, change, refused] of settings) {
    test(`${name}: ${refused === null ? 'taken' : 'refused'}`, async () => {
      const answer = await ask({ max_tokens: 200, ...change });
      if (refused === null) assert.deepEqual([answer.status, answer.content.map(({ type }) => type)], [200, ['text']]);
      else refusedWith(answer, refused);
    });
  }
});

describe('thinking blocks in a tool loop', () => {
  const first = user('anote que prefiro manhãs');
  /** The first answer of a loop: a thought and a call; and the request that brings the result. */
  async function loop(model: string): Promise<{ content: Block[]; next: (content: Block[], change?: Json) => Promise<Answer> }> {
    simulator.script([{ tools: [{ name: 'remember', input: { fact: 'x' } }] }, { text: 'Anotado.', repeat: true }]);
    const { content } = await ask({ model, messages: [first], tools: TOOLS });
    const call = content.find(({ type }) => type === 'tool_use');
    const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: call?.['id'], content: 'ok' }] };
    return {
      content,
      next: (blocks, change = {}) =>
        ask({ model, tools: TOOLS, messages: [first, { role: 'assistant', content: blocks }, result], ...change }),
    };
  }

  test('as they came they are taken; changed, moved, left out or of another model they are not', async () => {
    const { content, next } = await loop(HAIKU);
    const [thought, call] = content;
    assert.ok(thought?.type === 'thinking' && call?.type === 'tool_use');
    assert.equal((await next([thought, call])).status, 200);
    refusedWith(await next([{ ...thought, thinking: 'outra coisa' }, call]), /messages.1.content.0: .*cannot be modified/);
    refusedWith(await next([{ ...thought, signature: 'AAAA' }, call]), /Invalid `signature` in `thinking` block/);
    refusedWith(await next([call, thought]), /cannot be modified/);
    refusedWith(await next([call]), /cannot be modified/);
    refusedWith(await next([thought, call], { model: OPUS }), /bound to a different conversation.*another model/);
    assert.equal((await next([call], { model: OPUS })).status, 200, 'without them the other model goes on');
    refusedWith(await next([thought, call], { system: 'Seja breve.' }), /bound to a different conversation/);
  });

  test('the chain of thoughts: one from the middle may not be missing', async () => {
    simulator.script([1, 2].map(() => ({ tools: [{ name: 'remember', input: {} }] })).concat([{ text: 'ok', repeat: true } as never]));
    const messages: Json[] = [first];
    for (let round = 0; round < 2; round += 1) {
      const { content } = await ask({ model: HAIKU, messages, tools: TOOLS });
      const call = content.find(({ type }) => type === 'tool_use');
      messages.push(
        { role: 'assistant', content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: call?.['id'], content: 'ok' }] },
      );
    }
    assert.equal((await ask({ model: HAIKU, messages, tools: TOOLS })).status, 200);
    const [, early] = messages as { content: Block[] }[];
    const cut = messages.with(1, { role: 'assistant', content: early?.content.filter(({ type }) => type !== 'thinking') });
    assert.equal((await ask({ model: HAIKU, messages: cut, tools: TOOLS })).status, 200, 'those at the front may go');
  });

  test('redacted thoughts are blocks of their own', async () => {
    simulator.script([
      { tools: [{ name: 'remember', input: {} }], redactedThinking: true },
      { text: 'ok', repeat: true },
    ]);
    const { content } = await ask({ model: HAIKU, messages: [first], tools: TOOLS });
    assert.deepEqual(
      content.map(({ type }) => type),
      ['redacted_thinking', 'tool_use'],
    );
  });

  test('between tools: no thought first, an update before another call', async () => {
    const call = { tools: [{ name: 'remember', input: {} }] };
    simulator.script([call, call]);
    const started = await ask({ model: SONNET, ...BETWEEN, messages: [first], tools: TOOLS });
    assert.deepEqual(
      started.content.map(({ type }) => type),
      ['tool_use'],
    );
    const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: started.content[0]?.['id'], content: 'ok' }] };
    const again = await ask({
      model: SONNET,
      ...BETWEEN,
      messages: [first, { role: 'assistant', content: started.content }, result],
      tools: TOOLS,
    });
    assert.deepEqual(
      again.content.map(({ type }) => type),
      ['thinking', 'tool_use'],
    );
  });
});

describe('what the newest models refuse', () => {
  const call = { type: 'tool_use', id: 'toolu_1', name: 'react', input: {} };
  const bad: [string, Json, RegExp][] = [
    [
      'a forced tool on Sonnet 5.5',
      { model: SONNET, tools: TOOLS, tool_choice: { type: 'any' } },
      /tool_choice: type "tool" and "any" are not supported/,
    ],
    ['a forced tool on Opus 5.5', { model: OPUS, tools: TOOLS, tool_choice: { type: 'tool', name: 'react' } }, /tool_choice: type/],
    ['a tool that is not there', { model: HAIKU, tools: TOOLS, tool_choice: { type: 'tool', name: 'pay' } }, /'pay' not found/],
    [
      'a prefill',
      { model: HAIKU, messages: [user('oi'), { role: 'assistant', content: 'Olá' }] },
      /does not support assistant message prefill/,
    ],
    ['temperature', { model: HAIKU, temperature: 0 }, /`temperature` is deprecated/],
    ['top_p', { model: HAIKU, top_p: 1 }, /`top_p` is deprecated/],
    ['top_k', { model: HAIKU, top_k: 5 }, /`top_k` is deprecated/],
    ['context_management', { model: HAIKU, context_management: {} }, /^context_management: Extra inputs are not permitted$/],
    [
      'a field of a block',
      { model: HAIKU, messages: [{ role: 'user', content: [{ type: 'text', text: 'oi', at: 1 }] }] },
      /messages.0.content.0.text.at: Extra/,
    ],
    ['an empty text block', { model: HAIKU, messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }] }, /must be non-empty/],
    ['a blank text block', { model: HAIKU, messages: [{ role: 'user', content: [{ type: 'text', text: ' \n' }] }] }, /non-whitespace/],
    [
      'blocks of tools without tools',
      { model: HAIKU, messages: [user('a'), { role: 'assistant', content: [call] }, user('b')] },
      /must define tools/,
    ],
    ['half a surrogate pair', { model: HAIKU, messages: [user('oi \ud83d')] }, /not valid JSON: no low surrogate/],
    ['more than can be written', { model: HAIKU, max_tokens: 200_000 }, /200000 > 128000/],
    [
      'a mark on an hour behind one on five minutes',
      { model: HAIKU, system: [marked('a'), marked('b', '1h')] },
      /ttl='1h' cache_control block must not come after/,
    ],
    [
      'system messages on Haiku 5.5',
      { model: HAIKU, messages: [user('oi'), { role: 'system', content: 'é tarde' }] },
      /role 'system' is not supported/,
    ],
    [
      'a system message first',
      { model: SONNET, messages: [{ role: 'system', content: 'x' }, user('oi')] },
      /messages.0: use the top-level 'system'/,
    ],
    [
      'a system message before the user',
      { model: SONNET, messages: [user('a'), { role: 'system', content: 'x' }, user('b')] },
      /must precede an 'assistant'/,
    ],
  ];
  for (const [name, change, expected] of bad) test(name, async () => refusedWith(await ask(change), expected));

  test('they take a forced tool on Haiku 5.5, a whole emoji, words that look like an escape, a system message at the end', async () => {
    simulator.script([{ tools: [{ name: 'react', input: {} }] }]);
    const forced = await ask({ model: HAIKU, tools: TOOLS, tool_choice: { type: 'any' } });
    assert.deepEqual(
      forced.content.map(({ type }) => type),
      ['tool_use'],
    );
    assert.equal((await ask({ model: HAIKU, messages: [user('😀 \\ud83d')] })).status, 200);
    assert.equal((await ask({ model: SONNET, messages: [user('oi'), { role: 'system', content: 'é tarde' }] })).status, 200);
  });

  test('models: unknown and retired ones are 404, also where they are only looked up', async () => {
    for (const model of ['claude-9', 'gpt-9', 'claude-3-5-haiku-20241022', 'claude-sonnet-4-20250514']) {
      const answer = await ask({ model });
      assert.deepEqual([answer.status, answer.message], [404, `model: ${model}`]);
      assert.equal((await fetch(`${simulator.anthropicUrl}/v1/models/${model}`, { headers: HEADERS })).status, 404);
    }
  });
});

describe('cache', () => {
  /** Some 4,000 characters to the 1,600 tokens. */
  const long = (tokens: number): string => 'x'.repeat(tokens * 2.5);
  const reads = (answer: Answer): number => Number(answer.usage['cache_read_input_tokens']);

  test('only above the floor of the model', async () => {
    for (const [model, tokens, isCached] of [
      [HAIKU, 400, false],
      [HAIKU, 600, true],
      ['claude-sonnet-5', 900, false],
      ['claude-sonnet-5', 1_200, true],
      ['claude-opus-4-7', 1_900, false],
      ['claude-haiku-4-5', 4_000, false],
    ] as const) {
      simulator.reset();
      const system = [marked(long(tokens))];
      await ask({ model, system });
      assert.equal(reads(await ask({ model, system })) > 0, isCached, `${model} ${tokens}`);
    }
  });

  test('at most 20 places back, the mark being the first', async () => {
    const blocks = (count: number): Json[] => Array.from({ length: count }, (_, at) => text(at === 0 ? long(600) : `bloco ${at}`));
    const request = (count: number): Json => {
      const content = blocks(count);
      return { model: HAIKU, messages: [{ role: 'user', content: [...content.slice(0, -1), { ...content.at(-1), ...MARK }] }] };
    };
    await ask(request(10));
    assert.ok(reads(await ask(request(29))) > 0);
    simulator.reset();
    await ask(request(10));
    assert.equal(reads(await ask(request(30))), 0);
  });

  test('another effort, another thinking and another tool_choice read nothing of the messages', async () => {
    const messages = [{ role: 'user', content: [marked(long(800))] }];
    await ask({ model: HAIKU, messages, tools: TOOLS });
    assert.ok(reads(await ask({ model: HAIKU, messages, tools: TOOLS })) > 0);
    assert.equal(reads(await ask({ model: HAIKU, messages, tools: TOOLS, ...effort('low') })), 0);
    assert.equal(reads(await ask({ model: HAIKU, messages, tools: TOOLS, ...OFF })), 0);
    assert.equal(reads(await ask({ model: HAIKU, messages, tools: TOOLS, tool_choice: { type: 'none' } })), 0);
  });

  test('writes of an hour and of five minutes are told apart, and billed so', async () => {
    const answer = await ask({
      model: SONNET,
      system: [marked(long(1_000), '1h')],
      messages: [{ role: 'user', content: [marked(long(500))] }],
    });
    const { ephemeral_1h_input_tokens: hour, ephemeral_5m_input_tokens: minutes } = answer.usage['cache_creation'] as Json;
    assert.ok(Number(hour) >= 1_000 && Number(minutes) >= 500 && Number(minutes) < 600, JSON.stringify(answer.usage));
  });

  test('the reason of a miss', async () => {
    const system = [marked(long(600))];
    const told = async (change: Json): Promise<unknown> => (await ask({ model: HAIKU, system, ...change })).body['diagnostics'];
    const before = await ask({ model: HAIKU, system, diagnostics: { previous_message_id: null } });
    assert.equal(before.body['diagnostics'], null);
    const diagnostics = { previous_message_id: before.body['id'] };
    const reason = async (change: Json): Promise<unknown> =>
      ((await told({ diagnostics, ...change })) as Json | null)?.['cache_miss_reason'];
    assert.equal(await told({}), undefined, 'who does not ask is not told');
    assert.equal(await reason({}), undefined);
    const types = await Promise.all(
      [
        { model: SONNET },
        { system: 'outro' },
        { tools: TOOLS },
        { messages: [user('olá')] },
        { ...OFF },
        { diagnostics: { previous_message_id: 'msg_0' } },
      ].map(async (change) => ((await reason(change)) as Json | undefined)?.['type']),
    );
    assert.deepEqual(types, [
      'model_changed',
      'system_changed',
      'tools_changed',
      'messages_changed',
      'unavailable',
      'previous_message_not_found',
    ]);
  });
});

test('prices: Haiku 5.5 above 100,000 tokens, and cache reads', async () => {
  await ask({ model: HAIKU, ...OFF, messages: [user('x'.repeat(200_000))] });
  await ask({ model: HAIKU, ...OFF, messages: [user('x'.repeat(300_000))] });
  const bill = simulator.wire().claude.map(({ usd, response }) => {
    const { input_tokens: input, output_tokens: output } = (response as { usage: Record<string, number> }).usage;
    return [usd, (Number(input) * 0.1 + Number(output) * 0.5) / 1e6];
  });
  const cents = (usd: number | undefined): string => (usd ?? 0).toFixed(8);
  assert.equal(cents(bill[0]?.[0]), cents(bill[0]?.[1]));
  assert.equal(cents(bill[1]?.[0]), cents(Number(bill[1]?.[1]) * 5));
});

describe('refusals', () => {
  test('last as long as the words are in the request, for the model that is named', async () => {
    simulator.fault({ target: 'claude', kind: 'refuse', category: 'cyber', match: { text: 'segredo', model: HAIKU } });
    const refused = await ask({ model: HAIKU, messages: [user('conte o Segredo')] });
    assert.deepEqual(
      [refused.status, refused.stop, refused.content, (refused.body['stop_details'] as Json)['category']],
      [200, 'refusal', [], 'cyber'],
    );
    assert.equal(simulator.wire().claude.at(-1)?.usd, 0, 'before any output nothing is billed');
    const history = [user('conte o segredo'), { role: 'assistant', content: 'Não posso.' }, user('que horas são?')];
    assert.equal((await ask({ model: HAIKU, messages: history })).stop, 'refusal');
    assert.equal((await ask({ model: HAIKU, max_tokens: 900, messages: history.slice(2) })).stop, 'end_turn');
    assert.equal((await ask({ model: OPUS, max_tokens: 900, messages: history })).stop, 'end_turn');
  });

  test('a scripted one goes on by itself; in the middle of an answer it has begun to speak, and costs', async () => {
    simulator.script([
      { match: 'receita', stop_reason: 'refusal' },
      { text: 'Olá!', repeat: true },
    ]);
    assert.equal((await ask({ model: HAIKU, messages: [user('a receita?')] })).stop, 'refusal');
    assert.equal(
      (await ask({ model: HAIKU, messages: [user('a receita?'), { role: 'assistant', content: 'Não.' }, user('oi')] })).stop,
      'refusal',
    );
    simulator.fault({ target: 'claude', kind: 'refuse', partial: 'Claro, primeiro', match: { text: 'bomba' } });
    const half = await ask({ model: HAIKU, messages: [user('uma bomba')] });
    assert.deepEqual([half.stop, half.content], ['refusal', [{ type: 'text', text: 'Claro, primeiro' }]]);
    assert.ok((simulator.wire().claude.at(-1)?.usd ?? 0) > 0);
  });
});

test('bursts: for so long or for so many calls, of one model, with retry-after or without', async () => {
  simulator.fault({ target: 'claude', kind: 'status', status: 529, forMs: 60_000, match: { model: HAIKU } });
  simulator.fault({ target: 'claude', kind: 'status', status: 429, times: 2, retryAfter: 3, match: { model: SONNET } });
  simulator.fault({ target: 'claude', kind: 'status', status: 429, retryAfter: null, match: { model: OPUS } });
  const answers = [];
  for (const model of [HAIKU, HAIKU, HAIKU, SONNET, SONNET, SONNET, OPUS]) answers.push(await ask({ model, max_tokens: 4_000 }));
  assert.deepEqual(
    answers.map(({ status, headers }) => [status, headers.get('retry-after')]),
    [
      [529, null],
      [529, null],
      [529, null],
      [429, '3'],
      [429, '3'],
      [200, null],
      [429, null],
    ],
  );
});

test('images and pages are counted, and their limits hold', async () => {
  const png = (width: number, height: number): string => {
    const bytes = Buffer.alloc(33);
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]).copy(bytes);
    bytes.writeUInt32BE(width, 16);
    bytes.writeUInt32BE(height, 20);
    return bytes.toString('base64');
  };
  const image = (data: string, mediaType = 'image/png'): Json => ({
    type: 'image',
    source: { type: 'base64', media_type: mediaType, data },
  });
  const withBlock = (block: Json, model = HAIKU): Promise<number> =>
    count({ model, messages: [{ role: 'user', content: [block, text('o que é?')] }] });
  const bare = await count({ model: HAIKU, messages: [{ role: 'user', content: [text('o que é?')] }] });
  assert.equal((await withBlock(image(png(1_000, 1_000)))) - bare, 1_296);
  assert.equal((await withBlock(image(png(3_840, 2_160)))) - bare, 4_784);
  const pdf = Buffer.from(`%PDF-1.4 ${'/Type /Page '.repeat(3)}/Type /Pages`).toString('base64');
  const document = (data: string): Json => ({ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data } });
  assert.ok((await withBlock(document(pdf))) - bare > 3 * 3_000);
  const send = (block: Json): Promise<Answer> => ask({ model: HAIKU, messages: [{ role: 'user', content: [block] }] });
  refusedWith(await send(image(png(9_000, 10))), /exceed max allowed size: 8000 pixels/);
  refusedWith(await send(image(png(10, 10), 'image/jpeg')), /does not match the provided media type/);
  refusedWith(await send(image('AAAA')), /Could not process image/);
  refusedWith(await send(image(png(10, 10), 'image/bmp')), /media_type: Input should be/);
  refusedWith(await send(document(Buffer.from('olá').toString('base64'))), /The PDF specified was not valid/);
  const locked = Buffer.from('%PDF-1.4 /Type /Page /Encrypt 5 0 R').toString('base64');
  refusedWith(await send(document(locked)), /pdf\.source\.base64\.data: The PDF specified is password protected/);
  refusedWith(await send({ type: 'image', source: { type: 'base64', data: png(10, 10) } }), /base64\.media_type: Field required/);
  refusedWith(await send({ type: 'image', source: { type: 'text', media_type: 'text/plain', data: 'x' } }), /Input tag 'text'/);
  const extra = { type: 'base64', media_type: 'image/png', data: png(10, 10), name: 'x.png' };
  refusedWith(await send({ type: 'image', source: extra }), /source\.base64\.name: Extra inputs are not permitted/);
  refusedWith(await send(image('não é base64')), /Invalid base64 data/);
  const many = Array.from({ length: 21 }, () => image(png(2_001, 10)));
  refusedWith(await ask({ model: HAIKU, messages: [{ role: 'user', content: many }] }), /max allowed size.*2000 pixels/);
  const pages = document(Buffer.from(`%PDF-1.4 ${'/Type /Page '.repeat(601)}`).toString('base64'));
  refusedWith(await send(pages), /A maximum of 600 PDF pages/);
});

test('stop reasons on demand; a call that does not fit into the room is cut', async () => {
  simulator.script([
    { text: 'um', stop_reason: 'pause_turn' },
    { text: 'dois', stop_reason: 'model_context_window_exceeded' },
    { tools: [{ name: 'remember', input: { fact: 'x'.repeat(900) } }] },
  ]);
  const said = { model: HAIKU, ...OFF, tools: TOOLS, max_tokens: 100 };
  assert.equal((await ask(said)).stop, 'pause_turn');
  assert.equal((await ask(said)).stop, 'model_context_window_exceeded');
  const cut = await ask(said);
  assert.deepEqual([cut.stop, cut.content.map(({ type, input }) => [type, input])], ['max_tokens', [['tool_use', {}]]]);
});

const HEADERS = { 'x-api-key': 'any', 'anthropic-version': '2023-06-01' };
const MARK = { cache_control: { type: 'ephemeral' } };

async function ask(change: Json): Promise<Answer> {
  const body = JSON.stringify({ max_tokens: 1_000, messages: [user('oi')], ...change });
  const response = await fetch(`${simulator.anthropicUrl}/v1/messages`, { method: 'POST', headers: HEADERS, body });
  const answer = (await response.json()) as Json;
  return {
    status: response.status,
    headers: response.headers,
    message: ((answer['error'] ?? {}) as { message?: string }).message ?? '',
    content: (answer['content'] ?? []) as Block[],
    stop: (answer['stop_reason'] ?? null) as string | null,
    usage: (answer['usage'] ?? {}) as Answer['usage'],
    body: answer,
  };
}

async function count(body: Json): Promise<number> {
  const response = await fetch(`${simulator.anthropicUrl}/v1/messages/count_tokens`, {
    method: 'POST',
    headers: HEADERS,
    body: JSON.stringify(body),
  });
  return ((await response.json()) as { input_tokens: number }).input_tokens;
}

function refusedWith(answer: Answer, expected: RegExp): void {
  assert.deepEqual(
    [answer.status, (answer.body['error'] as Json | undefined)?.['type']],
    [400, 'invalid_request_error'],
    JSON.stringify(answer.body),
  );
  assert.match(answer.message, expected);
}

function user(said: string): Json {
  return { role: 'user', content: said };
}

function text(said: string): Json {
  return { type: 'text', text: said };
}

function marked(said: string, ttl?: '1h'): Json {
  return { type: 'text', text: said, cache_control: { type: 'ephemeral', ...(ttl === undefined ? {} : { ttl }) } };
}

function effort(level: string): Json {
  return { output_config: { effort: level } };
}
