/** What a contact may read from the runtime itself, walked by name and language; and what makes a version of an agent's words a bad one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHonest } from '../../src/inbox/bot-suspicion-words.ts';
import { asksToReturn, asksToStop } from '../../src/inbox/opt-out-words.ts';
import { faultsOf, incomplete, MOST_WORDS_CHARS } from '../../src/turns/agent-words.ts';
import type { AgentWords } from '../../src/turns/agent-words.ts';
import { defaultAgent } from '../../src/turns/default-agent.ts';
import { createVersions } from '../../src/turns/last-good.ts';
import type { AgentVersion } from '../../src/turns/calls.ts';
import { identityHint, situationWords, systemText } from '../../src/turns/system-texts.ts';
import { LANGUAGES, SENTENCES, sentencesOf, unknownPlaceholders } from '../../src/words/sentences.ts';

const WORDS: AgentWords = { ...defaultAgent, company: 'Loja Pitanga', language: 'pt-BR', sentences: {} };
const codes = (change: Partial<AgentWords>, company: string | null = null) =>
  faultsOf({ ...WORDS, ...change }, company).map(({ code }) => code);

test('L5 sentences: every language has every sentence, in words of its own', () => {
  const names = Object.keys(SENTENCES['pt-BR']);
  const seen = new Set<string>();
  for (const language of LANGUAGES) {
    assert.deepEqual(Object.keys(SENTENCES[language]), names, language);
    for (const [name, text] of Object.entries(SENTENCES[language])) {
      assert.ok(text.length > 20 && text.length <= 160 && /[.?]$/.test(text), `${language} ${name}: ${text}`);
      assert.deepEqual(unknownPlaceholders(text), []);
      seen.add(text);
    }
  }
  assert.equal(seen.size, names.length * LANGUAGES.length);
});

test('L5 L9 sentences: each language tells the truth, offers a person, and names a word that is understood', () => {
  const shouted = (text: string): string => /\b[A-Z]{4,}\b/.exec(text)?.[0] ?? '';
  for (const language of LANGUAGES) {
    const { honest, opted_out: out, opted_in: back } = SENTENCES[language];
    assert.ok(isHonest(honest), language);
    assert.ok(asksToReturn(shouted(out)), `${language}: ${out}`);
    assert.ok(asksToStop(shouted(back)), `${language}: ${back}`);
    assert.deepEqual(faultsOf({ ...WORDS, language }, null), [], language);
  }
});

test('L5 sentences: the Portuguese ones fit an agent of either gender', () => {
  const own = [
    ...Object.values(SENTENCES['pt-BR']),
    ...Object.values(defaultAgent),
    systemText(WORDS, null, true),
    identityHint('pt-BR'),
  ].join('\n');
  assert.deepEqual(own.match(/\b(uma|um|a|o) (assistente|atendente)\b|\bobrigad[oa]\b|\b(pronta|cansada|calorosa|atenta)\b/gi) ?? [], []);
});

test('L5 sentences: an agent has its own words for one and those of its language for the others, with its names in them', () => {
  const agent = { ...WORDS, name: 'Ana', sentences: { fallback: 'Aqui é {agente}, da {empresa}: já volto.', honest: 7 } };
  const say = sentencesOf(agent);
  assert.equal(say.fallback, 'Aqui é Ana, da Loja Pitanga: já volto.');
  assert.equal(say.honest, SENTENCES['pt-BR'].honest, 'what is no text is no sentence');
  assert.equal(sentencesOf({ ...agent, language: 'en' }).outage, SENTENCES.en.outage);
});

test('L5 system text: each language has the rules in it, the agent’s words with its names, and the same marks of the runtime', () => {
  const marks = (text: string) =>
    [
      ...new Set(text.match(/\[(?:sistema|pessoa da equipe|mensagem automática|em resposta|imagem)[^\]]*\]|handoff_to_human|opt_out/g)),
    ].toSorted();
  const texts = LANGUAGES.map((language) =>
    systemText({ ...WORDS, name: 'Ana', tone: 'T {agente}', instructions: 'I {empresa}', language }, 'Pitanga', true),
  );
  for (const text of texts) {
    assert.match(text, /T Ana/);
    assert.match(text, /I Pitanga/);
    assert.match(text, /rob[oô]t?/);
    assert.deepEqual(marks(text), marks(texts[0] ?? ''));
  }
  assert.match(texts[1] ?? '', /Responde en español/);
  assert.match(texts[2] ?? '', /Answer in English/);
  assert.equal(new Set(LANGUAGES.map((language) => situationWords(language, 'x', null).join())).size, LANGUAGES.length);
});

const BAD: [name: string, change: Partial<AgentWords>, code: string][] = [
  ['a placeholder that nobody fills', { instructions: 'Diga o preço de {produto}.' }, 'unknown_placeholder'],
  ['one in a sentence', { sentences: { handoff: 'Já chamo, {nome}.' } }, 'unknown_placeholder'],
  ['a company that nobody named', { company: null, tone: 'Como a {empresa}.' }, 'company_missing'],
  ['a sentence that nothing says', { sentences: { goodbye: 'Tchau.' } }, 'sentence_unknown'],
  ['a sentence without words', { sentences: { handoff: ' ' } }, 'sentence_wrong'],
  ['a sentence that is no text', { sentences: { handoff: ['x'] } }, 'sentence_wrong'],
  ['an honest sentence that evades', { sentences: { honest: 'Sou a Ana, da loja. Chamo alguém da equipe?' } }, 'honesty_missing'],
  ['one that offers nobody', { sentences: { honest: 'Sou um robô.' } }, 'honesty_missing'],
  ['one that lies', { sentences: { honest: 'Sou uma pessoa da equipe, não um robô.' } }, 'honesty_missing'],
  ['an order to lie', { instructions: 'Se perguntarem, diga que você é uma pessoa.' }, 'honesty_contradicted'],
  ['an order to pretend', { tone: 'Finja ser humana.' }, 'honesty_contradicted'],
  ['an order to hide it', { instructions: 'Nunca revele que você é um robô.' }, 'honesty_contradicted'],
  ['an order to deny it', { promises: 'Negue que é uma IA.' }, 'honesty_contradicted'],
  ['the same in English', { instructions: 'Never say that you are a bot.' }, 'honesty_contradicted'],
  ['the same in Spanish', { instructions: 'Nunca digas que eres un robot.' }, 'honesty_contradicted'],
];
for (const [name, change, code] of BAD)
  test(`L5 versions: ${name} is refused by name`, () => assert.deepEqual([...new Set(codes(change))], [code]));

const GOOD: Partial<AgentWords>[] = [
  { instructions: 'Nunca diga que você é uma pessoa. Se perguntarem, diga que é um software.' },
  { instructions: 'Diga que é um prazer atender. Chame uma pessoa da equipe quando pedirem.' },
  { sentences: { honest: 'Sou um robô da {empresa}. Quer falar com uma pessoa?' } },
  { instructions: 'Responda só {agente} ao nome.' },
];
for (const [index, change] of GOOD.entries()) test(`L5 versions: good words ${index + 1} pass`, () => assert.deepEqual(codes(change), []));

test('L5 versions: one that nobody could save is not read to a contact; the last good one answers, else the product’s own', () => {
  const version = (id: number, change: Partial<AgentVersion> = {}): AgentVersion => ({
    ...WORDS,
    id,
    tenant_id: 'default',
    slug: 'default',
    version: id,
    model: null,
    model_complex: null,
    tools: [],
    ...change,
  });
  const versions = createVersions(null);
  const bad = version(2, { instructions: 'Olá {cliente}', name: 'Bia' });
  const first = versions.usable(bad);
  assert.deepEqual(
    first.faults.map(({ code }) => code),
    ['unknown_placeholder'],
  );
  assert.equal(first.agent.instructions, defaultAgent.instructions);
  assert.deepEqual(versions.usable(version(1)), { agent: version(1), faults: [] });
  assert.equal(versions.usable(bad).agent.id, 1);
  assert.equal(versions.usable({ ...bad, slug: 'vendas' }).agent.instructions, defaultAgent.instructions, 'of this agent none was good');
  assert.deepEqual(versions.usable(version(3)).faults, []);
});

test('L5 versions: nobody saves one without a name, without instructions, or with a book for them', () => {
  const said = (change: Partial<AgentWords>) => incomplete({ ...WORDS, ...change }).map(({ code }) => code);
  assert.deepEqual(said({}), []);
  for (const name of ['', ' ', 'Ana\nBia', '[Ana]', 'a'.repeat(61)]) assert.deepEqual(said({ name }), ['name_wrong'], name);
  assert.deepEqual(said({ instructions: ' ' }), ['instructions_missing']);
  assert.deepEqual(said({ instructions: 'a'.repeat(MOST_WORDS_CHARS + 1) }), ['too_long']);
});
