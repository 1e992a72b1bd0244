/**
 * D2: the database is lost and restored from last night's backup, with the real tools (pg_dump, pg_restore, the scripts as an operator runs them) on a Postgres of the
 * system, and the product goes on with its contacts: nobody gets a message twice, nobody is forgotten.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { removePostgresData, startPostgres } from '../../scripts/lib/embedded-postgres.ts';
import type { Postgres } from '../../scripts/lib/embedded-postgres.ts';
import { ensureSystemPostgres } from '../../scripts/lib/system-postgres.ts';
import { keepErasuresJob } from '../../src/crons/backup.ts';
import { reconcile } from '../../src/crons/reconcile-inbox.ts';
import { migrate } from '../../src/db/migrate.ts';
import type { Context } from '../../src/context.ts';
import { startScript } from '../support/process.ts';
import { INSTANCE } from '../support/system.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const OWNER = 'whats_agents_owner';
const KEY = 'a-backup-key-of-tests-0123456789abcdef';

type Ran = { code: number | NodeJS.Signals; out: string; err: string };

describe('D2 backup and restore', () => {
  const hooks: (() => Promise<void>)[] = [];
  const shared = { after: (hook: () => Promise<void>) => void hooks.unshift(hook) };
  let server: Postgres;
  let number = 0;

  before(async () => {
    const binaries = await ensureSystemPostgres();
    const dataDir = await mkdtemp(path.join(tmpdir(), 'whats-agents-system-postgres-'));
    server = await startPostgres({ dataDir, binaries, durable: false });
    for (const name of ['anon', 'authenticated', 'service_role', 'whats_agents_runtime'])
      await admin(`create role ${name} nologin noinherit`);
    await admin(`create role ${OWNER} login createdb password '${OWNER}'`);
    shared.after(async () => {
      await server.stop();
      await removePostgresData(dataDir);
    });
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  /** An empty one, by the address of its owner, who is nothing more. */
  async function database(): Promise<string> {
    const name = `site_${number++}`;
    await admin(`create database ${name} template template0 owner ${OWNER}`);
    const url = new URL(server.urlOf(name));
    url.username = OWNER;
    url.password = OWNER;
    return url.href;
  }

  async function admin(sql: string): Promise<void> {
    await rows(server.url, sql);
  }

  async function directory(): Promise<string> {
    const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-backups-'));
    shared.after(() => rm(dir, { recursive: true, force: true }));
    return dir;
  }

  async function script(name: string, env: Record<string, string>, ...args: string[]): Promise<Ran> {
    const program = startScript(shared, `scripts/${name}.sh`, { args, env: { USER: 'ana', ...env } });
    const code = await program.ended;
    return { code, out: program.stdout.join('\n'), err: program.stderr.join('\n') };
  }

  test('D2 the database is lost: what left after the backup is not sent again, what came is answered once, and the next message is answered', async (t) => {
    const url = await database();
    await migrate(url, { queue: false });
    const dir = await directory();
    const env = { DATABASE_URL: url, REDIS_URL: 'redis://127.0.0.1:1', BACKUP_DIR: dir, BACKUP_ENCRYPTION_KEY: KEY };
    // Caps and hours hold nothing here, and the queue is elsewhere: nothing but the test moves anything.
    const stage = await openStage(t, { databaseUrl: url, queue: 'redis', workers: 0 });
    const { system, ctx } = stage;
    const { simulator } = system;
    simulator.script([{ text: 'Pois não!', repeat: true }]);
    const people = Object.fromEntries(
      ['João', 'Ana', 'Pedro', 'Rita'].map((name, index) => [name, simulator.addContact({ name, phone: `551198765000${index}` }).id]),
    );
    const talk = async (name: string, text: string): Promise<number> =>
      name === 'Maria' ? stage.hear(text) : hear(stage, people[name] ?? '', text);

    const maria = await talk('Maria', 'Oi, antes do backup');
    await answer(ctx, maria);
    // Answers that wait to leave, and one question that waits for its answer, at the moment of the backup.
    const joao = await talk('João', 'Oi, sou o João');
    await turnsUntilDone(ctx, joao);
    const pedro = await talk('Pedro', 'Oi, sou o Pedro');
    await turnsUntilDone(ctx, pedro);
    const rita = await talk('Rita', 'Oi, sou a Rita');
    const made = await script('backup-db', env);
    assert.equal(made.code, 0, made.err);

    // After the backup: João's answer leaves, Rita and Maria are answered, Ana writes and waits. Pedro's never leaves.
    await sendDue(ctx, joao);
    await answer(ctx, rita);
    await talk('Maria', 'E agora, depois do backup?');
    await answer(ctx, maria);
    await talk('Ana', 'Alguém me responde?');
    await simulator.webhooksIdle();
    const sentBefore = simulator.sends().length;
    assert.equal(sentBefore, 4);

    // Lost.
    const name = new URL(url).pathname.slice(1);
    await admin(`drop database ${name} with (force)`);
    await admin(`create database ${name} template template0 owner ${OWNER}`);
    const restored = await script('restore', env);
    assert.equal(restored.code, 0, restored.err);
    assert.match(
      restored.out,
      /restored \d+ rows in \d+ s[\s\S]*2 messages were on their way[\s\S]*1 messages of contacts were unanswered[\s\S]*julia-dev is paused until/,
    );

    // The first contact after the restore waits with everything else until Evolution was asked.
    await talk('Maria', 'Oi?');
    await turnsUntilDone(ctx, maria);
    await sendAll(stage);
    assert.equal(simulator.sends().length, sentBefore, 'nothing leaves before the comparison');
    assert.ok(((await reconcile(ctx, INSTANCE)) ?? 0) >= 4, 'what happened since is found');
    const states = async () =>
      (
        await system.query<{ line: string }>(
          `select k.name || ' ' || m.direction || ' ' || m.status || coalesce('(' || m.reason || ')', '') as line from messages m join conversations c on c.id = m.conversation_id
           join contacts k on k.id = c.contact_id order by k.name, m.provider_at, m.id`,
        )
      )
        // acks come when they come
        .map(({ line }) => line.replace(/ (delivered|read)$/, ' sent'));
    await answerAll(stage);
    const sent = simulator.sends().slice(sentBefore);
    assert.deepEqual(sent.map((each) => each.jid?.split('@')[0] ?? '').toSorted(), ['5511912345678', '5511987650001']);
    assert.deepEqual(
      (await states()).filter((line) => !line.startsWith('Maria')),
      [
        'Ana in answered',
        'Ana out sent',
        'João in answered',
        'João out sent',
        'Pedro in answered',
        'Pedro out uncertain(restored)',
        'Rita in answered(answered_before_restore)',
        'Rita out sent',
      ],
    );

    // Pedro's answer may have left, as far as the backup knows: it is looked up, and then a person decides.
    for (let look = 0; look < 8; look++) {
      await system.query(`update messages set due_at = now(), claimed_at = claimed_at - interval '1 minute' where status = 'uncertain'`);
      await sendDue(ctx, pedro);
    }
    assert.deepEqual(
      await system.query(
        `select m.reason, h.reason as told from messages m join handoffs h on h.conversation_id = m.conversation_id where m.status = 'unproven'`,
      ),
      [{ reason: 'restored', told: 'send_unproven' }],
    );
    await talk('Maria', 'Mais uma pergunta');
    await answer(ctx, maria);
    assert.equal(simulator.sends().length, sentBefore + 3, 'the next message is answered');
    assert.deepEqual(await system.query(`select status, alterado_via from julia_status order by id`), [
      { status: 'pausado', alterado_via: 'restore' },
      { status: 'ativo', alterado_via: 'restore' },
    ]);
  });

  test(`Z6 Z11 the database is lost, and the backup is older than an erasure: nothing of the person is back, then or later`, async (t) => {
    const url = await database();
    await migrate(url, { queue: false });
    const env = { DATABASE_URL: url, BACKUP_DIR: await directory(), BACKUP_ENCRYPTION_KEY: KEY };
    const stage = await openStage(t, {
      databaseUrl: url,
      queue: 'redis',
      workers: 0,
      env: { BACKUP_DIR: env.BACKUP_DIR, BACKUP_ENCRYPTION_KEY: KEY },
    });
    const { system, ctx } = stage;
    const secret = 'segredo da Maria';
    const maria = await stage.hear(secret);
    await answer(ctx, maria);
    const joao = system.simulator.addContact({ name: 'João', phone: '5511987650001' }).id;
    await hear(stage, joao, 'Oi, sou o João');
    assert.equal((await script('backup-db', env, '--no-verify')).code, 0);

    await stage.hear(`${secret}, outra vez`);
    await answer(ctx, maria);
    await system.query(`select erase_contact('default', 1, null, 'cli:ana', 'pedido')`);
    // By the scheduler's job, and by the host's cron.
    const run = { tick: new Date(), signal: new AbortController().signal };
    const listed = Number(await keepErasuresJob.run({ ...ctx, sendPolicy: ctx.sendPolicy, process: { id: 'test' } }, run));
    assert.ok(listed >= 5, 'addresses, and an id for each message');
    const kept = await script('backup-db', env, '--erasures');
    assert.equal(kept.out, `${listed} hashes of who was erased are beside the backups`, kept.err);
    assert.equal((await readdir(env.BACKUP_DIR)).length, 3);

    const name = new URL(url).pathname.slice(1);
    await admin(`drop database ${name} with (force)`);
    await admin(`create database ${name} template template0 owner ${OWNER}`);
    const restored = await script('restore', env);
    assert.equal(restored.code, 0, restored.err);
    assert.match(restored.out, /1 contacts were erased after it was made, and are erased again\nwho was erased after 20\S+Z is not known/);
    const whole = async (): Promise<string> => {
      const tables = await rows(url, `select tablename as name from pg_tables where schemaname = 'public'`);
      const found = await Promise.all(tables.map(({ name: table }) => rows(url, `select t::text as row from ${String(table)} t`)));
      return JSON.stringify(found);
    };
    const gone = ['segredo', '11912345678', 'Maria'];
    const stored = await whole();
    for (const word of gone) assert.ok(!stored.includes(word), word);
    assert.ok(stored.includes('sou o João'));

    // Evolution still has the whole chat, and what was sent since.
    await reconcile(ctx, INSTANCE);
    await system.simulator.repeatWebhook();
    await system.simulator.webhooksIdle();
    const later = await whole();
    for (const word of gone) assert.ok(!later.includes(word), `${word}, later`);
    assert.ok(later.includes('sou o João'));
  });

  test('D2 a backup is proven before it has its name, and what is not whole, not ours or not to be opened is refused', async () => {
    const url = await filled();
    const dir = await directory();
    const env = { DATABASE_URL: url, BACKUP_DIR: dir, BACKUP_ENCRYPTION_KEY: KEY };
    const made = await script('backup-db', env);
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /writing messages[\s\S]*comparing messages[\s\S]*restored and compared, encrypted$/);
    const [dump = '', manifest = ''] = (await readdir(dir)).toSorted();
    assert.match(`${dump} ${manifest}`, /^whats-agents-\S+Z\.dump\.age whats-agents-\S+Z\.json$/);
    assert.ok(!(await readFile(path.join(dir, dump))).includes('PGDMP'), 'no byte of the dump is readable');
    const empty = await database();
    const into = { ...env, DATABASE_URL: empty };
    const bytes = await readFile(path.join(dir, dump));
    for (const [what, content, key, says] of [
      ['another key', bytes, `${KEY}x`, /BACKUP_ENCRYPTION_KEY is another one/],
      ['no key', bytes, '', /BACKUP_ENCRYPTION_KEY: must be set/],
      ['cut', bytes.subarray(0, Math.floor(bytes.length / 2)), KEY, /it was changed, or is not complete/],
      [
        'changed',
        Buffer.concat([bytes.subarray(0, 5000), Buffer.from([(bytes[5000] ?? 0) ^ 1]), bytes.subarray(5001)]),
        KEY,
        /it was changed, or is not complete/,
      ],
      ['not ours', Buffer.from('PGDMP and so on, but longer than the head of a sealed file is'), KEY, /it was changed, or is not complete/],
    ] as [string, Buffer, string, RegExp][]) {
      const other = await directory();
      await writeFile(path.join(other, dump), content);
      await copyFile(path.join(dir, manifest), path.join(other, manifest));
      const refused = await script('restore', { ...into, BACKUP_ENCRYPTION_KEY: key }, path.join(other, manifest));
      assert.equal(refused.code, 1, what);
      assert.match(refused.err, says, what);
      assert.deepEqual(await rows(empty, `select from pg_tables where schemaname = 'public'`), [], `${what}: nothing stays`);
    }
  });

  test('D2 restore touches nothing that is in use; with --replace what was there is moved aside, and comes back when the restore fails', async () => {
    const url = await filled();
    const dir = await directory();
    const env = { DATABASE_URL: url, BACKUP_DIR: dir };
    // More than a pipe holds: pg_restore has its list before it has read all of the archive.
    await rows(url, `insert into webhook_events (body) select to_jsonb(gen_random_uuid()::text) from generate_series(1, 100000)`);
    assert.equal((await script('backup-db', env)).code, 0);
    await rows(url, `update contacts set name = 'later'`);
    assert.match((await script('restore', env)).err, /the database has tables: .*--replace/);
    const user = new pg.Client({ connectionString: url, application_name: 'whats-agents' });
    await user.connect();
    assert.match((await script('restore', env, '--replace')).err, /stop api, worker and scheduler first/);
    await user.end();
    const [dump = '', manifest = ''] = (await readdir(dir)).toSorted();
    const broken = await directory();
    await plant(broken, { dump, content: Buffer.from('nothing'), like: path.join(dir, manifest) });
    assert.equal((await script('restore', env, path.join(broken, dump), '--replace')).code, 1);
    assert.deepEqual(await rows(url, `select distinct name from contacts`), [{ name: 'later' }], 'as it was');

    const done = await script('restore', env, path.join(dir, dump), '--replace');
    assert.equal(done.code, 0, done.err);
    const aside = /drop schema (before_restore_\d+) cascade/.exec(done.out)?.[1];
    assert.deepEqual(await rows(url, `select distinct name from public.contacts`), [{ name: 'Maria' }]);
    assert.deepEqual(await rows(url, `select distinct name from ${aside}.contacts`), [{ name: 'later' }]);
    assert.deepEqual(
      await rows(
        url,
        `select has_table_privilege('anon', 'public.messages', 'select') as anon, (select bool_and(has_function_privilege('service_role', p.oid, 'execute')) from pg_proc p where p.pronamespace = 'public'::regnamespace) as service`,
      ),
      [{ anon: false, service: true }],
    );
  });

  test('D2 backups are kept for BACKUP_KEEP_DAYS, a killed one leaves no file that looks whole, and health-check.sh sees all of it', async () => {
    const url = await filled();
    const dir = await directory();
    const env = { DATABASE_URL: url, BACKUP_DIR: dir, BACKUP_KEEP_DAYS: '30' };
    assert.match((await script('health-check', env)).out, /^FAILED {2}there is no complete backup/);
    // It stops at a table that somebody has locked, and is killed there.
    const locker = new pg.Client({ connectionString: url });
    await locker.connect();
    await locker.query('begin; lock table messages in access exclusive mode');
    const killed = startScript(shared, 'scripts/backup-db.sh', { env });
    await untilTrue(async () => (await rows(server.url, `select from pg_stat_activity where wait_event_type = 'Lock'`)).length > 0);
    killed.signal('SIGKILL');
    await killed.ended;
    await locker.end();
    assert.deepEqual(
      (await readdir(dir)).filter((name) => !name.endsWith('.partial')),
      [],
    );

    for (const [daysAgo, verified] of [
      [29, true],
      [31, true],
      [400, true],
    ] as const) {
      const at = new Date(Date.now() - daysAgo * 86_400_000);
      const base = `whats-agents-${at.toISOString().slice(0, 19).replaceAll(':', '-')}Z`;
      const file = `${base}.dump`;
      await writeFile(path.join(dir, file), 'old');
      await writeFile(
        path.join(dir, `${base}.json`),
        JSON.stringify({
          backup_at: at,
          file,
          sealed: false,
          bytes: 3,
          sha256: '',
          server_version: '15',
          schema_version: '1',
          verified,
          tables: {},
        }),
      );
    }
    const stale = await script('health-check', env);
    assert.deepEqual([stale.code, /FAILED {2}the newest backup, \S+, is 696\.\d hours old/.test(stale.out)], [1, true], stale.out);
    for (const name of await readdir(dir)) if (name.endsWith('.partial')) await utimes(path.join(dir, name), new Date(0), new Date(0));
    const made = await script('backup-db', env, '--no-verify');
    assert.equal(made.code, 0, made.err);
    assert.equal(made.out.match(/^deleted /gm)?.length, 2);
    assert.equal((await readdir(dir)).length, 5, 'today and 29 days ago, and the list of erasures; the killed one is gone');
    const unproven = await script('health-check', env);
    assert.deepEqual([unproven.code, unproven.out.includes('FAILED  it was never compared')], [1, true]);
    const later = await script('backup-db', env);
    assert.equal(later.code, 0, later.err);
    const well = await script('health-check', env);
    assert.deepEqual(
      [well.code, well.out.replaceAll(/, .*,/g, ',')],
      [0, `ok      the newest backup, is 0.0 hours old\nok      it was restored and compared`],
    );
  });

  test('D2 what is missing is said in words, with exit codes', async () => {
    const url = await filled();
    const dir = await directory();
    for (const [name, env, args, code, says] of [
      ['backup-db', {}, [], 1, /DATABASE_URL \(or SUPABASE_DB_URL\): must be set/],
      ['backup-db', { DATABASE_URL: url }, ['--frob'], 2, /--frob[\s\S]*Usage: scripts\/backup-db\.sh/],
      [
        'backup-db',
        { DATABASE_URL: url, BACKUP_DIR: dir, PG_BIN_DIR: '/nowhere' },
        [],
        1,
        /there is no pg_dump of that version.*postgresql-client-\d+/,
      ],
      ['backup-db', { DATABASE_URL: url, BACKUP_ENCRYPTION_KEY: 'short' }, [], 1, /BACKUP_ENCRYPTION_KEY: must have at least 32/],
      ['backup-db', { DATABASE_URL: url, BACKUP_DIR: dir, BACKUP_VERIFY_URL: 'postgres://nobody@127.0.0.1:1/x' }, [], 1, /ECONNREFUSED/],
      ['restore', { DATABASE_URL: url, BACKUP_DIR: dir }, [], 1, /there is no complete backup/],
      ['restore', { DATABASE_URL: url, BACKUP_DIR: dir }, ['nothing.dump'], 1, /nothing\.json cannot be read/],
    ] as [string, Record<string, string>, string[], number, RegExp][]) {
      const told = await script(name, env, ...args);
      assert.deepEqual([told.code, says.test(told.err)], [code, true], `${name}: ${told.err}`);
      assert.ok(!/\n\s+at /.test(told.err), told.err);
    }
    for (const name of ['backup-db', 'restore', 'health-check', 'backup-full'])
      assert.match((await script(name, {}, '--help')).out, new RegExp(`^Usage: scripts/${name}\\.sh`));
    assert.deepEqual(await readdir(dir), [], 'nothing half is left');
  });

  test('Z11 a planted archive: with a key it is refused, without one it cannot reach beyond the database, and a superuser restores nothing', async () => {
    // What somebody who may write into the backup directory would lay there: a database of his own, as a superuser may make it, that runs a program when it is read.
    const planted = `planted_${number++}`;
    const anybodys = await directory(); // the server runs as another user
    await chmod(anybodys, 0o777);
    const proof = path.join(anybodys, 'proof');
    await admin(`create database ${planted} template template0`);
    await migrate(server.urlOf(planted), { queue: false });
    await rows(
      server.urlOf(planted),
      `create function public.evil() returns int language plpgsql as $f$ begin execute $$copy (select 1) to program 'touch ${proof}'$$; return 1; end $f$;
       create materialized view public.harvest as select public.evil() as n`,
    );
    assert.ok(existsSync(proof), 'it works where it was made');
    await rm(proof);
    const dir = await directory();
    const made = await script('backup-db', { DATABASE_URL: server.urlOf(planted), BACKUP_DIR: dir }, '--no-verify');
    assert.equal(made.code, 0, made.err);

    const empty = await database();
    const superuser = new URL(empty);
    superuser.username = new URL(server.url).username;
    superuser.password = new URL(server.url).password;
    const tables = () => rows(empty, `select from pg_class where relnamespace = 'public'::regnamespace`);
    for (const [what, env, says] of [
      ['with a key', { DATABASE_URL: empty, BACKUP_ENCRYPTION_KEY: KEY }, /there is no complete backup/],
      ['as a superuser', { DATABASE_URL: superuser.href }, /postgres is a superuser there: refused[\s\S]*MIGRATE_DATABASE_URL/],
      ['as the owner', { DATABASE_URL: empty }, /to COPY to or from an external program/],
    ] as [string, Record<string, string>, RegExp][]) {
      const refused = await script('restore', { ...env, BACKUP_DIR: dir });
      assert.equal(refused.code, 1, what);
      assert.match(refused.err, says, what);
      assert.ok(!existsSync(proof), what);
      assert.deepEqual(await tables(), [], `${what}: nothing stays`);
    }
    for (const role of ['pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files']) {
      await admin(`grant ${role} to ${OWNER}`);
      assert.match(
        (await script('restore', { DATABASE_URL: empty, BACKUP_DIR: dir })).err,
        /may reach files and programs of the server/,
        role,
      );
      await admin(`revoke ${role} from ${OWNER}`);
    }
  });

  test('Z11 words for psql in a dump are never carried out: what is no archive of pg_dump’s own format is refused', async () => {
    const url = await filled();
    const dir = await directory();
    assert.equal((await script('backup-db', { DATABASE_URL: url, BACKUP_DIR: dir })).code, 0);
    const [dump = '', manifest = ''] = (await readdir(dir)).toSorted();
    const proof = path.join(dir, 'proof');
    const empty = await database();
    for (const text of [
      `\\! touch ${proof}\n`,
      `--\n-- PostgreSQL database dump\n--\n\\! touch ${proof}\n\\copy t from program 'touch ${proof}'\n`,
    ]) {
      const other = await directory();
      await plant(other, { dump, content: Buffer.from(text), like: path.join(dir, manifest) });
      const refused = await script('restore', { DATABASE_URL: empty, BACKUP_DIR: other });
      assert.deepEqual([refused.code, /pg_restore failed/.test(refused.err)], [1, true], refused.err);
      assert.ok(!existsSync(proof));
    }
  });

  test('D5 E6 backups, manifests and what they are sealed from are for their owner’s eyes only', async () => {
    const url = await filled();
    const parent = await directory();
    const dir = path.join(parent, 'new');
    const env = { DATABASE_URL: url, BACKUP_DIR: dir };
    for (const key of ['', KEY]) {
      const made = await script('backup-db', { ...env, BACKUP_ENCRYPTION_KEY: key }, '--no-verify');
      assert.equal(made.code, 0, made.err);
    }
    // The other parts are in containers, which are not here.
    const full = await script('backup-full', { ...env, BACKUP_DIR: path.join(parent, 'full') });
    assert.match(full.out, /^ok {6}database$/m, full.err);
    for (const name of ['new', 'full']) {
      assert.equal((await stat(path.join(parent, name))).mode & 0o777, 0o700, name);
      for (const file of await readdir(path.join(parent, name)))
        assert.equal((await stat(path.join(parent, name, file))).mode & 0o777, 0o600, file);
    }
  });

  /** Lays a file there that says it is a backup, as who has no key can do it. */
  async function plant(dir: string, { dump, content, like }: { dump: string; content: Buffer; like: string }): Promise<void> {
    await writeFile(path.join(dir, dump), content);
    const { mac: _, ...body } = JSON.parse(await readFile(like, 'utf8')) as Record<string, unknown>;
    const sha256 = createHash('sha256').update(content).digest('hex');
    await writeFile(path.join(dir, path.basename(like)), JSON.stringify({ ...body, bytes: content.length, sha256 }));
  }

  /** A migrated database with a few messages. */
  async function filled(): Promise<string> {
    const url = await database();
    await migrate(url, { queue: false });
    await rows(
      url,
      `select ensure_instance('${INSTANCE}', null); select enqueue_message(jsonb_build_object('instance', '${INSTANCE}', 'phone', '55119876500' || g, 'text', 'oi ' || g, 'kind', 'notification')) from generate_series(10, 60) g;
       update contacts set name = 'Maria'`,
    );
    return url;
  }
});

/** A contact writes; resolves with the conversation once it is stored. */
async function hear({ system }: Stage, contactId: string, text: string): Promise<number> {
  const { id } = system.simulator.inbound({ contactId, text });
  const row = await system.until(
    async () => (await system.query<{ c: string }>('select conversation_id as c from messages where provider_id = $1', [id]))[0],
    'the stored message',
  );
  return Number(row.c);
}

async function answer(ctx: Context, conversation: number): Promise<void> {
  await turnsUntilDone(ctx, conversation);
  await sendDue(ctx, conversation);
}

async function sendAll({ system, ctx }: Stage): Promise<void> {
  for (const { id } of await system.query<{ id: string }>('select id from conversations order by id')) await sendDue(ctx, Number(id));
}

async function answerAll({ system, ctx }: Stage): Promise<void> {
  for (const { id } of await system.query<{ id: string }>('select id from conversations order by id')) await answer(ctx, Number(id));
}

async function rows(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query<Record<string, unknown>>(sql);
    return Array.isArray(result) ? (result.at(-1) as pg.QueryResult<Record<string, unknown>>).rows : result.rows;
  } finally {
    await client.end();
  }
}

/** Postgres tells nobody when a backend begins to wait, so it is asked until it says so. */
async function untilTrue(check: () => Promise<boolean>): Promise<void> {
  const patience = AbortSignal.timeout(20_000);
  while (!patience.aborted) if (await check()) return;
  throw new Error('it did not come true');
}
