/** Z11, D5: what is believed of a backup directory, and what is refused: manifests are authenticated, names are their own, links are not followed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { readErasures, writeErasures } from '../../src/backup/erasures.ts';
import {
  archiveName,
  deleteBackup,
  deleteLeftovers,
  listBackups,
  manifestText,
  nameOf,
  openArchive,
  readManifest,
} from '../../src/backup/files.ts';
import type { Manifest } from '../../src/backup/files.ts';

const KEY = 'a-backup-key-of-tests-0123456789abcdef';
const AT = new Date('2026-11-23T05:00:00Z');
const NAME = nameOf(AT);

type Body = Record<string, unknown>;

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-backup-files-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

function manifestOf(content: string, sealed: boolean, at = AT): Manifest {
  return {
    backup_at: at,
    file: archiveName(nameOf(at), sealed),
    sealed,
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    server_version: '17.2',
    schema_version: '20261123000600',
    verified: true,
    tables: { contacts: { rows: 3, sum: '12' }, messages: { rows: 9, sum: '99' } },
  };
}

/** A backup with its manifest, made with `key`; `change`: what somebody did to the manifest's text afterwards. */
async function place(dir: string, key: string | null, change: (body: Body) => unknown = (body) => body, at = AT): Promise<string> {
  const made = manifestOf('content', key !== null, at);
  await writeFile(path.join(dir, made.file), 'content');
  const file = path.join(dir, `${nameOf(at)}.json`);
  await writeFile(file, JSON.stringify(change(JSON.parse(manifestText(made, key)) as Body)));
  return file;
}

test('Z11 manifests: with a key each change of any word is refused, and so is one that was made without the key or with another', async (t) => {
  const dir = await folder(t);
  const good = await place(dir, KEY);
  assert.equal((await readManifest(good, KEY)).file, `${NAME}.dump.age`);
  assert.equal((await readManifest(good, null)).sealed, true, 'without a key it may be read, not opened');
  await assert.rejects(readManifest(good, `${KEY}x`), /BACKUP_ENCRYPTION_KEY is another one/);

  const changes: Record<string, (body: Body) => unknown> = {
    time: (body) => ({ ...body, backup_at: '2027-01-01T00:00:00.000Z' }),
    bytes: (body) => ({ ...body, bytes: 8 }),
    sha256: (body) => ({ ...body, sha256: 'f'.repeat(64) }),
    'server version': (body) => ({ ...body, server_version: '15.0' }),
    'schema version': (body) => ({ ...body, schema_version: '1' }),
    verified: (body) => ({ ...body, verified: false }),
    tables: (body) => ({ ...body, tables: {} }),
    'one row': (body) => ({ ...body, tables: { ...(body['tables'] as object), contacts: { rows: 4, sum: '12' } } }),
    'a word more': (body) => ({ ...body, note: 'x' }),
    order: ({ mac, ...body }) => ({ ...Object.fromEntries(Object.entries(body).toReversed()), mac }),
    'no mac': (body) => ({ ...body, mac: undefined }),
    'empty mac': (body) => ({ ...body, mac: '' }),
    'another mac': (body) => ({ ...body, mac: 'A'.repeat(43) }),
    'mac of another kind': (body) => ({ ...body, mac: [body['mac']] }),
  };
  for (const [what, change] of Object.entries(changes))
    await assert.rejects(readManifest(await place(dir, KEY, change), KEY), /it was changed, or BACKUP_ENCRYPTION_KEY is another one/, what);
  await assert.rejects(readManifest(await place(dir, KEY, (body) => ({ ...body, sealed: false })), KEY), /is not encrypted/);
  await assert.rejects(readManifest(await place(dir, null), KEY), /is not encrypted, so anybody may have made it/);
  await assert.rejects(readManifest(await place(dir, `${KEY}x`), KEY), /is another one/);
  const text = manifestText(manifestOf('content', true), KEY);
  await writeFile(good, text.replace('{', '{ "file": "../../etc/passwd",'));
  await assert.rejects(readManifest(good, KEY), /it was changed/, 'the same word twice');
});

test('Z11 names: an archive is the file of the manifest’s own name beside it, with or without a key', async (t) => {
  const dir = await folder(t);
  for (const file of [
    '../victim.dump',
    '/etc/passwd',
    'victim.dump',
    `sub/${NAME}.dump`,
    `./${NAME}.dump`,
    `${NAME}.dump.age`,
    `${NAME}.json`,
    `${NAME}.dump\u0000`,
    '',
    `${nameOf(new Date('2026-11-24T05:00:00Z'))}.dump`,
  ])
    await assert.rejects(
      readManifest(await place(dir, null, (body) => ({ ...body, file })), null),
      /names a file that is not its own/,
      file,
    );
  await writeFile(path.join(dir, 'other.json'), manifestText(manifestOf('content', false), null));
  await assert.rejects(readManifest(path.join(dir, 'other.json'), null), /cannot be read/);
});

test('Z11 files: links, folders, pipes and what has another checksum are refused, as manifest and as archive', async (t) => {
  const dir = await folder(t);
  const outside = await folder(t);
  const manifest = await place(outside, null);
  const link = path.join(dir, `${NAME}.json`);
  await symlink(manifest, link);
  await assert.rejects(readManifest(link, null), /cannot be read/);
  await rm(link);
  await mkdir(link);
  await assert.rejects(readManifest(link, null), /cannot be read/);
  await rm(link, { recursive: true });
  await promisify(execFile)('mkfifo', [link]);
  await assert.rejects(readManifest(link, null), /cannot be read/, 'and nobody waits for what comes through it');
  await rm(link);
  for (const text of ['', '{', '[]', 'null', '"x"', `{"a":"${'x'.repeat(1_200_000)}"}`]) {
    await writeFile(link, text);
    await assert.rejects(readManifest(link, null), /cannot be read|no manifest of this version/, text.slice(0, 10));
  }

  const made = manifestOf('content', false);
  const archive = path.join(dir, made.file);
  await writeFile(archive, 'content');
  await (await openArchive(archive, made)).close();
  for (const other of ['contenT', 'conten', 'contentt', '']) {
    await writeFile(archive, other);
    await assert.rejects(openArchive(archive, made), /it was changed, or is not complete/, other);
  }
  await rm(archive);
  await assert.rejects(openArchive(archive, made), /cannot be read/);
  await symlink(path.join(outside, made.file), archive);
  await assert.rejects(openArchive(archive, made), /cannot be read/);
});

test('Z11 a list has what is to be believed, the rest is told with its reason; nothing but a backup’s own two files is ever deleted', async (t) => {
  const root = await folder(t);
  const dir = path.join(root, 'backups');
  await mkdir(dir);
  await writeFile(path.join(root, 'victim.dump'), 'mine');
  const later = new Date('2026-11-25T05:00:00Z');
  await place(dir, KEY);
  await place(dir, null, (body) => ({ ...body, file: '../victim.dump' }), later);
  await writeFile(path.join(dir, `${nameOf(new Date('2026-11-26T05:00:00Z'))}.json`), 'nonsense');
  const { backups, refused } = await listBackups(dir, KEY);
  assert.deepEqual(
    backups.map((each) => each.file),
    [`${NAME}.dump.age`],
  );
  assert.equal(refused.length, 2);
  for (const made of backups) await deleteBackup(dir, made);
  await deleteBackup(dir, { ...manifestOf('', false), file: '../victim.dump' });
  assert.deepEqual((await readdir(root)).toSorted(), ['backups', 'victim.dump']);
  assert.equal((await readdir(dir)).length, 3, 'the two that are not believed, and what lies beside one of them');
});

test('Z11 what others laid into the directory is neither overwritten through a link nor waited for: the list of erasures', async (t) => {
  const dir = await folder(t);
  const list = path.join(dir, 'whats-agents-erasures.json');
  const precious = path.join(dir, 'important.conf');
  await writeFile(precious, 'of somebody else');
  await symlink(precious, `${list}.new`);
  await symlink(precious, list);
  await assert.rejects(readErasures(dir, KEY), /cannot be read/, 'a link is not followed');
  await writeErasures(dir, KEY, AT, []);
  assert.equal(await readFile(precious, 'utf8'), 'of somebody else');
  assert.deepEqual((await readErasures(dir, KEY))?.all, []);
  for (const name of [list, `${list}.new`]) {
    await rm(name);
    await promisify(execFile)('mkfifo', [name]);
  }
  await assert.rejects(readErasures(dir, KEY), /cannot be read: it is no file/, 'nobody writes into this pipe');
  await writeErasures(dir, KEY, AT, []);
  assert.deepEqual((await readErasures(dir, KEY))?.all, []);
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.endsWith('.partial')),
    [],
  );
});

test('D5 Z11 a directory that looks like a leftover, or like a part of an old backup, stops no backup', async (t) => {
  const dir = await folder(t);
  await mkdir(path.join(dir, 'x.partial'));
  await writeFile(path.join(dir, 'y.partial'), 'half');
  await symlink('/nowhere', path.join(dir, 'z.partial'));
  await deleteLeftovers(dir, new Date(Date.now() + 3 * 86_400_000));
  assert.deepEqual(await readdir(dir), ['x.partial']);
  const made = manifestOf('content', true);
  await place(dir, KEY);
  await rm(path.join(dir, made.file));
  await mkdir(path.join(dir, made.file));
  await deleteBackup(dir, made);
  assert.deepEqual((await readdir(dir)).toSorted(), [made.file, 'x.partial']);
});

test('Z11 D3 a directory under the name of the list of erasures is put aside, and the list is written', async (t) => {
  const dir = await folder(t);
  await mkdir(path.join(dir, 'whats-agents-erasures.json', 'full'), { recursive: true });
  for (const at of [AT, new Date(AT.getTime() + 1000)]) await writeErasures(dir, KEY, at, []);
  assert.deepEqual((await readErasures(dir, KEY))?.all, []);
  const [name, aside = '', ...more] = (await readdir(dir)).toSorted();
  assert.deepEqual([name, more], ['whats-agents-erasures.json', []]);
  assert.deepEqual(await readdir(path.join(dir, aside)), ['full']);
});
