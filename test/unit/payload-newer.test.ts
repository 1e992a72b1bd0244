/** Recorded from real processes of Evolution 2.3.7 and 2.4.0-rc2: what each line means. The look of the older ones is in payload.test.ts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseFoundMessages, parseWebhook } from '../../src/whatsapp/payload.ts';
import { inWords } from '../support/inbound.ts';

type Recorded = { version: string; body: { event: string } };

const recorded = readFileSync(new URL('../fixtures/evolution-payloads-newer.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded); // the fixture is ours
const RECEIVED = new Date('2026-11-29T05:00:00.000Z');

/** In the order of the lines. */
const meant = [
  'connection connecting 200',
  'connection open 200',
  'contact 5511988887777/915511988887777 at 5511988887777@s.whatsapp.net: Oi, tudo bem?',
  'api 5511988887777/- at 5511988887777@s.whatsapp.net: R: Oi, tudo bem?',
  'delivered 3EB0417616D90ECD430129 in 5511988887777/-',
  'read 3EB0417616D90ECD430129 in 5511988887777/-',
  'contact -/915511966665555 at 915511966665555@lid: Oi so lid',
  'api -/915511966665555 at 915511966665555@lid: R: Oi so lid',
  'phone 5511977776666/- at 5511977776666@s.whatsapp.net: Oi Joana, aqui e o dono',
  'phone -/915511977776666 at 915511977776666@lid: Joana de novo o dono',
  'contact 5511940000001/915511940000001 at 5511940000001@s.whatsapp.net: [áudio de voz, 12 s]',
  'contact 5511940000003/915511940000003 at 5511940000003@s.whatsapp.net: [imagem]\nOlha esse comprovante',
  'contact 5511940000005/915511940000005 at 5511940000005@s.whatsapp.net: [vídeo, 9 s]\nVeja o video',
  'contact 5511940000007/915511940000007 at 5511940000007@s.whatsapp.net: [recado em vídeo, 5 s]',
  'contact 5511940000008/915511940000008 at 5511940000008@s.whatsapp.net: [documento: orcamento.pdf]',
  'contact 5511940000010/915511940000010 at 5511940000010@s.whatsapp.net: [figurinha]',
  'contact 5511940000011/915511940000011 at 5511940000011@s.whatsapp.net: [figurinha]',
  'contact 5511940000012/915511940000012 at 5511940000012@s.whatsapp.net: [localização: Praca da Se, Praca da Se, Sao Paulo (-23.5505, -46.6333)]',
  'contact 5511940000013/915511940000013 at 5511940000013@s.whatsapp.net: [localização em tempo real: (-23.5505, -46.6333)]\na caminho',
  'contact 5511940000014/915511940000014 at 5511940000014@s.whatsapp.net: [contato: Ana Lima, +5511912121212]',
  'contact 5511940000015/915511940000015 at 5511940000015@s.whatsapp.net: [contato: Ana, +5511912121212; Bia, +5511913131313]',
  'contact 5511940000016/915511940000016 at 5511940000016@s.whatsapp.net: [enquete: Qual dia? Opções: Segunda; Terca]',
  'contact 5511940000017/915511940000017 at 5511940000017@s.whatsapp.net: Mensagem temporaria',
  'contact 5511940000020/915511940000020 at 5511940000020@s.whatsapp.net: [imagem]\nso uma vez',
  'contact 5511940000022/915511940000022 at 5511940000022@s.whatsapp.net: [áudio de voz, 4 s]',
  'contact 5511940000026/915511940000026 at 5511940000026@s.whatsapp.net: Sim, quero',
  'contact 5511940000027/915511940000027 at 5511940000027@s.whatsapp.net: Agendar',
  'contact 5511940000028/915511940000028 at 5511940000028@s.whatsapp.net: Plano Ouro',
  'contact 5511940000029/915511940000029 at 5511940000029@s.whatsapp.net: Quero PIX',
  'contact 5511940000030/915511940000030 at 5511940000030@s.whatsapp.net: [pedido: Loja, 2 itens, BRL 25.00]\nQuero esses',
  'contact 5511940000031/915511940000031 at 5511940000031@s.whatsapp.net: [produto: Camiseta, BRL 50.00]',
  'contact 5511940000032/915511940000032 at 5511940000032@s.whatsapp.net: [convite de grupo: Grupo]\nEntra ai',
  'contact 5511940000033/915511940000033 at 5511940000033@s.whatsapp.net: [evento: Reuniao, começa 28/11/2026, 23:03 (horário de Brasília)]\nna loja',
  'contact 5511940000034/915511940000034 at 5511940000034@s.whatsapp.net: [cobrança: BRL 1.00]\npaga aí',
  'ignored album, kept',
  'contact 5511940000036/915511940000036 at 5511940000036@s.whatsapp.net: [mensagem de tipo não suportado: mensagem que só abre no celular] (wordless)',
  'contact 5511940000038/915511940000038 at 5511940000038@s.whatsapp.net: [mensagem de tipo não suportado: bcallMessage]\ny',
  'contact 5511940000039/915511940000039 at 5511940000039@s.whatsapp.net: [chamada de voz, não atendida]',
  'ignored protocol, kept',
  'ignored protocol, kept',
  'ignored protocol, kept',
  'ignored protocol, kept',
  'reaction 5511955550001/915511955550001 👍 to 3EB015178B5AB5E4DA56C3',
  "anybody's edit of 3EB062B0A837E31E126E64 in -: Pode ser as 15h",
  'edit of 3EB062B0A837E31E126E64 in 5511955550001/-: Pode ser as 15h',
  'delete of 3EB0B44B92556E50D0EE0D in 5511955550001/915511955550001',
  'contact 5511955550001/915511955550001 at 5511955550001@s.whatsapp.net: [voto em enquete, não pode ser lido]',
  'ignored group, kept',
  'presence 5511955550001/-',
  'connection close null',
  'connection close 401',
  'connection close 401',
  'our reaction 5511955550001/- 👍 to 3EB0DUPDUPDUPDUPDUP1',
  'our reaction -/915511966665555 ❤️ to 3EB059A06104906F82930E',
  'connection connecting 200',
  'connection open 200',
  'contact 5511833330001/915511833330001 at 5511833330001@s.whatsapp.net: Sem licenca',
  'contact 5511940000001/915511940000001 at 5511940000001@s.whatsapp.net: [áudio de voz, 12 s]',
  'contact 5511940000009/915511940000009 at 5511940000009@s.whatsapp.net: [documento: contrato.pdf]\nSegue o contrato',
  'contact 5511940000017/915511940000017 at 5511940000017@s.whatsapp.net: Mensagem temporaria',
  'contact -/915511844440001 at 915511844440001@lid: lid sem alt no 2.4',
  'phone 5511844440001/- at 5511844440001@s.whatsapp.net: dona lid no 2.4',
  'connection close null',
  'connection close 408',
  'connection close 408',
  'api 5511855550001/- at 5511855550001@s.whatsapp.net: R: Oi A\nOi A',
  'delivered 3EB05D5CFDFFE181B80CC5 in 5511855550001/-',
  'ignored unproven_author, kept',
  'our delete of 3EB05D5CFDFFE181B80CC5 in 5511855550001/-',
  'our edit of 3EB0EF55676193C980E28A in 5511855550002/-: corrigido pela dona',
  'our reaction 5511855550003/- ❤️ to 3EB0X',
  'phone 5511855550004/- at 5511855550004@s.whatsapp.net: [imagem]\nfoto da dona',
  'failed 3EB0A6BBAE62F5616BE6F0 in 5511866660002/-',
];

test('W5 versions: every recorded line has one meaning', () => assert.equal(recorded.length, meant.length));

for (const [index, expected] of meant.entries()) {
  const { version, body } = recorded[index]!; // counted above
  test(`W5 versions: ${version} line ${index + 1} ${body.event} -> ${expected}`, () => {
    assert.deepEqual(parseWebhook(body, null, RECEIVED).map(inWords), [expected]);
  });
}

/** Rows of findMessages as they were recorded, by their labels or versions: what a comparison reads. */
const found: Readonly<Record<string, readonly string[]>> = {
  findMessages: [
    'phone 5511988887777/- at 5511988887777@s.whatsapp.net: com delay',
    'contact 5511988887777/- at 5511988887777@s.whatsapp.net: [imagem]\nolha',
    'contact 5511988887777/- at 5511988887777@s.whatsapp.net: Oi, tudo bem?',
  ],
  'findMessages by time window': [
    'phone 5531988887777/- at 553188887777@s.whatsapp.net: br',
    'contact 5511988887777/- at 5511988887777@s.whatsapp.net: direct',
  ],
  'findMessages finds the lost one': ['contact 5511988887777/- at 5511988887777@s.whatsapp.net: will be lost'],
  '2.4': [
    'phone -/915511822220001 at 915511822220001@lid: R: Qual o meu nome?',
    'contact -/915511822220001 at 915511822220001@lid: Qual o meu nome?',
    'phone 5511822220001/- at 5511822220001@s.whatsapp.net: R: Meu nome e Rui',
  ],
};

test('W1 W15 look-ups: recorded rows of findMessages mean what their webhooks would have meant', () => {
  const recordings = ['evolution-rest.jsonl', 'evolution-rest-newer.jsonl'].flatMap((file) =>
    readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as { label?: string; version?: string; response: { body: { messages?: { records: unknown[] } } | null } },
      ),
  );
  for (const [name, rows] of Object.entries(found)) {
    const answer = recordings.find((each) => (each.label ?? each.version) === name && each.response.body?.messages?.records.length);
    assert.deepEqual(parseFoundMessages('julia', answer?.response.body?.messages?.records ?? [], RECEIVED).map(inWords), rows, name);
  }
});
