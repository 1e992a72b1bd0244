import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestText, draftText, forwardText, handoffReason, packetText, recoveredText, returnedText } from '../../src/people/packet.ts';
import type { PacketHandoff } from '../../src/people/packet.ts';

const HANDOFF: PacketHandoff = {
  conversation_id: 7,
  instance: 'julia-prod',
  reason: 'turn_failed',
  summary: 'Quer trocar o pedido 12',
  suggestion: null,
  controls: true,
  name: 'Maria da Silva',
  phone: '5511912345678',
  messages: [
    { author: 'contact', text: 'Oi\nveio errado', said: true },
    { author: 'agent', text: 'Vou verificar.', said: true },
    { author: 'agent', text: 'Já volto.', said: false },
  ],
};

test('X7 I20 packet: who, what, the last words, a suggested answer, and how to give it back', () => {
  assert.equal(
    packetText(HANDOFF, 'told', 10),
    [
      '*Uma pessoa é necessária* na conversa 7',
      'Quem: Maria da Silva (+5511912345678), pelo número julia-prod',
      'Motivo: três tentativas de responder falharam',
      'Resumo: Quer trocar o pedido 12',
      'Últimas mensagens:',
      '> Cliente: Oi veio errado',
      '> Agente: Vou verificar.',
      '> Agente (ainda não saiu): Já volto.',
      'Sugestão de resposta: Oi Maria! Sou da equipe e vou continuar com você por aqui. Já li o que você escreveu.',
      'Responda pelo celular do número julia-prod. Para devolver ao agente: "devolver 7", ou "/bot on" na própria conversa.',
      'Se ninguém assumir, ela volta sozinha para o agente quando o problema acabar.',
    ].join('\n'),
  );
  assert.match(packetText(HANDOFF, 'reminded', 10), /^\*Ainda sem ninguém\* há 10 min: conversa 7\n/);
});

test('X7 packet: nothing known but the conversation; a book; a tool’s own words', () => {
  const little = { ...HANDOFF, controls: false, name: null, phone: null, summary: null, messages: [] };
  assert.match(
    packetText(little, 'told', 10),
    /^\*Para olhar\*: conversa 7\nQuem: telefone não conhecido, pelo número julia-prod\nMotivo: [^\n]+\nSugestão/,
  );
  const book = {
    ...HANDOFF,
    messages: Array.from({ length: 6 }, () => ({ author: 'contact', text: '😀'.repeat(5_000), said: true })),
    summary: 'x'.repeat(9_000),
  };
  const text = packetText(book, 'told', 10);
  assert.ok(text.length <= 3_800 && text.isWellFormed());
  assert.equal(handoffReason('quer falar com a Ana'), 'quer falar com a Ana');
  assert.equal(handoffReason('model_timeout'), 'o modelo não respondeu');
});

test('X7 packet: forwarded words, a draft, a return, many at once', () => {
  assert.equal(
    forwardText({ conversation_id: 7, name: 'Maria', phone: null, instance: 'julia-prod' }, ['oi', 'alguém?']),
    '*Conversa 7* (Maria (telefone não conhecido), pelo número julia-prod), que está com uma pessoa:\n> oi\n> alguém?',
  );
  assert.match(
    draftText({ id: 12, conversation_id: 7, contact: null, asked: 'oi', text: 'Olá!' }),
    /^\*Rascunho 12\* para a conversa 7 \(sem nome\)\nCliente: oi\nResposta:\n> Olá!\nEnviar: "aprovar 12"\./,
  );
  assert.match(returnedText({ conversation_id: 7, name: 'Maria' }, 24), /^A conversa 7 \(Maria\) ficou 24 h/);
  assert.equal(
    digestText(Array.from({ length: 25 }, (_, n) => ({ conversation_id: n + 1, reason: 'too_old', controls: false }))).split('\n')[0],
    `*Para olhar*: 25 conversas (${Array.from({ length: 20 }, (_, n) => n + 1).join(', ')}, ...)`,
  );
  assert.match(
    digestText([{ conversation_id: 1, reason: 'model_refused', controls: true }]),
    /^\*Uma pessoa é necessária\*: 1 conversas[\s\S]*recusou o pedido/,
  );
  assert.match(recoveredText([{ conversation_id: 7 }]), /^1 conversa voltou para o agente, que responde de novo \(7\)/);
});
