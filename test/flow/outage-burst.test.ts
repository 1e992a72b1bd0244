/** The model stumbles for a moment under many conversations: everybody is answered by it, and nobody hears of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';
import { SENTENCES } from '../../src/words/sentences.ts';

const { outage: APOLOGY_TEXT } = SENTENCES['pt-BR'];

const CONVERSATIONS = 30;
/** The product's times for a burst of 10 s, a tenth as long: a breaker is tried again after 60 s, a call may take 30 s. */
const TIMES = { CLAUDE_BREAKER_RESET_SECONDS: '6', CLAUDE_BREAKER_MAX_RESET_SECONDS: '30', LLM_TIMEOUT_SEGUNDOS: '3' };
const STUMBLES = [
  { kind: 'status', status: 529 },
  { kind: 'status', status: 429, retryAfter: 2 },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
  { kind: 'drop' },
  { kind: 'hang' },
] as const;
const stumble = (index: number) => STUMBLES[index % STUMBLES.length] ?? STUMBLES[0];
const tag = (index: number): string => `#${String(index).padStart(2, '0')}#`;
const answer = (index: number): string => `Resposta ${tag(index)}`;

function write(system: System, index: number): void {
  const contact = system.simulator.addContact({ name: `Contato ${index}`, phone: `55119${20_000_000 + index}` });
  system.simulator.inbound({ contactId: contact.id, text: `Pergunta ${tag(index)}` });
}

/** What each contact got, and everything that must not have happened. */
async function assertAllAnswered(system: System): Promise<void> {
  const got = system.simulator.sends({ kind: 'text', sent: true }).map(({ jid, text }) => `${jid ?? ''}: ${text}`);
  const wanted = Array.from({ length: CONVERSATIONS }, (_, index) => `55119${20_000_000 + index}@s.whatsapp.net: ${answer(index)}`);
  assert.deepEqual(got.toSorted(), wanted);
  assert.deepEqual(await system.query('select reason from handoffs'), []);
  assert.deepEqual(await system.query('select text from messages where text = $1', [APOLOGY_TEXT]), []);
  assert.deepEqual(await system.query(`select id from messages where direction = 'in' and status <> 'answered'`), []);
  assert.deepEqual(
    await system.query('select id from conversations where failed_in_row > 0 or deferred_since is not null'),
    [],
    'no attempt was used',
  );
}

for (const queue of ['postgres', 'redis'] as const) {
  test(`L15 F14 529, 429, 5xx, cut and hanging calls in a burst under ${CONVERSATIONS} conversations: ${CONVERSATIONS} answers, no handoff, no excuse (queue in ${queue})`, async (t) => {
    const system = await startSystem(t, { queue, workers: 2, env: TIMES });
    const { simulator } = system;
    simulator.script(Array.from({ length: CONVERSATIONS }, (_, index) => ({ match: tag(index), text: answer(index), repeat: true })));
    for (let index = 0; index < CONVERSATIONS; index++)
      simulator.fault({ target: 'claude', ...stumble(index), times: null, match: { text: tag(index) } });
    simulator.fault({ target: 'claude', kind: 'status', status: 529, times: null }); // the probes of the breakers
    for (let index = 0; index < CONVERSATIONS; index++) write(system, index);
    await system.until(
      async () => (await system.query(`select 1 from turns where status = 'deferred' group by conversation_id`)).length === CONVERSATIONS,
      'everybody is put off',
    );
    assert.ok(simulator.wire().claude.length < 4 * CONVERSATIONS, 'the breakers keep most of the calls back');
    assert.deepEqual(simulator.sends(), []);
    simulator.clearFaults();
    await system.until(
      async () => (await system.query(`select 1 from messages where direction = 'out' and status = 'delivered'`)).length >= CONVERSATIONS,
      'all answers',
    );
    await assertAllAnswered(system);
  });
}

test(`L15 only one model is overloaded: the other one answers ${CONVERSATIONS} conversations, and nobody waits`, async (t) => {
  // One worker: each has a breaker of its own, and one that had few conversations of the first half has not opened it yet.
  const system = await startSystem(t, { workers: 1, env: TIMES });
  const { simulator } = system;
  simulator.script(Array.from({ length: CONVERSATIONS }, (_, index) => ({ match: tag(index), text: answer(index), repeat: true })));
  simulator.fault({ target: 'claude', kind: 'status', status: 529, times: null, match: { model: 'claude-haiku-5-5' } });
  for (let index = 0; index < CONVERSATIONS; index++) write(system, index);
  await system.until(
    async () => (await system.query(`select 1 from messages where direction = 'out' and status = 'delivered'`)).length >= CONVERSATIONS,
    'all answers',
  );
  await assertAllAnswered(system);
  assert.deepEqual(await system.query('select status, model, count(*)::int as n from turns group by status, model'), [
    { status: 'committed', model: 'claude-sonnet-5-5', n: CONVERSATIONS },
  ]);
  // As many as were under way before the first one failed; from then on it is tried once in a while, each time by one.
  const asked = () => simulator.wire().claude.filter(({ model }) => model === 'claude-haiku-5-5').length;
  const before = asked();
  for (let index = 0; index < CONVERSATIONS; index++) write(system, index);
  await system.until(
    async () => (await system.query(`select 1 from messages where direction = 'out' and status = 'delivered'`)).length >= 2 * CONVERSATIONS,
    'all answers again',
  );
  const again = asked() - before;
  assert.ok(again < CONVERSATIONS / 3, `the overloaded one is left alone: ${again} calls for ${CONVERSATIONS} more`);
});
