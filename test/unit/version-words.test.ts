import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseVersion, versionFile } from '../../src/turns/version-words.ts';

const fileOf = (text: string) => {
  const parsed = parseVersion(text);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.fault);
  return parsed.file;
};

test('L5 version file: what a person wrote, in parts and in any of the languages', () => {
  assert.deepEqual(
    fileOf(
      '# Ana\n\nEmpresa: Loja Pitanga\nIdioma: pt-br\nmodelo:\n\n## Tom\nCurto.\n\n## O que fazer\n\nVenda.\n\n### Preços\n\n## Outro\nx\n\n## Frases\n- handoff: Já chamo: um momento.\n',
    ),
    {
      name: 'Ana',
      company: 'Loja Pitanga',
      language: 'pt-BR',
      model: null,
      tone: 'Curto.',
      instructions: 'Venda.\n\n### Preços\n\n## Outro\nx',
      sentences: { handoff: 'Já chamo: um momento.' },
    },
  );
  assert.deepEqual(fileOf('\u{FEFF}# Ana\r\nCompany: Pitanga\r\n\r\n## What to do\r\nSell.\r\n'), {
    name: 'Ana',
    company: 'Pitanga',
    instructions: 'Sell.',
  });
  assert.deepEqual(fileOf('## Tono\nCorto.'), { tone: 'Corto.' });
  assert.deepEqual(fileOf(''), {});
});

test('L5 version file: what is not understood is named, not dropped', () => {
  for (const [text, fault] of [
    ['Venda camisetas.', /Venda camisetas/],
    ['Cor: azul', /Cor: azul/],
    ['Idioma: latim', /no language latim; there are pt-BR/],
    ['## Tom\na\n## Tom\nb', /two sections "Tom"/],
    ['## Frases\nOlá', /this is none: Olá/],
  ] as const) {
    const parsed = parseVersion(text);
    assert.match(parsed.ok ? '' : parsed.fault, fault, text);
  }
});

test('L5 version file: what is printed is read back as it is', () => {
  const line = fc
    .stringMatching(/^[a-zà-úA-Z0-9.,:?! {}-]{1,40}$/)
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const block = fc.array(line, { minLength: 1, maxLength: 4 }).map((lines) => lines.join('\n'));
  const version = fc.record({
    name: line,
    company: fc.option(line),
    language: fc.constantFrom('pt-BR' as const, 'es' as const, 'en' as const),
    model: fc.option(line),
    model_complex: fc.option(line),
    tone: block,
    instructions: block,
    promises: block,
    sentences: fc.dictionary(fc.constantFrom('handoff', 'fallback', 'too_long'), line, { minKeys: 1 }),
  });
  fc.assert(
    fc.property(version, (given) => {
      const { company, model, model_complex: complex, ...rest } = given;
      const read = fileOf(versionFile(given));
      assert.deepEqual(
        { ...read, sentences: { ...read.sentences } },
        {
          ...rest,
          sentences: { ...given.sentences },
          ...(company === null ? {} : { company }),
          ...(model === null ? {} : { model }),
          ...(complex === null ? {} : { model_complex: complex }),
        },
      );
    }),
  );
});
