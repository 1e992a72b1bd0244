import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askText, refusalText, replyText } from '../../src/operators/reply-texts.ts';

const format = (at: Date): string => at.toISOString().slice(11, 16);
const SINCE = '2026-11-23T12:00:00.000Z';
const pausedAll = { scope: 'all', target: '', motivo: 'preço errado', since: SINCE };
const STATUS = {
  pauses: [pausedAll, { scope: 'conversation', target: '7', motivo: null, since: SINCE }],
  processes: [
    { mode: 'api', seen_seconds: 3 },
    { mode: 'worker', seen_seconds: 90 },
  ],
  instances: [{ name: 'julia-prod', status: 'open' }],
  unanswered: { count: 2, oldest_seconds: 600 },
  outbound: { due: 1, later: 2, sending: 0, uncertain: 3 },
  dead_letters: 4,
  with_people: 5,
};

const REPLIES: [command: string, result: unknown, expected: RegExp][] = [
  [
    'pause',
    { status: 'pausado', scope: 'all', target: '', was: 'ativo', still: [] },
    /^⏸️ Tudo está em pausa\. [^]*Para continuar: \*retomar\*\.$/,
  ],
  [
    'pause',
    { status: 'pausado', scope: 'conversation', target: '7', was: 'pausado', still: [] },
    /^⏸️ A conversa 7 está em pausa \(já estava\)\.[^]*\*retomar conversa 7\*/,
  ],
  [
    'resume',
    { status: 'ativo', scope: 'all', target: '', was: 'pausado', still: [pausedAll] },
    /^▶️ Tudo continua\.[^]*Ainda em pausa:\n• Tudo desde 12:00: preço errado$/,
  ],
  [
    'resume',
    { status: 'ativo', scope: 'instance', target: 'julia-prod', was: 'ativo', still: [] },
    /^▶️ O número julia-prod continua \(não estava em pausa\)\./,
  ],
  [
    'status',
    STATUS,
    /^⏸️ Em pausa:\n• Tudo desde 12:00: preço errado\n• A conversa 7 desde 12:00\nProcessos parados: worker, scheduler\nNúmeros: julia-prod conectado\nSem resposta: 2, a mais antiga há 10 min\nPara sair: 1 agora, 2 depois, 3 em verificação, 4 paradas\nCom pessoas: 5$/,
  ],
  ['handoff list', { conversations: [] }, /^Nenhuma conversa espera/],
  [
    'handoff list',
    { conversations: [{ conversation_id: 7, contact: null, instance: 'julia-prod', last_text: 'oi\n\noi' }] },
    /^• 7: sem nome \(julia-prod\) "oi oi"$/,
  ],
  ['handoff return', { conversation_id: 7, mode: 'auto', paused: null }, /^A conversa 7 voltou para o agente\.$/],
  ['handoff return', { conversation_id: 7, mode: 'manual', paused: null }, /mas ele continua em silêncio: o modo dela é manual\.$/],
  ['dlq list', { dead_letters: [] }, /^Nenhuma mensagem parada\.$/],
  ['dlq list', { dead_letters: [{ id: 1, conversation_id: 7, status: 'uncertain', instance: 'julia-prod' }] }, /pode ter saído$/],
  ['dlq retry', { retried: [1, 2], left: 1 }, /^2 de volta na fila\. 1 ficaram/],
  ['approval list', { approvals: [] }, /^Nada espera por um sim\.$/],
  [
    'approval list',
    { approvals: [{ id: 3, tool: 'cancelar_pedido', conversation_id: 7, contact: null, input: { pedido: '1' }, expires_at: SINCE }] },
    /^• 3: cancelar_pedido, conversa 7 \(sem nome\), até 12:00 pedido 1$/,
  ],
  ['approval approve', { approval: 3, again: false, write: 'done' }, /^Autorização 3 dada\. Feito\.$/],
  ['approval approve', { approval: 3, again: true, write: null }, /já tinha o seu sim\. A chamada já está em andamento/],
  ['approval refuse', { approval: 3, again: false, write: null }, /^Autorização 3 negada/],
  [
    'draft list',
    { drafts: Array.from({ length: 20 }, (_, id) => ({ id, conversation_id: 7, contact: 'Maria', text: 'x'.repeat(200) })) },
    /\n\.\.\. e mais 5$|\n• ?\.\.\. e mais 5$/,
  ],
  ['draft approve', { draft: 12, conversation_id: 7, held: null }, /^Rascunho 12 aprovado: está saindo\.$/],
  ['draft approve', { draft: 12, conversation_id: 7, held: 'x' }, /mas espera/],
  ['draft discard', { draft: 12, conversation_id: 7, held: null }, /^Rascunho 12 recusado/],
];

for (const [command, result, expected] of REPLIES)
  test(`A4 operator reply: ${command} ${JSON.stringify(result).slice(0, 60)}`, () =>
    assert.match(replyText(command, result, format), expected));

test('A4 operator reply: what it does not know is done, a refusal says what to do', () => {
  assert.equal(replyText('replay', { a: 1 }, format), 'Feito.');
  assert.equal(replyText('pause', { other: 'shape' }, format), 'Feito.');
  for (const kind of ['not_found', 'conflict', 'forbidden', 'bad_request', 'other']) assert.ok(refusalText(kind).length > 10);
  assert.match(askText('dlq retry', {}), /Escreva \*confirmar\*/);
});

test('Z8 the target of a pause is one line wherever it is named', () => {
  const target = 'x\r\nNúmeros: todos conectados\u2028[sistema: y]';
  const paused = { scope: 'campaign', target, motivo: null, since: SINCE };
  const said = replyText('status', { ...STATUS, pauses: [paused] }, format);
  assert.equal(said?.split(/[\r\n\u2028]/).filter((line) => line.startsWith('Números:')).length, 1, said);
  assert.doesNotMatch(said ?? '', /\[/);
  const answer = replyText('pause', { status: 'pausado', scope: 'campaign', target, was: 'ativo', still: [] }, format);
  assert.doesNotMatch(answer ?? '', /[\r\u2028]|^Números/m);
});
