/**
 * The model is away for ten minutes under real processes, of which one is killed, and the queue is emptied. Minutes pass in the database: what the product
 * compares with its clock is moved back there.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { flushPostgresQueue } from '../../scripts/lib/postgres-queue.ts';
import { startSite } from '../support/site.ts';
import type { Site } from '../support/site.ts';
import { SENTENCES } from '../../src/words/sentences.ts';

const { outage: APOLOGY_TEXT } = SENTENCES['pt-BR'];

const WAITING = 6;
const tag = (index: number): string => `#${index}#`;
const answer = (index: number): string => `Resposta ${tag(index)}`;

/** So much later: it was written, put off and apologised for so many seconds earlier. */
async function later(site: Site, seconds: number): Promise<void> {
  await site.query(
    `update messages set created_at = created_at - $1::int * interval '1 second', provider_at = provider_at - $1::int * interval '1 second'`,
    [seconds],
  );
  await site.query(
    `update conversations set deferred_since = deferred_since - $1::int * interval '1 second', apologised_at = apologised_at - $1::int * interval '1 second',
       deferred_until = deferred_until - $1::int * interval '1 second'`,
    [seconds],
  );
}

const texts = (site: Site, phone: string): string[] =>
  site.simulator.sends({ kind: 'text', sent: true, jid: `${phone}@s.whatsapp.net` }).map((send) => send.text);
const phoneOf = (index: number): string => `55119${30_000_000 + index}`;

/** Everything that waits in the queue is lost. */
async function emptyQueue(site: Site): Promise<void> {
  if (site.redis === null) return flushPostgresQueue((sql) => site.query(sql));
  const client = new Redis(site.redis.url);
  await client.flushall();
  client.disconnect();
}

// Most of the time both wait, so they do it side by side.
describe('a long outage', { concurrency: true }, () => {
  for (const queue of ['postgres', 'redis'] as const)
    test(`L15 the model away for ten minutes, a worker killed and the queue in ${queue} emptied meanwhile: one sentence each, people told once, and everybody is answered when it is back`, async (t) => {
      const site = await startSite(t, {
        queue,
        env: { CLAUDE_BREAKER_RESET_SECONDS: '1', CLAUDE_BREAKER_MAX_RESET_SECONDS: '2', LLM_TIMEOUT_SEGUNDOS: '5' },
      });
      const [, first] = await Promise.all([
        site.startReady('api'),
        site.startReady('worker'),
        site.startReady('worker'),
        site.startReady('scheduler'),
      ]);
      const { simulator } = site;
      // The newest message of a contact is matched first.
      simulator.script([
        ...Array.from({ length: WAITING }, (_, index) => ({ match: `${tag(index)} de novo`, text: answer(index), repeat: true })),
        ...Array.from({ length: WAITING }, (_, index) => ({ match: tag(index), text: answer(index), repeat: true })),
      ]);
      simulator.fault({ target: 'claude', kind: 'status', status: 529, times: null });
      const contacts = Array.from({ length: WAITING }, (_, index) => simulator.addContact({ name: `C${index}`, phone: phoneOf(index) }).id);
      for (const [index, contactId] of contacts.entries()) simulator.inbound({ contactId, text: `Pergunta ${tag(index)}` });
      await site.until(
        async () => (await site.query('select 1 from conversations where deferred_until is not null')).length === WAITING,
        'everybody waits for the model',
      );

      // The wake-ups of all are lost, and half of the workers die.
      await emptyQueue(site);
      first.signal('SIGKILL');
      await later(site, 106);
      await site.until(() => contacts.every((_, index) => texts(site, phoneOf(index)).length === 1), 'the sentence for each', 90_000);
      await site.startReady('worker');

      // A person takes one over on the phone, and another contact loses patience.
      simulator.owner({ contactId: contacts[0] ?? '', text: 'Oi, aqui é a Ana, já vejo isso.' });
      simulator.inbound({ contactId: contacts[1] ?? '', text: `Alguém? ${tag(1)} de novo` });
      await site.until(
        async () => (await site.query(`select 1 from messages where author = 'human' or text like '%de novo'`)).length === 2,
        'both are stored',
      );
      await later(site, 480);
      await site.until(
        async () => (await site.query(`select 1 from notices where text like '%O modelo não responde%'`)).length > 0,
        'people are told',
        90_000,
      );

      simulator.clearFaults();
      const answered = contacts.slice(1);
      await site.until(() => answered.every((_, at) => texts(site, phoneOf(at + 1)).includes(answer(at + 1))), 'the answers', 90_000);
      await site.until(
        async () => (await site.query('select 1 from conversations where deferred_until is not null')).length === 0,
        'nobody waits',
      );
      for (const at of answered.keys()) assert.deepEqual(texts(site, phoneOf(at + 1)), [APOLOGY_TEXT, answer(at + 1)]);
      assert.deepEqual(texts(site, phoneOf(0)), [APOLOGY_TEXT], 'a person has it');
      assert.deepEqual(
        await site.query(`select status, reason from messages where direction = 'in' and status not in ('answered', 'handed_over')`),
        [],
      );
      assert.deepEqual(await site.query('select reason from handoffs'), []);
      assert.equal((await site.query(`select 1 from notices where text like '%O modelo não responde%'`)).length, 1, 'once for all of them');
    });
});
