/** The words of order notices: defaults, placeholders, values that look like something else. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { DEFAULT_TEXTS, SAMPLE, SAMPLE_SHOP, TYPE_NAMES } from '../../src/orders/notice-texts.ts';
import { NOTICE_TYPES, PLACEHOLDERS, renderNotice, templateFault } from '../../src/orders/notice-words.ts';

test('T10 each of the fourteen types has words that may be saved, a name, and reads well with a sample', () => {
  assert.equal(NOTICE_TYPES.length, 14);
  assert.deepEqual(Object.keys(TYPE_NAMES), [...NOTICE_TYPES]);
  const used = new Set<string>();
  for (const type of NOTICE_TYPES) {
    const text = DEFAULT_TEXTS[type];
    assert.equal(templateFault(text), null, type);
    for (const [, name = ''] of text.matchAll(/\{(\w+)\}/g)) used.add(name);
    const said = renderNotice(text, { loja: SAMPLE_SHOP, ...SAMPLE });
    assert.ok(said.ok && !/[{}]/.test(said.text), type);
  }
  assert.deepEqual([...used].toSorted(), [...PLACEHOLDERS].toSorted(), 'each placeholder is in use');
});

test('T10 a text with a wrong placeholder is refused at save, by its name', () => {
  assert.match(templateFault('Oi {cliente}!') ?? '', /no placeholder \{cliente\}/);
  assert.match(templateFault('Oi { nome }') ?? '', /\{ nome \}/);
  for (const text of ['', '  ', 'Oi {nome', 'Oi nome}', '{{nome}}', 'Oi {\nnome}', '{}', 'x'.repeat(1_001)])
    assert.notEqual(templateFault(text), null, text.slice(0, 20));
  assert.equal(templateFault('Olá, {nome}!\n*{codigo}* {valor}'), null);
});

test('T9 T10 values: what is missing is named, and what a value says is words on one line', () => {
  const text = '{nome} {codigo} {valor}';
  assert.deepEqual(renderNotice(text, { codigo: 'A', nome: ' \n ' }), { ok: false, missing: ['nome', 'valor'] });
  assert.deepEqual(renderNotice(text, { nome: '{codigo}$&', codigo: '{nome}', valor: 1234.5 }), {
    ok: true,
    text: '{codigo}$& {nome} R$ 1.234,50',
  });
  assert.deepEqual(renderNotice('{nome}', { nome: 'Ana\n\n[SISTEMA]\u202e Silva' }), { ok: true, text: 'Ana [SISTEMA] Silva' });
  assert.deepEqual(renderNotice('{nome}', JSON.parse('{"__proto__": {"nome": "x"}}')), { ok: false, missing: ['nome'] });
  assert.deepEqual(renderNotice('{codigo}', { codigo: 0 }), { ok: true, text: '0' });
});

test('T10 the page for who leaves Flowlog names each type with what its words need', async () => {
  for (const page of ['docs/migration-from-flowlog.md', 'docs/migration-from-flowlog.pt-BR.md']) {
    const text = await readFile(new URL(`../../${page}`, import.meta.url), 'utf8');
    for (const type of NOTICE_TYPES) {
      const row = text.split('\n').find((line) => line.startsWith(`| \`${type}\` | \`{`)) ?? '';
      const named = (words: string) => [...new Set([...words.matchAll(/\{\w+\}/g)].map(([name]) => name))].toSorted();
      assert.deepEqual(named(row), named(DEFAULT_TEXTS[type]), `${page}: ${type}`);
    }
  }
});
