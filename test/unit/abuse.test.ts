import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abuseOf, isMachine, likeness, quietSeconds } from '../../src/turns/checks/abuse.ts';
import type { AbuseMessage, AbuseSnapshot } from '../../src/turns/checks/abuse.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const LIMITS = { turnsPerDay: 100, tokensPerDay: 1_000_000 };

/** `secondsAgo`, direction, words; the last inbound ones are pending when `pending` is given. */
function said(secondsAgo: number, direction: 'in' | 'out', text: string, more: Partial<AbuseMessage> = {}): AbuseMessage {
  return {
    direction,
    author: direction === 'in' ? 'contact' : 'agent',
    type: 'text',
    text,
    at: new Date(NOW.getTime() - secondsAgo * 1000),
    ...more,
  };
}

function judge(messages: AbuseMessage[], change: Partial<AbuseSnapshot> = {}) {
  const pending = messages.slice(-1);
  return abuseOf(
    { now: NOW, history: messages.slice(0, -1), pending, today: { turns: 0, tokens: 0 }, waitedSince: null, ...change },
    LIMITS,
  );
}

/** Rounds of our answer and a reply `replyMs` later, `everyMs` apart, the newest reply now. */
function rounds(count: number, everyMs: number, replyMs: (n: number) => number, reply: (n: number) => string): AbuseMessage[] {
  return Array.from({ length: count }, (_, n) => {
    const repliedAt = (count - 1 - n) * everyMs;
    return [said((repliedAt + replyMs(n)) / 1000, 'out', `resposta ${n}`), said(repliedAt / 1000, 'in', reply(n))];
  }).flat();
}

const WORDS = [
  'qual o preço',
  'tem em azul',
  'entrega no sábado',
  'e a garantia',
  'aceita cartão',
  'fica onde',
  'pode ser dez',
  'vou querer dois',
  'meu nome é Ana',
  'rua das flores',
  'pago agora',
  'obrigada viu',
];
const word = (n: number) => `${WORDS[n % WORDS.length] ?? ''} ${n}`;

test('X8 abuse: a customer is none', () => {
  assert.equal(judge([said(0, 'in', 'oi')]), null);
  assert.equal(judge(rounds(10, 60_000, (n) => 20_000 + n * 1_700, word)), null, 'a talk of ten minutes');
  assert.equal(judge(rounds(12, 25_000, (n) => 5_000 + (n % 5) * 3_000, word)), null, 'a quick talk');
  assert.equal(
    judge(
      rounds(
        6,
        20_000,
        (n) => 3_000 + n * 2_000,
        () => 'sim',
      ),
    ),
    null,
    'yes to six questions',
  );
  assert.equal(judge(Array.from({ length: 10 }, (_, n) => said(10 - n, 'in', word(n)))), null, 'ten messages in ten seconds');
  assert.equal(judge(['oi', 'oi', 'oi?', 'OI', 'oiii'].map((text, n) => said(40 - n * 10, 'in', text))), null, 'impatience');
  assert.equal(
    judge(
      rounds(
        8,
        20_000,
        (n) => 9_000 + n * 500,
        (n) => `Pedido ${n}`,
      ),
    ),
    null,
    'eight orders, one after the other',
  );
});

test('X8 abuse: the same words again and again', () => {
  const spam = (count: number, text: string) => Array.from({ length: count }, (_, n) => said((count - n) * 60, 'in', text));
  assert.equal(judge(spam(5, 'Ganhe dinheiro em casa')), null);
  assert.equal(judge(spam(6, 'Ganhe dinheiro em casa')), 'abuse_repeated');
  const written = ['Ganhe dinheiro em casa', 'GANHE dinheiro, em casa!', 'ganhe dinheiro em casa 💰'];
  assert.equal(judge([...written, ...written].map((text, n) => said(60 - n * 10, 'in', text))), 'abuse_repeated', 'however it is written');
  assert.equal(judge(spam(9, 'oi')), null);
  assert.equal(judge(spam(10, 'oi')), 'abuse_repeated');
  assert.equal(judge(spam(12, '👍')), null, 'no words');
  assert.equal(judge(Array.from({ length: 8 }, (_, n) => said((8 - n) * 1_800, 'in', 'Bom dia, tudo bem?'))), null, 'over four hours');
});

test('X8 abuse: a bot that answers each answer, by its cadence', () => {
  const steady = () => rounds(10, 12_000, () => 2_000, word);
  assert.equal(judge(steady()), 'abuse_loop');
  assert.equal(judge(steady().slice(2)), null, 'one round less');
  assert.equal(judge(rounds(10, 20_000, (n) => 1_000 + (n % 7) * 900, word)), null, 'a person has no rhythm');
  const withColleague = steady();
  withColleague.splice(10, 0, said(55, 'out', 'deixa comigo', { author: 'human' }));
  assert.equal(judge(withColleague), null, 'somebody of the team writes in between');
});

test('X8 abuse: a bot that answers each answer, by what it says', () => {
  const menu = (n: number) => `Recebemos a sua mensagem e um consultor fala com você. Pedido ${1000 + n}`;
  assert.equal(judge(rounds(6, 90_000, (n) => 10_000 + n * 7_000, menu)), 'abuse_loop');
  assert.equal(judge(rounds(5, 90_000, (n) => 10_000 + n * 7_000, menu)), null);
});

const MENUS = [
  'Olá! Digite 1 para vendas, 2 para suporte.',
  'Opção inválida. Escolha uma das opções abaixo:',
  'Não entendi sua resposta. Digite a opção desejada',
  'Este é um atendimento automático da Padaria Sol',
  'Mensagem automática: estamos fora do horário de atendimento',
  'Anote o número do protocolo 88213',
  'Seu atendimento foi encerrado por inatividade.',
  'Não responda esta mensagem',
  'Retornaremos assim que possível',
  'Você está na posição 4 da fila',
];

test('X8 W11 abuse: what only a machine says, three times in a row, whatever its pace and however it is worded', () => {
  for (let first = 0; first < MENUS.length; first++) {
    const menu = (n: number) => MENUS[(first + n) % MENUS.length] ?? '';
    const slow = (n: number) => 40_000 + n * 31_000;
    assert.equal(judge(rounds(3, 300_000, slow, menu)), 'abuse_loop', menu(2));
    assert.equal(judge(rounds(2, 300_000, slow, menu)), null);
    const asked = (n: number) => (n === 2 ? 'o que é isso que me mandaram?' : menu(n));
    assert.equal(judge(rounds(4, 300_000, slow, asked)), null, 'a person asks about it');
  }
});

test('X8 abuse: a volley that leaves no time to read', () => {
  assert.equal(judge(rounds(14, 8_000, (n) => 1_000 + (n % 5) * 1_300, word)), 'abuse_loop');
  assert.equal(judge(rounds(13, 8_000, (n) => 1_000 + (n % 5) * 1_300, word)), null);
});

test('X8 abuse: floods', () => {
  const burst = (count: number) => Array.from({ length: count }, (_, n) => said(0, 'in', word(n)));
  assert.equal(judge([], { pending: burst(29) }), null);
  assert.equal(judge([], { pending: burst(30) }), 'abuse_flood');
  assert.equal(judge(Array.from({ length: 30 }, (_, n) => said((30 - n) * 2, 'in', word(n)))), 'abuse_flood', '30 in a minute');
  assert.equal(judge(Array.from({ length: 35 }, (_, n) => said((35 - n) * 5, 'in', word(n)))), null, '35 in three minutes');
});

test('X8 L15 abuse: who waits for the model may ask again and again over the hours, and nobody writes thirty messages in a minute', () => {
  const waitedSince = new Date(NOW.getTime() - 50 * 60_000);
  const asks = (count: number, everySeconds: number, text: (n: number) => string) =>
    Array.from({ length: count }, (_, n) => said((count - n) * everySeconds, 'in', text(n)));
  const again = () => 'tem alguém aí?';
  assert.equal(judge([], { pending: asks(12, 200, again) }), 'abuse_repeated');
  assert.equal(judge([], { pending: asks(12, 200, again), waitedSince }), null);
  assert.equal(judge([], { pending: asks(40, 60, word) }), 'abuse_flood');
  assert.equal(judge([], { pending: asks(40, 60, word), waitedSince }), null);
  assert.equal(judge([], { pending: asks(40, 1, word), waitedSince }), 'abuse_flood');
  assert.equal(
    judge([], { pending: [...asks(35, 1, word), said(-3_000, 'in', 'alô?')], waitedSince }),
    'abuse_flood',
    'also when it was half an hour ago',
  );
  // what it said so often before it had to wait is counted as ever
  const before = Array.from({ length: 6 }, (_, n) => said(3_300 - n * 20, 'in', again()));
  assert.equal(judge(before, { waitedSince }), 'abuse_repeated');
});

test('X8 abuse: turns and tokens of a day', () => {
  const one = [said(0, 'in', 'oi')];
  assert.equal(judge(one, { today: { turns: 99, tokens: 999_999 } }), null);
  assert.equal(judge(one, { today: { turns: 100, tokens: 0 } }), 'abuse_daily_turns');
  assert.equal(judge(one, { today: { turns: 0, tokens: 1_000_000 } }), 'abuse_daily_tokens');
  assert.equal(isMachine('abuse_daily_turns'), false);
  assert.equal(isMachine('abuse_loop'), true);
  assert.ok(quietSeconds('abuse_loop') < quietSeconds('abuse_daily_turns'));
});

test('X8 likeness: 0 for nothing in common, 1 for the same', () => {
  assert.equal(likeness('abc', 'abc'), 1);
  assert.equal(likeness('abc', 'xyz'), 0);
  assert.ok(likeness('protocolo 1234', 'protocolo 1235') > 0.8);
  assert.equal(likeness('', ''), 1);
  assert.equal(likeness('a', ''), 0);
});
