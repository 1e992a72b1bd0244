import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { TOOLS } from '../../src/turns/tools/all.ts';
import { handoffToHuman } from '../../src/turns/tools/handoff-to-human.ts';
import { optOut } from '../../src/turns/tools/opt-out.ts';
import { react } from '../../src/turns/tools/react.ts';
import { cancelReminders, setReminder } from '../../src/turns/tools/reminders.ts';
import { remember } from '../../src/turns/tools/remember.ts';
import type { ToolSituation } from '../../src/turns/tools/tool.ts';

const SITUATION: ToolSituation = {
  pending: [
    { id: 7, type: 'text' },
    { id: 8, type: 'image' },
  ],
  now: new Date('2026-11-25T13:20:00Z'),
  timeZone: 'America/Sao_Paulo',
};

test('L1 tools: names are unique and fit the provider, schemas are objects without identity, recipient or tenant', () => {
  assert.equal(new Set(TOOLS.map((tool) => tool.name)).size, TOOLS.length);
  for (const tool of TOOLS) {
    assert.match(tool.name, /^[a-zA-Z0-9_-]{1,64}$/);
    assert.ok(tool.description.length > 40);
    const schema = z.toJSONSchema(tool.input);
    assert.equal(schema.type, 'object');
    for (const property of Object.keys(schema.properties ?? {}))
      assert.doesNotMatch(property, /phone|jid|contact|conversation|tenant|message_id|number/);
  }
});

test('L1 handoff_to_human: the conversation becomes a person’s, with what was said', () => {
  assert.deepEqual(handoffToHuman.effect({ reason: 'pediu', summary: 'quer trocar' }, SITUATION).effect, {
    type: 'handoff',
    reason: 'pediu',
    summary: 'quer trocar',
    suggestion: null,
    controls: true,
  });
  assert.deepEqual(handoffToHuman.effect({ reason: 'pediu' }, SITUATION).effect, {
    type: 'handoff',
    reason: 'pediu',
    summary: null,
    suggestion: null,
    controls: true,
  });
  for (const input of [{}, { reason: '' }, { reason: 'x'.repeat(201) }, { reason: 'a', summary: 'x'.repeat(1_001) }, { reason: 7 }, null])
    assert.equal(handoffToHuman.input.safeParse(input).success, false);
});

test('L1 opt_out: needs nothing, and whom it means is not for the model to say', () => {
  assert.deepEqual(optOut.input.parse({ contact_id: 99 }), {});
  assert.deepEqual(optOut.effect({}, SITUATION), {
    ok: true,
    output: 'Registrado. Ele só recebe respostas quando escrever.',
    effect: { type: 'opt_out' },
  });
});

test('L1 remember: one trimmed fact, no card numbers, nothing empty', () => {
  assert.deepEqual(remember.effect(remember.input.parse({ fact: '  prefere manhãs ' }), SITUATION).effect, {
    type: 'remember',
    fact: 'prefere manhãs',
    kind: 'other',
    about: '',
  });
  for (const fact of ['cartão 4111 1111 1111 1111', '4111-1111-1111-1111', '4111111111111111'])
    assert.deepEqual(remember.effect(remember.input.parse({ fact }), SITUATION).effect, null, fact);
  for (const fact of ['mora no 1234, apto 56', 'pedido 998877', 'nasceu em 01/02/1990'])
    assert.notEqual(remember.effect(remember.input.parse({ fact }), SITUATION).effect, null, fact);
  for (const fact of ['', ' ', '\n\t', 'x'.repeat(301)])
    assert.equal(remember.input.safeParse({ fact }).success, false, JSON.stringify(fact));
});

test('L1 react: one emoji, to the newest message of the contact', () => {
  for (const emoji of ['👍', '❤️', '👍🏽', '👨‍👩‍👧', '🇧🇷', '🙏'])
    assert.deepEqual(react.effect({ emoji }, SITUATION).effect, { type: 'react', message_id: 8, emoji }, emoji);
  for (const emoji of ['a', 'ok', '👍👍', ':)', '👍 ', '1', '#']) assert.deepEqual(react.effect({ emoji }, SITUATION).effect, null, emoji);
  assert.equal(react.effect({ emoji: '👍' }, { ...SITUATION, pending: [] }).ok, false);
});

test('L11: set_reminder takes words, and says what is meant, asks back, or says when it would leave', () => {
  const hours = { start: '08:00', end: '20:00', weekdays: [1, 2, 3, 4, 5] };
  const asked = (input: object, situation: Partial<ToolSituation> = {}) =>
    setReminder.effect(setReminder.input.parse(input), { ...SITUATION, hours, ...situation });
  assert.deepEqual(asked({ when: 'terça às 10', about: 'levar o contrato' }), {
    ok: true,
    output: 'Lembrete marcado para terça-feira, 01/12/2026, às 10:00. Diga isso ao cliente.',
    effect: { type: 'remind', about: 'levar o contrato', words: 'terça às 10', due_at: new Date('2026-12-01T13:00:00Z'), event_at: null },
  });
  const event = asked({ when: 'amanhã cedo', about: 'a consulta', event: 'amanhã às 15h' });
  assert.match(event.output, /quinta-feira, 26\/11\/2026, às 08:00; a coisa é quinta-feira, 26\/11\/2026, às 15:00/);
  for (const [input, words] of [
    [{ when: 'semana que vem', about: 'x' }, /Que dia da semana\?/],
    [{ when: '31 de fevereiro', about: 'x' }, /Esse dia não existe/],
    [{ when: 'ontem', about: 'x' }, /já passou/],
    [{ when: 'amanhã às 9', about: 'a consulta de amanhã' }, /não vai o dia/],
    [{ when: 'amanhã às 16h', about: 'x', event: 'amanhã às 15h' }, /seria depois/],
    [{ when: 'amanhã às 9', about: 'x', event: 'algum dia' }, /Que dia\?/],
  ] as const) {
    const { ok, output, effect } = asked(input);
    assert.deepEqual([ok, effect], [false, null], output);
    assert.match(output, words);
  }
  for (const when of ['amanhã às 21h', 'sábado às 10h'])
    assert.match(asked({ when, about: 'x' }).output, /Nessa hora não enviamos mensagens \(08:00 às 20:00\)/);
  assert.doesNotMatch(asked({ when: 'amanhã às 21h', about: 'x' }, { hours: null }).output, /não enviamos/);
  assert.deepEqual(cancelReminders.effect({}, SITUATION).effect, { type: 'cancel_reminders' });
});
