/** The layout of src: what the linter cannot see, because it looks at one file at a time. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const SRC = path.join(import.meta.dirname, '../../src');
/** What a newcomer opens first must fit in one look. */
const MOST_AT_ROOT = 14;

/** The folders below src that each folder imports from, types too; what stands at the root belongs to none. */
function imports(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const file of readdirSync(SRC, { recursive: true, encoding: 'utf8' })) {
    const folder = folderOf(file);
    if (!file.endsWith('.ts') || folder === null) continue;
    const to = found.get(folder) ?? new Set();
    found.set(folder, to);
    for (const [, specifier = ''] of readFileSync(path.join(SRC, file), 'utf8').matchAll(/\bfrom '(\.[^']+)'|\bimport\('(\.[^']+)'\)/g)) {
      const target = folderOf(path.join(path.dirname(file), specifier));
      if (target !== null && target !== folder && target !== '..') to.add(target);
    }
  }
  return found;
}

function folderOf(file: string): string | null {
  const [folder = '', ...below] = file.split(path.sep);
  return below.length === 0 ? null : folder;
}

/** The folders of a circle, in its order; empty: there is none. */
function circle(graph: Map<string, Set<string>>): string[] {
  const done = new Set<string>();
  function walk(folder: string, way: string[]): string[] {
    const at = way.indexOf(folder);
    if (at !== -1) return [...way.slice(at), folder];
    if (done.has(folder)) return [];
    for (const next of graph.get(folder) ?? []) {
      const found = walk(next, [...way, folder]);
      if (found.length > 0) return found;
    }
    done.add(folder);
    return [];
  }
  for (const folder of graph.keys()) {
    const found = walk(folder, []);
    if (found.length > 0) return found;
  }
  return [];
}

test('rooms: no circle between the folders of src', () => {
  const graph = imports();
  assert.ok((graph.get('turns')?.size ?? 0) > 3, 'the imports were read');
  assert.deepEqual(circle(graph), []);
});

test('rooms: a planted circle is found', () => {
  const graph = imports();
  graph.get('words')?.add('turns');
  assert.ok(circle(graph).includes('words'));
});

test('rooms: the root of src is wiring and tables of contents, few enough for one look', () => {
  const files = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isFile());
  assert.ok(files.length <= MOST_AT_ROOT, files.map(({ name }) => name).join(' '));
});
