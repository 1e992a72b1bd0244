import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { routeOf, ROUTES } from '../../src/turns/routing-words.ts';
import type { Route, RoutingSnapshot } from '../../src/turns/routing-words.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const said = (...texts: string[]): RoutingSnapshot => ({ now: NOW, pending: texts.map((text) => ({ text })), history: [] });

const TABLE: Readonly<Record<Exclude<Route, 'long_talk'>, readonly string[]>> = {
  sentiment: [
    'quero cancelar',
    'cancelamento',
    'meu pedido foi cancelado??',
    'quero reembolso',
    'quero meu dinheiro de volta',
    'vou ao Procon',
    'meu advogado vai entrar em contato',
    'isso é um absurdo',
    'péssimo atendimento',
    'pessima',
    'horrível',
    'estou decepcionado',
    'que decepção, fui decepcionada',
    'nunca mais compro aí',
    'fui enganado',
    'golpe!',
    'não funciona',
    'o botão não está funcionando',
    'quero fazer uma reclamação',
    'vou reclamar no reclame aqui',
    'ninguém me responde',
    'até agora nada',
    'Veio quebrado',
    'meu pedido não chegou ainda',
    'que raiva de vocês',
    'to muito chateada',
    'cansei de esperar',
    'isso é uma vergonha',
    'que falta de respeito',
    'CADÊ O MEU PEDIDO!!!',
    'ainda esperando 😡',
  ],
  objection: [
    'Está muito caro',
    'que coisa CARA',
    'achei caro viu',
    'a mensalidade é cara demais',
    'caríssimo',
    'o preço tá meio salgado',
    'nao concordo',
    'não aceito',
    'a concorrência é melhor',
    'o concorrente faz',
    'vi mais barato na internet',
    'em outra loja tem',
    'vou pensar e te falo',
    'preciso pensar',
    'vou falar com minha esposa',
    'será que vale a pena?',
    'não tenho certeza',
    'tenho medo de não dar certo',
    'não confio muito',
    'não tenho condições agora',
    'demora muito pra chegar',
    'fora do meu orçamento',
  ],
  negotiation: [
    'tem desconto?',
    'e um descontinho?',
    'vamos fazer uma negociação',
    'dá pra negociar',
    'faz por 150?',
    'fecha por R$ 1.200?',
    'consegue abaixar um pouco?',
    'melhora esse preço pra mim',
    'qual o último preço?',
    'à vista fica quanto?',
    'e se eu levar duas?',
    'tem frete grátis?',
    'tenho uma contraproposta',
    'tem cupom?',
    'consegue uma condição especial?',
  ],
  plain: [
    'oi',
    'bom dia!',
    'tem carona?',
    'quero comprar um carro',
    'qual o horário?',
    'meu caroço',
    'escaro',
    'não sei',
    'golpear é feio',
    'funciona aos sábados?',
    'a Carolina está?',
    'obrigada!',
    'oi cara, tudo bem?',
    'Caro senhor, gostaria de marcar',
    'cara, vocês entregam em Osasco?',
    'com carinho, Ana',
    'o que vocês fazem?',
    'meu negócio é pequeno',
    'quanto é?',
    'aceita cartão?',
    'dá pra baixar o app?',
    'quero marcar uma consulta',
    'ele está descontrolado',
    'por mim tudo certo',
    'Não. Funciona sim, obrigado',
    'IPHONE 15 PRO MAX',
    'OK!',
    'sim',
    'pode ser amanhã às 10h?',
    'não, obrigado',
    'kkkkk',
    '👍',
    'qual a melhor data?',
    'vocês são de São Paulo?',
    'vou pagar no pix',
    'queria saber o valor',
  ],
};

for (const [route, texts] of Object.entries(TABLE))
  for (const text of texts) test(`L3 routing, ${route}: "${text}"`, () => assert.equal(routeOf(said('oi', text)), route));

test('L3 of several rules the first of the table counts, in whichever message it stands', () => {
  assert.equal(routeOf(said('tem desconto? está caro')), 'objection');
  assert.equal(routeOf(said('está caro', 'quero cancelar')), 'sentiment');
  assert.equal(routeOf(said('não', 'funciona')), 'plain', 'words of two messages are no phrase');
});

const round = (minutesAgo: number): RoutingSnapshot['history'] =>
  [
    { direction: 'in' as const, author: 'contact', type: 'text' },
    { direction: 'in' as const, author: 'contact', type: 'text' },
    { direction: 'out' as const, author: 'agent', type: 'text' },
    { direction: 'out' as const, author: 'agent', type: 'text' },
  ].map((each) => ({ ...each, at: new Date(NOW.getTime() - minutesAgo * 60_000) }));
const rounds = (...minutesAgo: number[]): RoutingSnapshot => ({ ...said('certo'), history: minutesAgo.flatMap((each) => round(each)) });

test('L3 the sixth turn of a talk is of the complex model, however many messages a turn has; another day begins another talk', () => {
  assert.equal(routeOf(rounds(5, 4, 3, 2)), 'plain');
  assert.equal(routeOf(rounds(6, 5, 4, 3, 2)), 'long_talk');
  assert.equal(routeOf(rounds(1440, 1439, 1438, 1437, 1436, 2)), 'plain');
  const reactions = rounds(5, 4, 3, 2);
  reactions.history = [...reactions.history, ...round(1).map((each) => ({ ...each, type: 'reaction' }))];
  assert.equal(routeOf(reactions), 'plain', 'a reaction is no turn');
});

test('L3 any text has one rule, soon', () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 400 })), (texts) => ROUTES.includes(routeOf(said(...texts)))));
  const start = process.cpuUsage();
  routeOf(said('não '.repeat(200_000), `${'caro '.repeat(100)}senhor`));
  assert.ok(process.cpuUsage(start).user < 1e6);
});
