/** The answers that the pages show are those of the product: each JSON block against what the address before it really says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { PAGES, read } from '../support/pages.ts';
import { SEED } from '../support/pages-seed.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';

type Shown = { page: string; address: string; json: unknown };

/** A block belongs to the last address that was named before it. */
function shownAnswers(): Shown[] {
  return PAGES.flatMap((page) => {
    const text = read(page);
    return [...text.matchAll(/^( *)```json\n([^]*?)^\1```/gm)].map((block) => {
      const address = [...text.slice(0, block.index).matchAll(/(?:`|\$APP_BASE_URL)(\/[a-z][^\s`"]*)/g)].at(-1)?.[1];
      assert.ok(address, `${page}: which address answers ${block[2]?.slice(0, 60)}?`);
      return { page, address, json: JSON.parse(block[2] ?? '') as unknown };
    });
  });
}

/** Names of the fields, with those inside of them; what is null in one of the two has nothing inside. */
function fields(value: unknown, other: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null || typeof other !== 'object' || other === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => [
    `${at}${name}`,
    ...fields(inner, (other as Record<string, unknown>)[name], `${at}${name}.`),
  ]);
}

test('D9 answers: every JSON that a page shows has the fields that its address answers', async (t) => {
  const system = await startSystem(t, {
    workers: 0,
    env: { EVOLUTION_INSTANCE: 'julia-prod' },
    simulator: { instances: ['julia-dev', 'julia-prod'] },
  });
  await system.query(SEED);
  const token = await new SignJWT({ role: 'operator' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ana')
    .setExpirationTime('5 minutes')
    .sign(new TextEncoder().encode(JWT_SECRET));
  const shown = shownAnswers();
  assert.ok(shown.length >= 8, String(shown.length));
  for (const { page, address, json } of shown) {
    const response = await fetch(`${system.url}${address}`, { headers: { authorization: `Bearer ${token}` } });
    const answer: unknown = await response.json();
    assert.deepEqual(fields(json, answer).toSorted(), fields(answer, json).toSorted(), `${page}: ${address}`);
  }
});
