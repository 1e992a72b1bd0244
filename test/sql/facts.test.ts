/** What is noted of contacts: of one subject the newest, from their own words, and nobody else's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { minutesAfter, NOON, openSql, said } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

const note = async (sql: Sql, contact: number, fact: object, minutes: number) =>
  sql.rows('select remember_fact($1, $2, null, $3)', [contact, JSON.stringify(fact), minutesAfter(minutes)]);
const current = async (sql: Sql, contact: number) =>
  (await sql.rows('select fact from contact_facts where contact_id = $1 and replaced_at is null order by noted_at, id', [contact])).map(
    (row) => row['fact'],
  );

async function people(sql: Sql, count: number): Promise<void> {
  for (let index = 0; index < count; index++)
    await sql.record([said({ id: `M${index}`, pn: `551191234567${index}`, text: 'oi', at: NOON })], NOON);
}

test('L7 facts: a newer one of the same kind and subject replaces, the same again changes nothing, and 500 leave the newest 50', async (t) => {
  const sql = await openSql(t);
  await people(sql, 1);
  await note(sql, 1, { fact: 'mora na Rua A', kind: 'address' }, 1);
  await note(sql, 1, { fact: 'veste M', kind: 'preference', about: 'tamanho' }, 2);
  await note(sql, 1, { fact: 'prefere pix', kind: 'preference', about: 'pagamento' }, 3);
  await note(sql, 1, { fact: 'veste G', kind: 'preference', about: 'tamanho' }, 4);
  await note(sql, 1, { fact: 'mora na Rua B', kind: 'address' }, 5);
  await note(sql, 1, { fact: 'mora na Rua B', kind: 'address' }, 6);
  assert.deepEqual(await current(sql, 1), ['prefere pix', 'veste G', 'mora na Rua B']);
  assert.deepEqual(await sql.rows('select fact, noted_at, replaced_at from contact_facts where replaced_at is not null order by id'), [
    { fact: 'mora na Rua A', noted_at: minutesAfter(1), replaced_at: minutesAfter(5) },
    { fact: 'veste M', noted_at: minutesAfter(2), replaced_at: minutesAfter(4) },
  ]);
  for (let index = 0; index < 500; index++) await note(sql, 1, { fact: `fato ${index}` }, 10 + index);
  const facts = await current(sql, 1);
  assert.deepEqual([facts.length, facts[0], facts.at(-1)], [50, 'fato 450', 'fato 499']);
});

test('L7 L8 facts: whatever is noted, merged and erased, a turn reads those of its own contact, and each subject once', async (t) => {
  const sql = await openSql(t);
  const PEOPLE = 4;
  await people(sql, PEOPLE);
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        what: fc.constant('note' as const),
        who: fc.integer({ min: 1, max: PEOPLE }),
        about: fc.constantFrom('tamanho', 'cor', ''),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ what: fc.constant('merge' as const), who: fc.integer({ min: 2, max: PEOPLE }), about: fc.constant('') }),
    },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('unmerge' as const), who: fc.constant(1), about: fc.constant('') }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      await sql.rows('begin');
      try {
        for (const [index, { what, who, about }] of steps.entries()) {
          // Each fact says whose it is: a contact that was merged has no turns of its own.
          if (what === 'note') await note(sql, who, { fact: `de ${who}: ${index}`, kind: 'preference', about }, index);
          if (what === 'merge') await sql.rows(`select merge_by_hand('default', 1, $1, 'test', 'x')`, [who]);
          if (what === 'unmerge') await sql.rows(`select unmerge_contact('default', 'test', 1)`);
        }
        const found = await sql.rows(
          `select c.id, c.merged_into, array_agg(distinct split_part(f.fact, ':', 1)) as whose, count(*) as n, count(distinct (f.kind, f.about)) as subjects
             from contacts c join contact_facts f on f.contact_id = c.id and f.replaced_at is null group by c.id`,
        );
        const merged = await sql.rows('select id from contacts where merged_into = 1');
        for (const row of found) {
          assert.equal(row['n'], row['subjects']);
          const own = row['id'] === '1' ? ['1', ...merged.map(({ id }) => id)] : [row['id']];
          for (const whose of row['whose'] as string[]) assert.ok(own.includes(whose.replace('de ', '')), JSON.stringify([row, steps]));
        }
      } finally {
        await sql.rows('rollback');
      }
    }),
    { numRuns: 60 },
  );
});
