/** What a turn can end in, one step at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_FAILED_TURNS } from '../../src/turns/decide.ts';
import { loadConfig } from '../../src/config.ts';
import { openStage, sendDue, turn, turnsUntilDone } from '../support/turns.ts';
import { adminDone } from '../support/admin.ts';
import { routeText } from '../../src/console/conversation-texts.ts';
import { SENTENCES } from '../../src/words/sentences.ts';

const { fallback: FALLBACK_TEXT } = SENTENCES['pt-BR'];

const sent = (stage: Awaited<ReturnType<typeof openStage>>) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);
const handoffs = (stage: Awaited<ReturnType<typeof openStage>>) => stage.system.query('select reason, controls from handoffs order by id');

test('L1 handoff: the contact is told, the conversation is a person’s, and the next message is stored and handed over', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { tools: [{ name: 'handoff_to_human', input: { reason: 'pediu uma pessoa', summary: 'quer trocar o pedido' } }] },
    { text: '' },
  ]);
  const conversation = await stage.hear('quero falar com uma pessoa');
  assert.deepEqual(await turn(stage.ctx, conversation), { kind: 'done' });
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Vou chamar uma pessoa da equipe para continuar com você.']);
  assert.deepEqual(await stage.system.query('select controlled_by, escalation_reason from conversations'), [
    { controlled_by: 'human', escalation_reason: 'pediu uma pessoa' },
  ]);
  assert.deepEqual(await stage.system.query('select reason, summary, controls from handoffs'), [
    { reason: 'pediu uma pessoa', summary: 'quer trocar o pedido', controls: true },
  ]);
  await stage.hear('alguém aí?');
  await turnsUntilDone(stage.ctx, conversation);
  assert.equal(stage.prompts().length, 2);
  assert.equal((await stage.system.dump()).at(-1), 'in contact handed_over(human): alguém aí?');
});

test('L1 opt_out: confirmed once, nothing proactive goes any more, and who writes again is still answered', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { tools: [{ name: 'opt_out', input: {} }] },
    { text: 'Pronto, não envio mais nada.' },
    { text: 'Oi de novo!' },
  ]);
  const conversation = await stage.hear('acho que já chega dessas coisas todas que vocês ficam mandando');
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  await stage.ctx.db.call('enqueue_message', {
    p_request: { instance: 'julia-dev', phone: '5511912345678', text: 'Promoção!', kind: 'campaign' },
  });
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Pronto, não envio mais nada.']);
  assert.ok((await stage.system.dump()).includes('out system blocked(opt_out): Promoção!'));
  await stage.hear('na verdade, uma dúvida');
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), ['Pronto, não envio mais nada.', 'Oi de novo!']);
  assert.deepEqual(await stage.system.query('select source from opt_outs'), [{ source: 'agent' }]);
});

test('L1 remember and react: the fact is in the next prompt, the reaction on the wire, once each', async (t) => {
  const stage = await openStage(t);
  const fact = { name: 'remember', input: { fact: 'prefere manhãs' } };
  stage.system.simulator.script([
    { tools: [fact, { name: 'react', input: { emoji: '🙏' } }] },
    { text: 'Anotado!' },
    { tools: [fact] },
    { text: 'Já sei!' },
  ]);
  const conversation = await stage.hear('só posso de manhã, obrigada');
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  const [reaction] = stage.system.simulator.sends({ kind: 'reaction' });
  assert.deepEqual(
    [reaction?.text, reaction?.targetId],
    ['🙏', stage.system.simulator.messages(stage.maria).find((message) => !message.fromMe)?.id],
  );
  await stage.hear('então quando?');
  await turn(stage.ctx, conversation);
  assert.doesNotMatch(stage.prompts()[0]?.texts.join() ?? '', /anotado/);
  // Where it stands is told by test/core: WhatsApp's times are in whole seconds, and all of this happens within one.
  assert.match(stage.prompts()[2]?.texts.join('\n') ?? '', /^user: \[sistema: anotado sobre o cliente [^\n]*\n- prefere manhãs\]$/m);
  assert.deepEqual(await stage.system.query('select kind, about, fact, message_id is not null as has_source from contact_facts'), [
    { kind: 'other', about: 'prefere manhãs', fact: 'prefere manhãs', has_source: true },
  ]);
  assert.deepEqual(await stage.system.query('select name, ok from tool_calls order by id'), [
    { name: 'remember', ok: true },
    { name: 'react', ok: true },
    { name: 'remember', ok: true },
  ]);
});

test('L6 what the contact said two hundred messages ago, and the agent noted, is known, though the words are no longer read', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  system.simulator.script([
    { tools: [{ name: 'remember', input: { fact: 'alérgica a amendoim' } }] },
    { text: 'Anotado!' },
    { text: 'Sem amendoim!' },
  ]);
  const conversation = await stage.hear('não posso comer amendoim de jeito nenhum');
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  // One by one: the ticks of what was sent come meanwhile, and a transaction of all four could lock against them.
  for (const statement of [
    `update messages set provider_at = provider_at - interval '4 hours', created_at = created_at - interval '4 hours'`,
    `update contact_facts set noted_at = now() - interval '4 hours'`,
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, created_at, kind)
      select tenant_id, instance_id, id, last_seq + n, case when n % 2 = 1 then 'in' else 'out' end, case when n % 2 = 1 then 'contact' else 'agent' end,
        case when n % 2 = 1 then 'answered' else 'sent' end, 'conversa ' || n, now() - (201 - n) * interval '1 minute', now() - (201 - n) * interval '1 minute', case when n % 2 = 0 then 'reply' end
      from conversations, generate_series(1, 200) n`,
    `update conversations set last_seq = last_seq + 200`,
  ])
    await system.query(statement);
  await stage.hear('que bolo você sugere para mim?');
  await turn(stage.ctx, conversation);
  const prompt = stage.prompts().at(-1)?.texts ?? [];
  assert.match(prompt[0] ?? '', /^user: \[sistema: o que já se sabia do cliente [^\n]*\n- alérgica a amendoim\]$/);
  assert.ok(!prompt.join('\n').includes('de jeito nenhum'), 'its words are beyond the window');
  assert.ok(prompt.includes('user: conversa 121') && prompt.length < 130, 'the last eighty messages are there, and no book');
});

test('I13 no key: stored and listed, not controlled, said once at the start, and answered again when there is one', async (t) => {
  const stage = await openStage(t);
  const keyless = { ...stage.ctx, llm: null, config: { ...stage.ctx.config, claude: null } };
  const conversation = await stage.hear('oi');
  assert.deepEqual(await turn(keyless, conversation), { kind: 'done' });
  await stage.hear('oi?');
  await turn(keyless, conversation);
  assert.deepEqual(await stage.system.dump(), ['in contact handed_over(no_model): oi', 'in contact handed_over(no_model): oi?']);
  assert.deepEqual(await handoffs(stage), [{ reason: 'no_model', controls: false }]);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await stage.hear('e agora?');
  await turn(stage.ctx, conversation);
  assert.equal((await stage.system.dump()).at(-1), 'out agent queued: Olá!');
  assert.deepEqual(stage.prompts()[0]?.texts, ['user: oi', 'user: oi?', 'user: e agora?']);
  const loaded = loadConfig({ RUN_MODE: 'worker', DATABASE_URL: 'postgres://a:b@127.0.0.1/c' });
  assert.equal(loaded.ok && loaded.warnings.filter((warning) => warning.startsWith('ANTHROPIC_API_KEY')).length, 1);
});

test('I14 a model that never says a word: three tries, then the fallback text exactly once and a person', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.fault({ target: 'claude', kind: 'no-text', times: null });
  const conversation = await stage.hear('oi');
  const waits = await turnsUntilDone(stage.ctx, conversation);
  assert.deepEqual(waits.length, MAX_FAILED_TURNS);
  assert.ok(waits.reduce((sum, wait) => sum + wait, 0) + MAX_FAILED_TURNS * 30_000 <= 120_000, waits.join());
  await sendDue(stage.ctx, conversation);
  await stage.hear('oi?');
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [FALLBACK_TEXT]);
  assert.equal(stage.prompts().length, MAX_FAILED_TURNS);
  assert.deepEqual(await stage.turns(), [
    'failed(model_empty_answer)',
    'failed(model_empty_answer)',
    'failed(model_empty_answer)',
    'handed_over(turn_failed)',
    'handed_over(human)',
  ]);
  assert.deepEqual(await handoffs(stage), [{ reason: 'turn_failed', controls: true }]);
  assert.deepEqual(await stage.system.query(`select status, reason from messages where direction = 'in' order by id`), [
    { status: 'handed_over', reason: 'turn_failed' },
    { status: 'handed_over', reason: 'human' },
  ]);
});

test('I14 a failure that no try can mend goes to a person at once', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.fault({ target: 'claude', kind: 'status', status: 400, times: null });
  const conversation = await stage.hear('oi');
  assert.deepEqual(await turnsUntilDone(stage.ctx, conversation), []);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(sent(stage), [FALLBACK_TEXT]);
  assert.deepEqual(await handoffs(stage), [{ reason: 'model_refused', controls: true }]);
});

test('I14 a failure that passes: the next try answers, and the failures are forgotten', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.fault({ target: 'claude', kind: 'no-text' });
  stage.system.simulator.script([{ text: 'Olá!', repeat: true }]);
  const conversation = await stage.hear('oi');
  assert.equal((await turnsUntilDone(stage.ctx, conversation)).length, 1);
  assert.deepEqual(await stage.system.query('select failed_in_row, controlled_by from conversations'), [
    { failed_in_row: 0, controlled_by: 'agent' },
  ]);
  assert.deepEqual(await stage.turns(), ['failed(model_empty_answer)', 'committed']);
});

test('I15 an old message is not answered by itself but listed; a new one is, with the old one before it', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('de ontem', { ageMs: 121 * 60_000 });
  await turnsUntilDone(stage.ctx, conversation);
  assert.deepEqual(await stage.system.dump(), ['in contact skipped(too_old): de ontem']);
  assert.deepEqual(await handoffs(stage), [{ reason: 'too_old', controls: false }]);
  assert.equal(stage.prompts().length, 0);
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await stage.hear('oi?');
  await turn(stage.ctx, conversation);
  assert.deepEqual(stage.prompts()[0]?.texts, ['user: de ontem', 'user: oi?']);
});

test('I11 a book is not fed to the model: a summary is asked for, the original is kept in full', async (t) => {
  const stage = await openStage(t);
  const book = 'a'.repeat(10_001);
  const conversation = await stage.hear(book);
  await turn(stage.ctx, conversation);
  assert.equal(stage.prompts().length, 0);
  assert.match((await stage.system.dump()).at(-1) ?? '', /^out agent queued: .*resumo/);
  assert.deepEqual(
    await stage.system.query(`select status, length(text) as text, length(typed) as typed from messages where direction = 'in'`),
    [{ status: 'answered', text: 10_001, typed: 10_001 }],
  );
  assert.deepEqual(await stage.turns(), ['committed(too_long)']);
});

test('O7 a long answer becomes parts in order, each a row of its own with its typing time', async (t) => {
  const stage = await openStage(t, { env: { HUMAN_DELAY: 'true', LLM_MAX_TOKENS: '2000' }, overrides: { random: () => 0.5 } });
  const sentence = 'Esta é uma frase comum de atendimento. ';
  stage.system.simulator.script([{ text: sentence.repeat(25).trim() }]);
  const conversation = await stage.hear('me conta tudo');
  await turn(stage.ctx, conversation);
  const parts = await stage.system.query<{ part: number; text: string; typing_ms: number }>(
    `select part, text, typing_ms from messages where direction = 'out' order by seq`,
  );
  assert.deepEqual(
    parts.map((each) => each.part),
    [1, 2, 3],
  );
  assert.equal(parts.map((each) => each.text).join(' '), sentence.repeat(25).trim());
  assert.ok((parts[0]?.typing_ms ?? 0) < 8_000, 'what the contact has waited counts');
  assert.equal(parts[1]?.typing_ms, 8_000);
});

test('L3 the model of the environment, the complex one for a difficult message, tokens and money per call and per turn', async (t) => {
  const stage = await openStage(t, { env: { LLM_MODEL: 'claude-haiku-4-5', LLM_MODEL_COMPLEX: 'claude-opus-5-5' } });
  const conversation = await stage.hear('oi');
  await turn(stage.ctx, conversation);
  await stage.hear('achei muito caro');
  await turn(stage.ctx, conversation);
  assert.deepEqual(
    stage.prompts().map((prompt) => prompt.model),
    ['claude-haiku-4-5', 'claude-opus-5-5'],
  );
  const turns = await stage.system.query(
    'select model, route, input_tokens + cache_read_tokens + cache_write_tokens > 500 as read, output_tokens > 0 as wrote, cost_usd > 0 as paid from turns order by id',
  );
  assert.deepEqual(
    turns,
    [
      { model: 'claude-haiku-4-5', route: 'plain' },
      { model: 'claude-opus-5-5', route: 'objection' },
    ].map((chosen) => ({ ...chosen, read: true, wrote: true, paid: true })),
  );
  const { entries } = await adminDone<{ entries: { what: string; why: string | null }[] }>(stage.ctx, 'why', {
    id: `conversation:${conversation}`,
  });
  const [plain, difficult] = entries.filter(({ what }) => what === 'turn').map(({ why }) => why ?? '');
  assert.match(plain ?? '', /; claude-haiku-4-5, as for any ordinary message;/);
  assert.match(difficult ?? '', /; claude-opus-5-5; the complex model was chosen because the contact objects or doubts \(objection\);/);
  const { messages } = (await stage.ctx.db.call('read_conversation', {
    p_tenant: 'default',
    p_conversation: conversation,
    p_before: null,
    p_limit: 10,
  })) as { messages: { direction: string; route: string | null }[] };
  assert.deepEqual(
    messages.filter(({ direction }) => direction === 'out').map(({ route }) => routeText(route)),
    [null, 'modelo maior: objeção'],
  );
  assert.deepEqual(
    await stage.system.query(
      'select t.id from turns t join model_calls c on c.turn_id = t.id group by t.id having sum(c.cost_usd) <> t.cost_usd',
    ),
    [],
  );
});

test('L4 cache: the second turn of a conversation reads what the first has written', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Olá!', repeat: true }]);
  const conversation = await stage.hear('oi');
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  await stage.hear('tudo bem?');
  await turn(stage.ctx, conversation);
  const [first, second] = await stage.system.query<{ cache_read_tokens: number; cache_write_tokens: number }>(
    'select cache_read_tokens, cache_write_tokens from turns order by id',
  );
  assert.equal(first?.cache_read_tokens, 0);
  assert.ok((second?.cache_read_tokens ?? 0) >= (first?.cache_write_tokens ?? Infinity), JSON.stringify([first, second]));
});

test('L9 asked whether it is a robot, the agent tells the truth and offers a person', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('você é um robô?');
  await turn(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.match(sent(stage).join(), /assistente virtual.*programa.*pessoa da equipe/);
  assert.match(stage.prompts()[0]?.system ?? '', /diga a verdade e ofereça passar para uma pessoa/);
});
