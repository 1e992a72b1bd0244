/** The simulated model without a key: what it says of the company stands in its prompt, or is not said. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { personaReply } from '../../simulator/persona.ts';
import { readDocument } from '../../src/knowledge/read.ts';
import { defaultAgent } from '../../src/turns/default-agent.ts';
import { systemText } from '../../src/turns/system-texts.ts';

const SHOP = new URL('../../samples/loja/', import.meta.url);
const AGENT = { ...defaultAgent, name: 'Ana', language: 'pt-BR' } as const;
const TOOLS = [{ name: 'handoff_to_human' }];
const UNKNOWN = /^Essa informação eu não tenho aqui\. Quer que eu chame uma pessoa da equipe\?$/;

/** As the product sends them: in the first message of the user, or as a tool's result. */
const sources = (
  await Promise.all(
    readdirSync(SHOP)
      .filter((name) => name !== 'perguntas.json')
      .map(async (name) => {
        const read = await readDocument(name, readFileSync(new URL(name, SHOP)));
        assert.ok(read.ok, name);
        const content = read.document.passages.map(({ heading, text }) => ({
          type: 'text',
          text: heading === '' ? text : `${heading}\n${text}`,
        }));
        return { type: 'search_result', source: name, title: name, content };
      }),
  )
).flat();

type Turn = { role: 'user' | 'assistant'; content: unknown };
function reply(system: string, turns: Turn[]) {
  return personaReply({ system: [{ type: 'text', text: system }], messages: turns, tools: TOOLS });
}
const words = (text: string) => ({ type: 'text', text });
const system = systemText(AGENT, 'Loja Pitanga', true);
const asked = (text: string, own = system) => reply(own, [{ role: 'user', content: [...sources, words(text)] }]).text;
const told = (text: string, change: Partial<typeof AGENT> | { instructions: string }) =>
  reply(systemText({ ...AGENT, ...change }, 'Loja Pitanga', false), [{ role: 'user', content: [words(text)] }]).text;

test('L7 persona: of the sample shop’s 60 questions it answers five of six by their phrase, and of the 20 others it says that it does not know', () => {
  const questions = JSON.parse(readFileSync(new URL('perguntas.json', SHOP), 'utf8')) as { question: string; phrase: string | null }[];
  const plain = (text: string) => text.toLowerCase();
  const right = questions.filter(
    ({ question, phrase }) => phrase !== null && plain(asked(question)).includes(plain(phrase.replace(/^.*: /, ''))),
  );
  const honest = questions.filter(({ question, phrase }) => phrase === null && UNKNOWN.test(asked(question)));
  assert.ok(right.length >= 50, `${right.length} of 60`);
  assert.ok(honest.length >= 18, `${honest.length} of 20`);
});

test('L7 persona: every line that it says of the company stands in the prompt', () => {
  const all = JSON.stringify(sources);
  const answer = asked('quanto custa a camiseta azul? e vocês abrem domingo?');
  assert.match(answer, /Camiseta básica: cores branca, preta, azul, verde; tamanhos PP ao XGG; preço R\$ 59,90/);
  assert.match(answer, /Domingo: fechada\./);
  for (const figure of answer.match(/\d+(?:,\d+)?/g) ?? []) assert.ok(all.includes(figure), figure);
  assert.match(asked('Meu pedido 4521 ainda não chegou'), /^Pedido atrasado: .* Quer que eu chame uma pessoa da equipe\?$/);
  assert.match(asked('vocês vendem geladeira?', systemText(AGENT, null, true)), UNKNOWN);
});

test('L7 persona: a tool’s results are read as documents are', () => {
  const call = { type: 'tool_use', id: 'toolu_1', name: 'look', input: {} };
  const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: sources };
  const turns: Turn[] = [
    { role: 'user', content: [words('aceita cheque?')] },
    { role: 'assistant', content: [call] },
    { role: 'user', content: [result] },
  ];
  assert.match(reply(system, turns).text, /Não aceitamos cheque/);
});

test('L5 persona: changed words in the instructions change its answers, and orders are not read out', () => {
  assert.match(told('que horas vocês abrem?', {}), UNKNOWN);
  assert.match(
    told('que horas vocês abrem?', { instructions: 'Abrimos às 7h e fechamos às 16h. Cumprimente quem chega.' }),
    /^Abrimos às 7h e fechamos às 16h\.$/,
  );
  assert.match(
    told('que horas vocês abrem?', { instructions: 'Se perguntarem a hora de abrir, diga que abrimos às 10h.' }),
    /^Abrimos às 10h\.$/,
  );
  assert.match(told('quanto custa a consulta?', { instructions: '## Preços\nConsulta: R$ 180,00.' }), /^Consulta: R\$ 180,00\.$/);
  assert.match(told('quem você cumprimenta?', { instructions: 'Cumprimente quem chega.' }), UNKNOWN);
  assert.match(told('você é um software?', {}), UNKNOWN, 'rules are not told');
  assert.match(told('oi', { name: 'Rui' } as object), /^Olá! Aqui é Rui, da Loja Pitanga\. Tudo bem\? Como posso ajudar\?$/);
});

test('L7 persona: who takes the offer of a person is handed over; a short question is understood by the one before', () => {
  const before: Turn[] = [
    { role: 'user', content: [...sources, words('vocês vendem geladeira?')] },
    { role: 'assistant', content: 'Essa informação eu não tenho aqui. Quer que eu chame uma pessoa da equipe?' },
  ];
  const yes = reply(system, [...before, { role: 'user', content: 'sim, por favor' }]);
  assert.deepEqual(yes.tools, [
    { name: 'handoff_to_human', input: { reason: 'o contato aceitou falar com uma pessoa', summary: 'vocês vendem geladeira?' } },
  ]);
  const price: Turn[] = [
    { role: 'user', content: [...sources, words('quanto custa o vestido longo?')] },
    { role: 'assistant', content: 'R$ 199,90.' },
    { role: 'user', content: 'e o midi?' },
  ];
  assert.match(reply(system, price).text, /midi/);
});
