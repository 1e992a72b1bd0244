import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { COMMANDS } from '../../src/admin/all.ts';
import { OPERATOR_HELP, parseOperatorWords } from '../../src/inbox/operator-words.ts';

const everything = { kind: 'command', command: 'pause', args: {}, needsConfirmation: false };

/** What is written, and `command {args}`; `?` behind it asks first. */
const UNDERSTOOD: [string, string][] = [
  ['pausar', 'pause'],
  ['Pausar', 'pause'],
  ['PAUSAR!!', 'pause'],
  ['  pausar julia ', 'pause'],
  ['pausar a Julia', 'pause'],
  ['pausar Júlia', 'pause'],
  ['pausar tudo', 'pause'],
  ['pause', 'pause'],
  ['@julia pausar julia motivo: emergencia', 'pause {"reason":"emergencia"}'],
  ['@Julia: pausar motivo: Preço errado, ver com Ana', 'pause {"reason":"Preço errado, ver com Ana"}'],
  ['<@U02ABC|julia> pausar julia motivo:emergencia', 'pause {"reason":"emergencia"}'],
  ['@5511912345678 pausar', 'pause'],
  ['pausar motivo emergência', 'pause {"reason":"emergência"}'],
  ['pausar porque o preço está errado', 'pause {"reason":"o preço está errado"}'],
  ['pausar conversa 7', 'pause {"scope":"conversation","target":"7"}'],
  ['pausar a conversa 7 motivo: reclamação', 'pause {"scope":"conversation","target":"7","reason":"reclamação"}'],
  ['Pausar número julia-prod', 'pause {"scope":"instance","target":"julia-prod"}'],
  ['pausar chip julia-prod', 'pause {"scope":"instance","target":"julia-prod"}'],
  ['pausar campanha natal-2026.', 'pause {"scope":"campaign","target":"natal-2026"}'],
  ['pausar tenant clinica-a', 'pause {"scope":"tenant","target":"clinica-a"}'],
  ['retomar', 'resume'],
  ['@julia retomar julia', 'resume'],
  ['Retomar a Júlia', 'resume'],
  ['retomar conversa 7 motivo: resolvido', 'resume {"scope":"conversation","target":"7","reason":"resolvido"}'],
  ['status', 'status'],
  ['Status?', 'status'],
  ['situação', 'status'],
  ['status da julia', 'status'],
  ['fila', 'status'],
  ['fila parada', 'dlq list'],
  ['fila reenviar', 'dlq retry {"all":"true"}?'],
  ['handoff', 'handoff list'],
  ['handoffs', 'handoff list'],
  ['handoff listar', 'handoff list'],
  ['atendimentos', 'handoff list'],
  ['handoff devolver 7', 'handoff return {"id":"7"}'],
  ['devolver 7', 'handoff return {"id":"7"}'],
  ['Devolver a conversa 7', 'handoff return {"id":"7"}'],
  ['devolver conversa 7 motivo: resolvido', 'handoff return {"id":"7","reason":"resolvido"}'],
  ['rascunhos', 'draft list'],
  ['aprovar 12', 'draft approve {"id":"12"}'],
  ['Aprovar rascunho 12', 'draft approve {"id":"12"}'],
  ['recusar 12', 'draft discard {"id":"12"}'],
  ['instrução: Frete grátis, porque é Natal!', 'directive add {"text":"Frete grátis, porque é Natal!"}?'],
  ['@julia Instrucao até sexta: O frete é grátis', 'directive add {"text":"O frete é grátis","until":"sexta"}?'],
  ['instruções', 'directive list'],
  ['aprovar instrução 3', 'directive approve {"id":"3"}'],
  ['recusar instrução 3', 'directive reject {"id":"3"}'],
  ['encerrar instrução 3', 'directive end {"id":"3"}'],
  ['autorizações', 'approval list'],
  ['autorizar 12', 'approval approve {"id":"12"}'],
  ['Autorizo autorização 12.', 'approval approve {"id":"12"}'],
  ['negar 12', 'approval refuse {"id":"12"}'],
  ['ajuda', 'help'],
  ['Ajuda!', 'help'],
  ['confirmar', 'confirm'],
  ['Confirmo.', 'confirm'],
  ['confirmar 48291375', 'confirm 48291375'],
  ['Confirmar 4829 1375.', 'confirm 48291375'],
];

const TALK = [
  '',
  ' ',
  '@julia',
  'julia',
  'oi, tudo bem?',
  'pausar a conversa',
  'pausar conversa sete',
  'pausar as mensagens para o meu tio',
  'pode pausar?',
  'quero pausar a minha assinatura',
  'pausar julia por favor agora',
  'retomar de onde paramos',
  'retomar o atendimento amanhã cedo',
  'qual o status do meu pedido?',
  'status do pedido 123',
  'tem fila aí?',
  'fila de espera',
  'preciso de ajuda',
  'instrução de uso',
  'encerrar a conta',
  'instruções do produto',
  'ajuda com a minha conta',
  'devolver o produto',
  'devolver 7 camisas',
  'quero devolver 7',
  'confirmar minha consulta',
  'sim',
  'não',
  'status motivo: curiosidade',
  `pausar motivo: ${'a'.repeat(700)}`,
];

test('A4 operator words: what is a command, in any case, with and without accents, after a mention', () => {
  assert.deepEqual(parseOperatorWords('pausar'), everything);
  for (const [text, expected] of UNDERSTOOD) assert.equal(told(text), expected, text);
});

test('A4 operator words: talk is no command', () => {
  for (const text of TALK) assert.equal(parseOperatorWords(text), null, text);
});

test('A4 operator words: each one is an admin command that takes these arguments', () => {
  for (const [text] of UNDERSTOOD) {
    const request = parseOperatorWords(text);
    if (request?.kind !== 'command') continue;
    const command = COMMANDS.find((each) => each.name === request.command);
    assert.ok(command, request.command);
    const parsed = z.strictObject(command.args.shape).safeParse(request.args);
    assert.ok(parsed.success, `${text}: ${parsed.error?.message ?? ''}`);
  }
});

test('A4 operator words: whatever the help shows is understood', () => {
  const shown = [...OPERATOR_HELP.matchAll(/\*([^*]+)\*/g)].map(([, words = '']) => words);
  assert.ok(shown.length >= 10);
  for (const words of shown) assert.notEqual(parseOperatorWords(words), null, words);
});

function told(text: string): string {
  const request = parseOperatorWords(text);
  if (request?.kind === 'confirm') return `confirm${request.word === null ? '' : ` ${request.word}`}`;
  if (request?.kind !== 'command') return request?.kind ?? 'null';
  const args = Object.keys(request.args).length === 0 ? '' : ` ${JSON.stringify(request.args)}`;
  return `${request.command}${args}${request.needsConfirmation ? '?' : ''}`;
}
