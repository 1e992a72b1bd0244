/** Passages found by what they mean, beside their words: the Voyage look-alike in place of the service. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embedKnowledgeJob } from '../../src/crons/embed-knowledge.ts';
import { addDocument } from '../../src/knowledge/documents.ts';
import { createSearch } from '../../src/knowledge/retrieve.ts';
import { embedMissing } from '../../src/knowledge/vectors.ts';
import { createVoyage } from '../../src/voyage/client.ts';
import type { Voyage } from '../../src/voyage/client.ts';
import { adminDone } from '../support/admin.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const never = new AbortController().signal;
const SHOP = `# Produtos

## Moletom

O moletom com capuz custa R$ 149,90, do P ao XGG.

## Camiseta

A camiseta custa R$ 59,90.

## Festa

O vestido longo custa R$ 219,90.

## Trocas

A troca é feita em até 30 dias, com etiqueta.`;

async function shop(system: System, tenant = 'default'): Promise<void> {
  const added = await addDocument(system.ctx.db, tenant, { name: 'produtos.md', bytes: Buffer.from(SHOP) }, 'test');
  assert.ok(added.ok);
}

const texts = (system: System, type: string) =>
  system.simulator
    .wire()
    .voyage.filter((each) => each.type === type)
    .flatMap((each) => each.texts);
/** Another one has no memory of what failed. */
const voyageOf = (system: System, model = 'voyage-3.5-lite'): Voyage =>
  createVoyage({ apiKey: 'pa-of-tests', model, baseUrl: system.simulator.voyageUrl });

test('L7 what no word of the documents says is found by what it means; both ways are joined, and each text is paid once', async (t) => {
  const system = await startSystem(t, { voyage: true, workers: 0 });
  await shop(system);
  const { voyage, db } = system.ctx;
  assert.ok(voyage);
  const asked = { now: 'tem algum agasalho?' };
  assert.deepEqual(await createSearch(db, null).find('default', asked), []);
  assert.deepEqual(await embedMissing(db, voyage, 0, never), { made: 4, failure: null });
  assert.deepEqual(await embedMissing(db, voyage, 0, never), { made: 0, failure: null });
  const search = createSearch(db, voyage);
  assert.match((await search.find('default', asked))[0]?.text ?? '', /moletom/);
  const both = await search.find('default', { now: 'camiseta e agasalho' });
  assert.deepEqual(
    both
      .slice(0, 2)
      .map(({ heading }) => heading)
      .toSorted(),
    ['Produtos > Camiseta', 'Produtos > Moletom'],
  );
  // the same words in another document, and in it again: nothing new to pay
  await addDocument(db, 'default', { name: 'copia.md', bytes: Buffer.from(`${SHOP}\n`) }, 'test');
  assert.equal((await embedMissing(db, voyage, 0, never)).made, 0);
  assert.equal(texts(system, 'document').length, 4);
  assert.equal(texts(system, 'query').length, 2);
  const [spent] = await system.query<{ calls: number; usd: number }>(
    `select sum(calls)::int as calls, sum(usd)::float as usd from spend_days where kind = 'embedding'`,
  );
  assert.equal(spent?.calls, 3);
  assert.ok((spent?.usd ?? 0) > 0);
});

test('L7 another model makes its own vectors; what is removed is forgotten; nobody finds those of another company', async (t) => {
  const system = await startSystem(t, { voyage: true, workers: 0 });
  const { db } = system.ctx;
  await system.query(`insert into tenants (id, name) values ('vizinho', 'Vizinho')`);
  await shop(system);
  await shop(system, 'vizinho');
  const voyage = voyageOf(system);
  assert.equal((await embedMissing(db, voyage, 0, never)).made, 8, 'each company pays for its own');
  assert.equal((await embedMissing(db, voyageOf(system, 'voyage-4'), 0, never)).made, 8);
  const search = createSearch(db, voyage);
  const ids = new Set(
    (await system.query<{ id: string }>(`select id from knowledge_chunks where tenant_id = 'default'`)).map(({ id }) => Number(id)),
  );
  for (const { id } of await search.find('default', { now: 'agasalho de inverno' })) assert.ok(ids.has(id));
  await adminDone(system.ctx, 'knowledge remove', { name: 'produtos.md' });
  assert.deepEqual(await search.find('default', { now: 'agasalho de inverno' }), []);
  await embedMissing(db, voyage, 0, never);
  assert.deepEqual(await system.query('select tenant_id, model, count(*)::int as n from embeddings group by 1, 2 order by 2'), [
    { tenant_id: 'vizinho', model: 'voyage-3.5-lite', n: 4 },
    { tenant_id: 'vizinho', model: 'voyage-4', n: 4 },
  ]);
});

const FAULTS: [what: string, fault: object, reason: string][] = [
  ['a wrong key', { kind: 'status', status: 401 }, 'key'],
  ['no credit', { kind: 'status', status: 402 }, 'credit'],
  ['too many calls', { kind: 'status', status: 429 }, 'rate_limited'],
  ['a service that fails', { kind: 'status', status: 503 }, 'unreachable'],
  ['a service that is away', { kind: 'drop' }, 'unreachable'],
  ['an answer that is none', { kind: 'answer', body: '<html>' }, 'answer'],
  [
    'vectors of another length',
    { kind: 'answer', body: JSON.stringify({ data: [{ embedding: [1, 2], index: 0 }], usage: { total_tokens: 1 } }) },
    'answer',
  ],
];

test('L7 without the service words alone are looked for, at once: a wrong key, no credit, too slow, away, another dimension', async (t) => {
  const system = await startSystem(t, { voyage: true, workers: 0 });
  const { db } = system.ctx;
  await shop(system);
  assert.equal((await embedMissing(db, voyageOf(system), 0, never)).failure, null);
  for (const [what, fault, reason] of FAULTS) {
    system.simulator.fault({ target: 'voyage', times: null, ...fault } as never);
    const voyage = voyageOf(system);
    const search = createSearch(db, voyage);
    const calls = system.simulator.wire().voyage.length;
    assert.match((await search.find('default', { now: 'quanto é a camiseta' }))[0]?.text ?? '', /59,90/, what);
    const again = await voyage.embed(['x'], 'query', never);
    assert.ok(!again.ok, what);
    assert.equal(again.reason, reason === 'answer' ? 'answer' : 'resting', what);
    assert.equal(system.simulator.wire().voyage.length - calls, reason === 'answer' ? 2 : 1, `${what}: calls rest`);
    system.simulator.clearFaults();
  }
  await system.query(`delete from embeddings`);
  system.simulator.fault({ target: 'voyage', kind: 'status', status: 402, times: 1 });
  const half = await embedMissing(db, voyageOf(system), 0, never);
  assert.deepEqual([half.made, half.failure?.reason], [0, 'credit']);
  assert.equal((await embedMissing(db, voyageOf(system), 0, never)).made, 4, 'the next run makes what is missing');
});

test('L7 the job makes what is missing where documents are searched, and says when there is no key', async (t) => {
  const system = await startSystem(t, { voyage: true, workers: 0 });
  const run = async () => embedKnowledgeJob.run(system.ctx, { tick: new Date(), signal: never });
  await shop(system);
  assert.equal(await run(), 0, 'so little is read whole');
  const filler = Array.from(
    { length: 300 },
    (_, index) => `## Item ${index}\n\n${`Texto do item ${index}, sem nada de especial. `.repeat(10)}`,
  ).join('\n\n');
  const added = await adminDone<{ vectors: string | null }>(system.ctx, 'knowledge add', { name: 'manual.md', text: filler });
  assert.match(added.vectors ?? '', /^\d+ vectors were made\.$/);
  assert.equal(await run(), 0);
  assert.deepEqual(await embedKnowledgeJob.run({ ...system.ctx, voyage: null }, { tick: new Date(), signal: never }), {
    skipped: 'VOYAGE_API_KEY is not set',
  });
});
