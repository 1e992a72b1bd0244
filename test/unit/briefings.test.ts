/** A briefing's sentences, and what a new reading of it changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readingOf, sentencesOf } from '../../src/directives/briefing-words.ts';
import { endIn, endMeant } from '../../src/directives/end-words.ts';
import { foldWords } from '../../src/words/fold.ts';
import { zoneOf } from '../../src/words/zone.ts';

const ZONE = zoneOf('America/Sao_Paulo');
/** A Wednesday, 10:20. */
const NOW = new Date('2026-11-25T13:20:00Z');

test('M1: sentences of a briefing: items and sentences, each once; headings, marks and scraps are none', () => {
  const text = `BRIEFING DA SEMANA

Loja Pitanga
# Ofertas
Promoções:
* Frete grátis para todo o Brasil até sexta. O cupom é NATAL10, sem mínimo.
  - [ ] Ofereça o vestido azul primeiro
1. Não prometa entrega antes de 3 dias!
• ok
Frete grátis para todo o Brasil, até sexta.`;
  assert.deepEqual(sentencesOf(text), [
    'Frete grátis para todo o Brasil, até sexta.',
    'O cupom é NATAL10, sem mínimo.',
    'Ofereça o vestido azul primeiro',
    'Não prometa entrega antes de 3 dias!',
  ]);
});

test('M1: what is new is proposed, in the place of the most alike of what is said no more; a refused sentence is not proposed again', () => {
  const known = [
    { id: 1, sentence: 'O frete para Minas custa R$ 10.', status: 'active' },
    { id: 2, sentence: 'Ofereça o vestido azul primeiro.', status: 'active' },
    { id: 3, sentence: 'Fechamos no feriado de quinta.', status: 'proposed' },
    { id: 4, sentence: 'Peça o CPF de todo mundo.', status: 'rejected' },
  ] as const;
  assert.deepEqual(
    readingOf(known, [
      'O frete para Minas custa R$ 12.',
      'Ofereça o vestido azul, primeiro',
      'Peça o CPF de todo mundo.',
      'Há café na loja hoje.',
    ]),
    {
      added: [
        { sentence: 'O frete para Minas custa R$ 12.', replaces: 1 },
        { sentence: 'Há café na loja hoje.', replaces: null },
      ],
      gone: [1, 3],
    },
  );
  assert.deepEqual(readingOf([], []), { added: [], gone: [] });
});

test('M1: until when a sentence holds: a day to its end, one that is clear only', () => {
  assert.equal(endIn('Frete grátis até sexta.', NOW, ZONE)?.toISOString(), '2026-11-28T02:59:00.000Z');
  assert.equal(endIn('Frete grátis até 31/12, sem mínimo.', NOW, ZONE)?.toISOString(), '2027-01-01T02:59:00.000Z');
  assert.equal(endIn('Até sexta há frete grátis; até dia 5 há brinde.', NOW, ZONE), null);
  for (const sentence of [
    'Frete grátis até acabar.',
    'Frete grátis.',
    'Entregamos em até 3 dias.',
    'Parcelamos em até 3 vezes.',
    'Até logo!',
  ])
    assert.equal(endIn(sentence, NOW, ZONE), null, sentence);
  const at = endMeant('amanhã às 18h', NOW, ZONE);
  assert.equal(at.kind === 'at' && at.at.toISOString(), '2026-11-26T21:00:00.000Z');
});

test('M1: any text: at most sixty sentences, each of it; the same reading again changes nothing', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 400, unit: 'binary' }), (text) => {
      const sentences = sentencesOf(text);
      assert.ok(
        sentences.length <= 60 && sentences.every((each) => foldWords(text.normalize('NFC')).includes(foldWords(each).split(' ')[0] ?? '')),
      );
      const known = sentences.map((sentence, id) => ({ id, sentence, status: 'active' as const }));
      assert.deepEqual(readingOf(known, sentences), { added: [], gone: [] });
    }),
  );
  assert.equal(sentencesOf('Frete é grátis hoje. '.repeat(5_000)).length, 1);
});
