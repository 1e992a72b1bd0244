import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { TOOLS } from '../../src/turns/tools/all.ts';
import { handoffToHuman } from '../../src/turns/tools/handoff-to-human.ts';
import { optOut } from '../../src/turns/tools/opt-out.ts';
import { react } from '../../src/turns/tools/react.ts';
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
