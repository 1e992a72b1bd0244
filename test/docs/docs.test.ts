/** The manuals say nothing that is not so: what they name is looked up in the product, what they tell to run is run. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parseEnv, promisify } from 'node:util';
import pg from 'pg';
import { parse } from 'yaml';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { COMMANDS } from '../../src/admin/all.ts';
import { CONDITIONS } from '../../src/watch/alert-conditions.ts';
import { LOCAL_COMMANDS } from '../../src/admin/local.ts';
import { apiRoutes } from '../../src/api.ts';
import { configurationDocs } from '../../scripts/configuration.ts';
import { loadConfig } from '../../src/config.ts';
import type { Config } from '../../src/config.ts';
import { knownVariables } from '../../src/config/environment.ts';
import { createApp } from '../../src/routes/http.ts';
import { createLogger } from '../../src/process/log.ts';
import type { Process } from '../../src/routes/ops.ts';
import { dev, JWT_KEY } from '../support/config.ts';
import { codeBlocks, filesBelow, headings, MANUALS, PAGES, prose, read, slug, TRANSLATIONS } from '../support/pages.ts';
import { SEED } from '../support/pages-seed.ts';
import { testDatabase } from '../support/database.ts';

/** Names in capitals that belong to Evolution, to the compose file or to the workflow, not to our configuration. */
const FOREIGN = new Set([
  ...(read('.env.production.example').match(/^[A-Z_]+(?==)/gm) ?? []),
  'RAILWAY_TOKEN',
  'RAILWAY_PROJECT_ID',
  'RAILWAY_APP_URL',
  'MESSAGES_UPSERT',
  'MESSAGES_UPDATE',
  'MESSAGES_EDITED',
  'MESSAGES_DELETE',
  'SEND_MESSAGE',
  'CONNECTION_UPDATE',
  'STATUS_INSTANCE',
  'LOGOUT_INSTANCE',
  'REMOVE_INSTANCE',
  'PRESENCE_UPDATE',
  'DATABASE_SAVE_DATA_NEW_MESSAGE',
  'AUTHENTICATION_API_KEY',
  'POSTGRES_CLIENT',
]);

for (const file of [...MANUALS, '.env.example']) {
  test(`D9 variables: ${file} names only variables that the configuration knows`, () => {
    const known = new Set(knownVariables);
    const named = new Set(read(file).match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g));
    if (/configuration|\.env/.test(file)) assert.ok(named.size > 100, `${named.size}`);
    assert.deepEqual(
      [...named].filter((name) => !known.has(name) && !FOREIGN.has(name)),
      [],
    );
  });
}

test('D9 variables: .env.example and the pages of the configuration are what `npm run docs:configuration` writes', () => {
  for (const [file, text] of Object.entries(configurationDocs()))
    assert.equal(read(file), text, `${file} is stale: npm run docs:configuration`);
});

test('D9 variables: what config.ts takes for one that is not set is what its field tells', () => {
  const { config } = loadConfig({ RUN_MODE: 'api', DATABASE_URL: 'postgres://db.example.com/x' }) as { config: Config };
  const told = { PORT: config.http.port, ENVIRONMENT: config.app.environment, WORKER_CONCURRENCY: config.workerConcurrency };
  for (const [name, value] of Object.entries(told))
    assert.ok(read('docs/configuration.md').includes(`| \`${name}\` | \`${String(value)}\` |`), `${name}: ${String(value)}`);
  const days = (HORARIO_DIAS: string) => dev({ HORARIO_DIAS }).outbound.hours?.weekdays;
  assert.deepEqual(dev().outbound.hours?.weekdays, days('seg-sab'));
});

for (const file of ['.env.example', '.env.production.example']) {
  test(`D9 example files: a shell reads ${file} as it is meant, and so does docker compose`, async () => {
    const script = `set -eu; set -a; . ./${file}; set +a; exec node -p 'JSON.stringify(process.env)'`;
    const env = { PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}` };
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: projectRoot, env });
    const found: Record<string, string> = JSON.parse(stdout);
    for (const [name, value] of Object.entries(parseEnv(read(file)))) assert.equal(found[name], value, name);
  });
}

test('D9 size: the READMEs are read in one sitting', () => {
  for (const file of ['README.md', 'README.pt-BR.md']) assert.ok(Buffer.byteLength(read(file)) <= 10_000, file);
});

for (const file of PAGES.filter((page) => codeBlocks(page).some((block) => block.language === 'sql'))) {
  test(`D9 SQL: every statement of ${file} runs on a migrated database and finds what it is about`, async () => {
    await using stack = new AsyncDisposableStack();
    const database = await testDatabase();
    stack.defer(() => database.close());
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    stack.defer(() => client.end());
    await client.query(SEED);
    const blocks = codeBlocks(file).filter((block) => block.language === 'sql');
    for (const { code } of blocks) {
      await client.query('begin');
      const results = [await client.query(code).catch((error: unknown) => assert.fail(`${code}\n${String(error)}`))].flat();
      for (const result of results) assert.notEqual(result.rowCount, 0, `touches no row: ${code}`);
      if (/julia_status[^]*'pausado'/.test(code)) {
        const { rows } = await client.query(`select pause_reason('default', 'julia-prod', 7, 'natal-2026') as reason`);
        assert.notEqual(rows[0].reason, null, `pauses nothing: ${code}`);
      }
      await client.query('rollback');
    }
  });
}

test('D9 endpoints: every address that the manuals name is served', async () => {
  const app = testApp();
  for (const file of MANUALS) {
    const found = endpointsOf(read(file));
    for (const endpoint of found) {
      const [method = '', address = ''] = endpoint.split(' ');
      const response = await app.request(address.replace(/:id|\{id\}/g, '1'), { method });
      assert.notEqual(response.status, 404, `${file}: ${endpoint}`);
    }
  }
});

test('D9 tokens: the command of the runbook makes a token that the api accepts', async () => {
  const script = codeBlocks('docs/runbook.md').find((block) => block.code.includes('admin -- token'));
  assert.ok(script);
  const env = { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`, JWT_SECRET_KEY: JWT_KEY };
  const { stdout } = await promisify(execFile)('bash', ['-c', script.code], { cwd: projectRoot, env });
  const app = testApp();
  const answer = (token: string) => app.request('/api/messages/42', { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await answer(stdout.trim())).status, 503, 'past the door: without a context it is still starting');
  assert.equal((await answer(`${stdout.trim()}x`)).status, 401);
});

test('D9 alerts: every condition has its row in both manuals', () => {
  for (const file of ['docs/runbook.md', 'docs/runbook.pt-BR.md'])
    for (const { name } of CONDITIONS) assert.ok(read(file).includes(`\`${name}\``), `${file}: ${name}`);
});

test('D9 log lines, reasons: every code word in the tables of symptoms is a word of the product', () => {
  const product = ['src', 'supabase'].flatMap(filesBelow).map(read).join('\n');
  for (const file of MANUALS) {
    const words = symptomsOf(read(file));
    for (const word of words) {
      // Some are put together of two parts.
      const parts = /^(paused_|model_|max_attempts_|Waiting for the )(.+)$/.exec(word)?.slice(1) ?? [word];
      for (const part of parts) assert.ok(product.includes(part), `${file}: ${word}`);
    }
  }
});

for (const file of PAGES) {
  test(`D9 links: every relative link of ${file} leads to a file, and to a heading of it`, () => {
    for (const [, target = ''] of prose(file).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^(https?|mailto):/.test(target)) continue;
      const [name = '', anchor] = target.split('#');
      const found = name === '' ? file : path.join(path.dirname(file), name);
      assert.ok(existsSync(path.join(projectRoot, found)), `${file}: ${target}`);
      if (anchor !== undefined) assert.ok(headings(found).map(slug).includes(anchor), `${file}: ${target}`);
    }
  });
}

test('D9 links: every section of the contract that the code names is there', () => {
  const sections = new Set(headings('docs/evolution.md').map((heading) => /^#+ ([\d.]*\d)/.exec(heading)?.[1]));
  const named = ['src', 'test'].flatMap(filesBelow).flatMap((file) => {
    const found = file.endsWith('.ts') ? [...read(file).matchAll(/\bcontract (\d(?:\.\d)?(?:(?:, | and )\d(?:\.\d)?)*)/g)] : [];
    return found.flatMap(([, list = '']) => list.split(/, | and /).map((section) => [file, section] as const));
  });
  assert.ok(named.length > 5);
  for (const [file, section] of named) assert.ok(sections.has(section), `${file}: contract ${section}`);
});

/** The ids with which the titles of a test file begin, also where a table holds the titles. */
function idsOfTitles(file: string): string[] {
  const titles = read(file).matchAll(/(?:\b(?:test|suite|describe)\(|\bname: )\s*['"`]((?:[A-Z]\d+:? )+)/g);
  return [...titles].flatMap(([, ids = '']) => ids.match(/\w+/g) ?? []);
}

test('D9 rows: each title begins with rows of docs/spec.md, and each row is proven where it says, or open', () => {
  const files = filesBelow('test').filter((file) => file.endsWith('.test.ts'));
  const proven = new Map(files.map((file) => [file, new Set(idsOfTitles(file))]));
  const titles = new Set([...proven.values()].flatMap((ids) => [...ids]));
  const rows = [...read('docs/spec.md').matchAll(/^\| ([A-Z]\d+) +\| .* \| (.*?) *\|$/gm)].map(([, id = '', by = '']) => ({ id, by }));
  assert.ok(rows.length > 200, `${rows.length} rows`);
  const known = rows.map((row) => row.id);
  assert.deepEqual(
    known.filter((id, index) => known.indexOf(id) !== index),
    [],
    'rows that are there twice',
  );
  assert.deepEqual([...titles].filter((id) => !known.includes(id)).toSorted(), [], 'ids of titles that have no row');
  for (const { id, by } of rows) {
    const isOpen = by.startsWith('`open`: ');
    assert.equal(titles.has(id), !isOpen, `${id} is ${isOpen ? 'open, and a title begins with it' : 'begun by no title'}`);
    if (!isOpen) for (const file of by.split(', ')) assert.ok(proven.get(file)?.has(id), `${id}: no title of ${file} begins with it`);
  }
});

for (const [english, portuguese] of TRANSLATIONS) {
  test(`D9 translation: ${portuguese} has the headings, the code and the tables of ${english}`, () => {
    const levels = (file: string) => headings(file).map((heading) => /^#+/.exec(heading)?.[0]);
    assert.deepEqual(levels(portuguese), levels(english));
    assert.deepEqual(codeBlocks(portuguese), codeBlocks(english));
    const rows = (file: string) => prose(file).match(/^\|/gm)?.length;
    assert.equal(rows(portuguese), rows(english));
  });
}

test('A11 every admin command is on the page of commands with a line that can be run, and is called by a test', () => {
  const tests = filesBelow('test').map(read).join('\n');
  for (const { name } of [...COMMANDS, ...LOCAL_COMMANDS]) {
    for (const file of ['docs/commands.md', 'docs/commands.pt-BR.md'])
      assert.ok(read(file).includes(`admin -- ${name}`), `${file}: npm run admin -- ${name}`);
    const words = name.split(' ').map((word) => `'${word}'`);
    const called = tests.includes(words.join(', ')) || tests.includes(`'${name}'`) || tests.includes(`/admin/${name.replaceAll(' ', '/')}`);
    assert.ok(called, `no test calls ${name}`);
  }
});

test('D9 scripts: every npm script, script and file that the pages name exists', () => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(read('package.json'));
  for (const file of PAGES) {
    const text = read(file);
    for (const [, name = ''] of text.matchAll(/npm run (?:--\S+ )*([\w:-]+)/g)) assert.ok(scripts[name], `${file}: npm run ${name}`);
    for (const [name] of text.matchAll(/\bnpm (?:start|test)\b/g)) assert.ok(scripts[name.slice(4)], `${file}: ${name}`);
    for (const [, name = ''] of text.matchAll(/(?<![\w/])((?:\.\/)?(?:scripts|src|test|supabase|\.github)\/[\w./-]*\w)/g)) {
      assert.ok(existsSync(path.join(projectRoot, name)), `${file}: ${name}`);
    }
  }
});

for (const file of PAGES.filter((page) => codeBlocks(page).some((block) => block.language === 'bash'))) {
  test(`D9 shell: every command block of ${file} is shell, and the programs of this repository in it may be run`, async () => {
    for (const { code } of codeBlocks(file).filter((block) => block.language === 'bash')) {
      await promisify(execFile)('bash', ['-n', '-c', code]).catch((error: unknown) => assert.fail(`${file}: ${code}\n${String(error)}`));
      for (const [, program = ''] of code.matchAll(/^(?:RUN_MODE=\w+ )?((?:\.\/)?scripts\/[\w./-]+)/gm))
        assert.ok((statSync(path.join(projectRoot, program)).mode & 0o111) !== 0, `${file}: ${program} may not be run`);
    }
  });
}

/** What an operator may type: pages with their sentences and lines of cron, scripts, and what the product advises. */
const ADVICE = [...PAGES, ...filesBelow('scripts'), ...filesBelow('src'), ...filesBelow('.github')].filter((file) =>
  /\.(md|sh|ts|yml)$/.test(file),
);

for (const file of ADVICE.filter((each) => /docker compose|\$\{compose\[@\]\}/.test(read(each)))) {
  test(`D9 compose: the files, services and profiles that ${file} names are there`, () => {
    const services = new Set<string>();
    const profiles = new Set<string>();
    for (const name of ['docker-compose.prod.yml', 'docker-compose.all.yml']) {
      const compose = parse(read(name)) as { services: Record<string, { profiles?: string[] }> };
      for (const [service, { profiles: own = [] }] of Object.entries(compose.services)) {
        services.add(service);
        for (const profile of own) profiles.add(profile);
      }
    }
    const text = read(file).replaceAll('"${compose[@]}"', 'docker compose -f docker-compose.prod.yml').replaceAll('"$top/', '');
    for (const line of composeLines(text)) {
      const { verb, names, flags } = composeCommand(line);
      for (const [flag, value] of flags) {
        if (flag === '-f') assert.ok(existsSync(path.join(projectRoot, value)), `${file}: ${line}`);
        if (flag === '--profile') assert.ok(profiles.has(value), `${file}: ${line}`);
        if (flag === '--scale') assert.ok(services.has(value.replace(/=.*/, '')), `${file}: ${line}`);
      }
      // What follows the service of run and exec is run in it.
      for (const name of verb === 'run' || verb === 'exec' ? names.slice(0, 1) : names)
        assert.ok(services.has(name), `${file}: there is no service ${name}: ${line}`);
    }
  });
}

/** Up to what ends a command in a shell, a sentence or a string; commands of the old manual are not ours. */
function composeLines(text: string): string[] {
  const found = text.match(/docker compose -f [^\n|;&`'"\\)>]*/g) ?? [];
  return found.map((line) => line.replace(/ 2$/, '').trim());
}

const COMPOSE_VALUES = /^(?:--profile|--scale|--tail|-e|--env|--entrypoint)$/;

function composeCommand(line: string): { verb: string; names: string[]; flags: [string, string][] } {
  const words = line.split(/\s+/).slice(2);
  const flags: [string, string][] = [];
  const plain: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    // Flags behind the service belong to what is run in it.
    const inside = ['run', 'exec'].includes(plain[0] ?? '') && plain.length > 1;
    // A file comes before the verb; behind it -f follows a log.
    if ((word === '-f' && plain.length === 0) || (COMPOSE_VALUES.test(word) && !inside)) flags.push([word, words[(at += 1)] ?? '']);
    else if (!word.startsWith('-') && !/^[<$]/.test(word)) plain.push(word);
  }
  const [verb = '', ...names] = plain;
  return {
    verb,
    names: ['up', 'run', 'exec', 'restart', 'stop', 'logs', 'pull', 'ps'].includes(verb) ? names : [],
    flags,
  };
}

test('D9 cron: every line for a crontab runs a script that is there, and reads no file that the page does not have', async () => {
  const lines = PAGES.flatMap((file) =>
    [...read(file).matchAll(/^(?:[\d*/]+ ){5}(.*)$/gm)].map(([, command = '']) => [file, command] as const),
  );
  assert.ok(lines.length >= 6, String(lines.length));
  for (const [file, command] of lines) {
    await promisify(execFile)('bash', ['-n', '-c', command]);
    for (const [, name = ''] of command.matchAll(/(scripts\/[\w-]+\.sh)/g))
      assert.ok(existsSync(path.join(projectRoot, name)), `${file}: ${name}`);
  }
});

/** Those are not for people: the first starts what RUN_MODE names. */
const NO_HELP = new Set(['scripts/entrypoint.sh']);
const PROGRAMS = filesBelow('scripts').filter((file) => (statSync(path.join(projectRoot, file)).mode & 0o111) !== 0 && !NO_HELP.has(file));

for (const file of PROGRAMS) {
  test(`D9 scripts: ${file} is shell, tells its usage, and stands on a page`, async () => {
    const env = { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}` };
    await promisify(execFile)('bash', ['-n', path.join(projectRoot, file)]);
    const { stdout } = await promisify(execFile)(path.join(projectRoot, file), ['--help'], { cwd: projectRoot, env });
    assert.match(stdout, new RegExp(`^Usage: (?:\\./)?${file.replaceAll('.', '\\.')}`));
    assert.ok(
      PAGES.some((page) => read(page).includes(file)),
      `no page tells of ${file}`,
    );
  });
}

function testApp() {
  const state: Process = { config: dev({ JWT_SECRET_KEY: JWT_KEY }), context: null, stopping: false };
  const log = createLogger({ level: 'CRITICAL', service: 'test', pretty: false, destination: { write: () => {} } });
  return createApp(state, log, (app) => apiRoutes(app, state));
}

function endpointsOf(text: string): Set<string> {
  const found = new Set<string>();
  for (const [, method, address] of text.matchAll(/\b(GET|POST|PUT|PATCH|DELETE) (\/[^\s`"'|),]+)/g)) found.add(`${method} ${address}`);
  for (const [, rest = '', address] of text.matchAll(/\bcurl\b([^\n]*)"\$APP_BASE_URL(\/[^"]*)"/g)) {
    found.add(`${/-X (\w+)/.exec(rest)?.[1] ?? 'GET'} ${address}`);
  }
  // A path alone, such as in "look at /health/circuit"; /api/messages answers to POST.
  for (const [, address = ''] of text.matchAll(/`(\/(?:health|ready|metrics|api|docs|openapi|admin|webhook)[^\s`]*)`/g)) {
    found.add(`${address === '/api/messages' ? 'POST' : 'GET'} ${address}`);
  }
  return found;
}

/** The code words in the first cells of tables whose head is one of these. */
function symptomsOf(text: string): string[] {
  const heads = /^\| (log line|what you see|reason|linha do log|o que se vê|motivo) \|/;
  const words: string[] = [];
  let inside = false;
  for (const line of text.split('\n')) {
    if (heads.test(line)) inside = true;
    else if (!line.startsWith('|')) inside = false;
    const cell = inside ? (line.split(' | ')[0] ?? '') : '';
    for (const [, word = ''] of cell.matchAll(/`([^`]+)`/g)) words.push(word);
  }
  return words.filter((word) => !word.startsWith('/'));
}
