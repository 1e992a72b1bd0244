/** scripts/backup-full.sh on a machine that has docker and nothing else: against a `docker` that knows the services of the compose file. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { readCompose } from '../support/compose.ts';

/** Runs what is run in a container of ours here, and says the rest; refuses what is no service, as compose does. */
const DOCKER = `#!/bin/bash
shift 3
verb=$1; shift
case "$verb" in
  ps) [[ " $RUNNING " == *" $2 "* ]] && echo id; exit 0 ;;
  cp) [ -d "\${1#*:}" ] && exec cp -r "\${1#*:}" "$2" ;;
  exec)
    service=$2; shift 2
    [[ " $SERVICES " == *" $service "* ]] || { echo "no such service: $service" >&2; exit 1; }
    case "$service $1" in
      'scheduler scripts/backup-db.sh' | 'api scripts/backup-db.sh') echo rows >"$BACKUP_DIR/whats-agents-2026-11-30T05-00-00Z.dump" ;;
      scheduler* | api*) cd "$ROOT" && exec "$@" ;;
      *) echo "$service $*" ;;
    esac ;;
esac
`;

type Machine = { folder: string; run(env: Record<string, string>): Promise<{ code: number; out: string; err: string }> };

async function machine(t: TestContext, inContainer: Record<string, string>): Promise<Machine> {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(path.join(folder, 'volume'));
  const containers = Object.entries(inContainer).map(
    ([name, value]) => `export ${name}='${value.replace('VOLUME', path.join(folder, 'volume'))}'\n`,
  );
  const script = DOCKER.replace('shift 3\n', `shift 3\nunset BACKUP_DIR BACKUP_KEEP_DAYS\n${containers.join('')}`);
  await writeFile(path.join(folder, 'docker'), script);
  await chmod(path.join(folder, 'docker'), 0o755);
  const base = {
    PATH: `${folder}:${path.dirname(process.execPath)}:/usr/bin:/bin`,
    SERVICES: Object.keys(readCompose().services).join(' '),
    ROOT: projectRoot,
    BACKUP_DIR: path.join(folder, 'here'),
  };
  return {
    folder,
    run: (env) =>
      new Promise((resolve) => {
        execFile(path.join(projectRoot, 'scripts/backup-full.sh'), [], { cwd: folder, env: { ...base, ...env } }, (error, out, err) => {
          resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err });
        });
      }),
  };
}

test('D2 D9 backup-full: on a host of compose everything is taken out of the containers, by services that exist, with their environment', async (t) => {
  const key = 'k'.repeat(32);
  const container = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', BACKUP_DIR: 'VOLUME' };
  for (const RUNNING of ['scheduler api', 'api']) {
    const refused = await (await machine(t, { ...container, BACKUP_DIR: '' })).run({ RUNNING });
    assert.match(refused.err, /BACKUP_DIR is not set for (scheduler|api): set BACKUP_DIR=\/backups/);
    assert.deepEqual([refused.code, /^FAILED {2}database$/m.test(refused.out)], [1, true]);
  }
  const plain = await machine(t, container);
  const done = await plain.run({ RUNNING: 'scheduler' });
  assert.equal(done.code, 0, done.out + done.err);
  assert.deepEqual((await readdir(path.join(plain.folder, 'here'))).map((name) => name.replace(/\d{4}-.*Z/, 'AT')).toSorted(), [
    'evolution-AT-postgres.dump',
    'evolution-AT-redis.rdb',
    'evolution-AT-sessions.tar',
    'whats-agents-AT.dump',
  ]);
  const sealed = await machine(t, { ...container, BACKUP_ENCRYPTION_KEY: key });
  const told = await sealed.run({ RUNNING: 'scheduler' });
  assert.equal(told.code, 0, told.out + told.err);
  const files = (await readdir(path.join(sealed.folder, 'here'))).filter((each) => each.startsWith('evolution-'));
  assert.equal(files.length, 3);
  for (const name of files) {
    assert.ok(name.endsWith('.age'), name);
    assert.match(await readFile(path.join(sealed.folder, 'here', name), 'latin1'), /^age-encryption\.org/);
  }
});
