import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PART_CHARS, splitAnswer, typingTimes, wholeSentences } from '../../src/turns/answer.ts';

const bare = (text: string): string => text.replaceAll(/\s+/gu, '');
const characters = (text: string): string[] =>
  [...new Intl.Segmenter('pt', { granularity: 'grapheme' }).segment(text)].map((each) => each.segment);

/** Words as an answer has them: sentences, prices, links, emoji sequences, lists, line breaks, and now and then a monster without a space. */
const WORDS = fc.constantFrom(
  'Oi',
  'claro',
  'amanhã.',
  'Sim!',
  'Dr.',
  'Silva',
  'R$',
  '1.500,00',
  'às',
  '10h.',
  '👍',
  '👨‍👩‍👧‍👦',
  '🇧🇷',
  '👍🏽',
  'https://loja.example.com/a?b=1&c=2.5',
  'ana.maria@example.com.br',
  '\n',
  '\n\n',
  '\r\n',
  '- item',
  '1.',
  'Certo?',
  'etc...',
  'a'.repeat(70),
);
const TEXT = fc.oneof(
  fc.array(WORDS, { maxLength: 120 }).map((words) => words.join(' ')),
  fc.string({ unit: 'grapheme', maxLength: 1_500 }),
  fc.string({ unit: 'binary', maxLength: 1_500 }),
);

test('O7 split: nothing is lost but white space, no part is over the limit or empty, no character is cut', () => {
  fc.assert(
    fc.property(TEXT, fc.integer({ min: 40, max: 450 }), (text, limit) => {
      const parts = splitAnswer(text, limit);
      assert.equal(bare(parts.join('')), bare(text));
      for (const part of parts) {
        assert.ok(part.length <= limit, `${part.length} > ${limit}`);
        assert.equal(part, part.trim());
        assert.notEqual(part, '');
        assert.ok(part.isWellFormed() || !text.isWellFormed(), 'half a surrogate pair');
      }
    }),
    { numRuns: 500 },
  );
});

test('O7 split: emoji sequences that fill a part stay whole', () => {
  const flags = '👨‍👩‍👧‍👦🇧🇷👍🏽❤️'.repeat(60);
  for (const limit of [30, 41, 97, 400]) assert.deepEqual(splitAnswer(flags, limit).flatMap(characters), characters(flags));
});

test('O7 split: a sequence that is longer than the whole room is cut, but never inside a surrogate pair, and it ends', () => {
  const monster = `👨${'‍👨'.repeat(40)}`;
  for (const limit of [1, 2, 3, 7]) {
    const parts = splitAnswer(monster, limit);
    assert.equal(parts.join(''), monster);
    assert.ok(parts.every((part) => part.isWellFormed()));
  }
});

test('O7 split: the limit itself is one part, one more is two', () => {
  assert.deepEqual(splitAnswer('a'.repeat(PART_CHARS)), ['a'.repeat(400)]);
  assert.deepEqual(splitAnswer('a'.repeat(PART_CHARS + 1)), ['a'.repeat(400), 'a']);
  assert.deepEqual(splitAnswer(' \n\t '), []);
  assert.deepEqual(splitAnswer(''), []);
});

/** Where the text is cut, told by the last words of the first part. */
const CUTS: [name: string, text: string, limit: number, first: string][] = [
  [
    'at the paragraph',
    'Primeiro parágrafo curto.\n\nSegundo parágrafo. Ele tem mais palavras do que cabem.',
    60,
    'Primeiro parágrafo curto.',
  ],
  ['at the sentence end', 'Temos vaga na sexta. Quer que eu reserve para você agora mesmo?', 40, 'Temos vaga na sexta.'],
  ['a sentence may end in a short word', 'Fica combinado para esse dia. Quer que eu avise a equipe?', 45, 'Fica combinado para esse dia.'],
  ['a question ends a sentence', 'Posso reservar o horário? Se sim, preciso do seu nome completo.', 45, 'Posso reservar o horário?'],
  ['the mark that closes goes along', 'Ela disse "pode vir amanhã." Depois disso não falou mais nada.', 45, 'Ela disse "pode vir amanhã."'],
  ['no sentence ends in Dr.', 'Quem atende nesse horário é o nosso Dr. Silva e a equipe dele.', 42, 'Quem atende nesse horário é o nosso'],
  ['no sentence ends in Profa.', 'Quem atende nesse horário é a Profa. Souza e a equipe dela.', 38, 'Quem atende nesse horário é a'],
  [
    'a price keeps its currency',
    'O valor total do seu pedido ficou em R$ 1.500,00 com o frete.',
    42,
    'O valor total do seu pedido ficou em',
  ],
  ['a price keeps its dots', 'Ficou em R$ 1.500,00. O frete é por nossa conta, combinado?', 40, 'Ficou em R$ 1.500,00.'],
  ['an hour ends a sentence', 'A consulta é às 10h. Chegue um pouco antes, por favor.', 40, 'A consulta é às 10h.'],
  ['a number ends a sentence', 'Atendemos até as 18. Depois disso só amanhã cedo.', 35, 'Atendemos até as 18.'],
  [
    'a lower-case word goes on',
    'Traga um documento, p. ex. identidade ou carteira. Obrigada por avisar.',
    55,
    'Traga um documento, p. ex. identidade ou carteira.',
  ],
  [
    'three dots and lower case go on',
    'Deixa eu ver aqui... só um momento. Já volto com a resposta.',
    45,
    'Deixa eu ver aqui... só um momento.',
  ],
  [
    'a sentence that goes on in lower case has no end',
    'Deixa eu ver aqui com calma... só um momento que já volto.',
    40,
    'Deixa eu ver aqui com calma... só um',
  ],
  [
    'a list is cut between items',
    'Opções:\n1. Corte simples\n2. Corte e barba\n3. Pacote completo',
    45,
    'Opções:\n1. Corte simples\n2. Corte e barba',
  ],
  ['a dash list is cut between items', 'Traga:\n- documento\n- comprovante\n- exames antigos', 38, 'Traga:\n- documento\n- comprovante'],
  ['an item keeps its number', 'Temos:\n1. Um corte simples de cabelo feito com tesoura e capricho', 12, 'Temos:'],
  ['a link is whole', 'O link do pagamento: https://loja.example.com/pagar?id=1.2&x=Y', 45, 'O link do pagamento:'],
  ['an e-mail is whole', 'Escreva para o e-mail ana.maria@example.com.br e aguarde', 35, 'Escreva para o e-mail'],
];
for (const [name, text, limit, first] of CUTS) {
  test(`O7 split: ${name}`, () => {
    const parts = splitAnswer(text, limit);
    assert.equal(parts[0], first);
    assert.equal(bare(parts.join('')), bare(text));
  });
}

test('O7 split: links and addresses that fit into a part are never cut', () => {
  const tokens = ['https://loja.example.com/pagar?id=1.2&x=Y#z', 'ana.maria@example.com.br', 'www.example.com/a.b.c'];
  fc.assert(
    fc.property(fc.array(fc.oneof(WORDS, fc.constantFrom(...tokens)), { minLength: 30, maxLength: 100 }), (words) => {
      const whole = words.filter((word) => tokens.includes(word));
      const parts = splitAnswer(words.join(' '), 120).flatMap((part) => part.split(/\s+/));
      assert.deepEqual(
        parts.filter((word) => tokens.includes(word)),
        whole,
      );
    }),
  );
});

test('O7 split: a long answer of sentences is cut at sentence ends only', () => {
  const sentence = 'Esta é uma frase comum de atendimento, com umas tantas palavras. ';
  for (const part of splitAnswer(sentence.repeat(30))) assert.match(part, /palavras\.$/);
});

test('an answer that was cut off ends with its last whole sentence, or shows the cut', () => {
  assert.equal(wholeSentences('Temos vaga na sexta. Também na segu'), 'Temos vaga na sexta.');
  assert.equal(wholeSentences('Temos vaga na sexta.'), 'Temos vaga na sexta.');
  assert.equal(wholeSentences('Custa R$ 1.500,00 no plano do Dr. '), 'Custa R$ 1.500,00 no plano do Dr.…');
});

test('O9 typing: by length, within its range, the wait so far counts for the first part only', () => {
  const parts = ['oi', 'x'.repeat(100), 'x'.repeat(400)];
  assert.deepEqual(typingTimes(parts, 0, 0.5), [900, 4_000, 8_000]);
  assert.deepEqual(typingTimes(parts, 500, 0.5), [400, 4_000, 8_000]);
  // A moment at least: the read marks come with it.
  assert.deepEqual(typingTimes(parts, 60_000, 0.5), [400, 4_000, 8_000]);
  assert.deepEqual(typingTimes([], 0, 0.5), []);
});

test('O9 typing: every delay is a whole number of milliseconds from 0.4 to 9 s', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 500 }), { maxLength: 6 }),
      fc.nat(120_000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (parts, spent, random) => {
        const times = typingTimes(parts, spent, random);
        assert.equal(times.length, parts.length);
        for (const [index, ms] of times.entries()) {
          assert.ok(Number.isInteger(ms) && ms <= 9_000, String(ms));
          assert.ok(ms >= (index === 0 ? Math.max(400, 787 - spent) : 787), String(ms));
        }
      },
    ),
  );
});
