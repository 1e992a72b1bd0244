/** Lists of contacts as spreadsheets write them: the fate of each row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readList } from '../../src/campaigns/contact-list.ts';
import { audienceFault, campaignTextFault, tagOf } from '../../src/campaigns/campaign-words.ts';

const fates = (text: string) => {
  const list = readList(text);
  assert.ok(list.ok, JSON.stringify(list));
  return list.rows.map(({ line, fate, phone, name, of }) => [line, fate, phone, name, of]);
};

test('M3 list: each row is taken once, or told why not, with its line', () => {
  const text = [
    '\uFEFFNome;Telefone;Tags',
    'Maria;11 91234-5678;VIP, Sul',
    'João;(11) 91234-5678;',
    'Zé;91234-5678;',
    ';+55 11 91234-5679;',
    'Rita;;x',
    'Ana;abc123;x',
    'Bia;11 91234-5670;a;sobrou',
    '"Lia;11 91234-5671;x',
    '',
    'Eva;5511912345672;',
    'Caio;551112345672;',
  ].join('\r\n');
  const rows = fates(text);
  assert.deepEqual(rows.slice(0, 7), [
    [2, 'taken', '5511912345678', 'Maria', null],
    [3, 'duplicate', null, 'João', 2],
    [4, 'no_area_code', null, 'Zé', null],
    [5, 'taken', '5511912345679', null, null],
    [6, 'no_phone', null, 'Rita', null],
    [7, 'broken', null, 'Ana', null],
    [8, 'broken', null, 'Bia', null],
  ]);
  assert.ok(
    rows.some((row) => row[2] === '5511912345672'),
    'an open quote swallows nothing that follows it',
  );
  const list = readList(text);
  assert.deepEqual(list.ok && list.rows[0]?.tags, ['vip', 'sul']);
});

test('M3 list: commas, tabs, heads of all kinds, hostile names; what is no list is refused with words', () => {
  assert.deepEqual(fates('celular,cliente\n11912345678,"Silva, Maria"'), [[2, 'taken', '5511912345678', 'Silva, Maria', null]]);
  assert.deepEqual(fates('WhatsApp\tNome Completo\n+351912345678\tZé'), [[2, 'taken', '351912345678', 'Zé', null]]);
  const [row] = fates(`telefone;nome\n11912345678;${'x\u202e'.repeat(100)}`);
  assert.ok(String(row?.[3]).length <= 60 && !String(row?.[3]).includes('\u202e'));
  for (const [text, why] of [
    ['', /no rows/],
    ['a;b\n1;2', /telefone/],
    [`telefone\n${'11912345678\n'.repeat(20_001)}`, /at most 20000/],
  ] as const) {
    const list = readList(text);
    assert.ok(!list.ok);
    assert.match(list.message, why);
  }
});

test('M3 words: a wrong placeholder is refused by its name, and an audience says who is meant', () => {
  assert.equal(campaignTextFault('Oi {primeiro_nome}, aqui é a {loja}', 'Pitanga'), null);
  assert.match(campaignTextFault('Oi {codigo}', 'Pitanga') ?? '', /\{codigo\}/);
  assert.match(campaignTextFault('Oi {loja}', null) ?? '', /\{loja\}/);
  for (const text of ['', ' ', 'oi {nome', 'x'.repeat(2_001)]) assert.notEqual(campaignTextFault(text, 'x'), null);
  assert.match(audienceFault({}) ?? '', /who is meant/);
  assert.match(audienceFault({ not_tags: ['vip'] }) ?? '', /who is meant/);
  assert.equal(audienceFault({ silent_days: 30 }), null);
  assert.deepEqual(['VIP', ' São  Paulo ', 'lista:natal', '', '<b>', 'a'.repeat(61)].map(tagOf), [
    'vip',
    'são-paulo',
    'lista:natal',
    null,
    null,
    null,
  ]);
});
