import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseEnv } from 'node:util';

import { loadConfig, RUN_MODE_INVALID, RUN_MODE_MISSING } from '../../src/config.ts';
import { knownVariables } from '../../src/config/environment.ts';
import { assertWarns, dev, devProblem, JWT_KEY, loaded, problemsOf, production, PRODUCTION, productionProblem } from '../support/config.ts';

const files = mkdtempSync(join(tmpdir(), 'config-test-'));
after(() => rmSync(files, { recursive: true }));

test('P1 missing mode: an absent or empty RUN_MODE is the first problem, in the exact words', () => {
  assert.equal(RUN_MODE_MISSING, 'RUN_MODE environment variable is required!');
  assert.deepEqual(problemsOf({}), [RUN_MODE_MISSING]);
  assert.deepEqual(problemsOf({ RUN_MODE: '' }), [RUN_MODE_MISSING]);
  assert.equal(problemsOf({ PORT: 'x' })[0], RUN_MODE_MISSING);
});

test('P16 all in one: it listens where the api does, whatever OPS_PORT says, and is named in its log lines', () => {
  const all = dev({ RUN_MODE: 'all', OPS_PORT: '9002' });
  assert.deepEqual([all.mode, all.http.port, all.app.service], ['all', 8000, 'agente-julia-all']);
  assert.equal(dev({ RUN_MODE: 'all', PORT: '9001' }).http.port, 9001);
});

test('P2 invalid mode: compared exactly', () => {
  assert.equal(RUN_MODE_INVALID, 'ERROR: Invalid RUN_MODE:');
  for (const mode of ['foo', 'API', ' api', 'api ', 'admin'])
    assert.deepEqual(problemsOf({ RUN_MODE: mode }), [`ERROR: Invalid RUN_MODE: ${mode}`]);
});

test('P3 one image, three modes: the api listens on PORT or 8000, the others only where a port is asked for', () => {
  assert.deepEqual([dev().http.host, dev().http.port, dev({ PORT: '9001' }).http.port], ['0.0.0.0', 8000, 9001]);
  for (const RUN_MODE of ['worker', 'scheduler']) {
    assert.equal(dev({ RUN_MODE }).mode, RUN_MODE);
    assert.equal(dev({ RUN_MODE }).http.port, null);
    assert.equal(dev({ RUN_MODE, PORT: '9001' }).http.port, 9001);
    assert.equal(dev({ RUN_MODE, PORT: '9001', OPS_PORT: '9002' }).http.port, 9002);
  }
  assert.equal(dev({ BIND_HOST: '127.0.0.1' }).http.host, '127.0.0.1');
  assert.equal(loadConfig({}, { mode: 'admin' }).ok, true);
});

test('P7 configuration check: all problems at once, each with its name, none with a value', () => {
  const bad = {
    RUN_MODE: 'worker',
    ENVIRONMENT: 'production',
    PORT: 'port-7788',
    TZ: 'Mars/Olympus',
    HUMAN_DELAY: 'maybe-so',
    JWT_SECRET_KEY: 'jwt-too-short',
    REDIS_URL: 'http://redis-user:redis-pass@example.com',
    MAX_MSGS_POR_HORA: '12.5',
    CHATWOOT_URL: 'https://chatwoot.example.com',
    GESTOR_WHATSAPP: 'not-a-phone',
  };
  const problems = problemsOf(bad);
  const names = ['PORT', 'TZ', 'HUMAN_DELAY', 'JWT_SECRET_KEY', 'REDIS_URL', 'MAX_MSGS_POR_HORA', 'CHATWOOT_API_KEY', 'GESTOR_WHATSAPP'];
  for (const name of [...names, 'DATABASE_URL', 'EVOLUTION_API_URL', 'EVOLUTION_WEBHOOK_SECRET']) {
    assert.equal(problems.filter((problem) => problem.includes(name)).length, 1, `${name} in ${problems.join(' | ')}`);
  }
  const { RUN_MODE: _mode, ENVIRONMENT: _environment, ...values } = bad;
  for (const value of [...Object.values(values), 'redis-pass']) assert.ok(!problems.join('\n').includes(value), value);
});

test('P7 configuration check: no default of production leads to this machine, and an address that was set to do so warns', () => {
  assert.doesNotMatch(JSON.stringify(production()), /localhost|127\.0\.0\.1/);
  assertWarns({ ...PRODUCTION, DATABASE_URL: 'postgres://app@localhost/app' }, /^DATABASE_URL: leads to this machine/);
  assert.deepEqual(loaded(PRODUCTION).warnings, []);
});

test('P7 configuration check: whole numbers keep their ranges', () => {
  for (const [name, ...values] of [
    ['PORT', '0', '65536', '-1', '1e3', '8000.0', '0x50'],
    ['OPS_PORT', '0', '65536'],
    ['WORKER_CONCURRENCY', '0', '1001'],
    ['MAX_WEBHOOK_MB', '0', '513'],
    ['EVOLUTION_BREAKER_FAILURES', '0'],
    ['LLM_MAX_TOKENS', '0'],
  ] as const) {
    for (const value of values) devProblem({ [name]: value }, name, /whole number from/);
  }
  assert.equal(dev({ PORT: '65535' }).http.port, 65_535);
});

test('P7 configuration check: booleans are true, false, 1 or 0 in any case', () => {
  for (const [raw, value] of [
    ['true', true],
    ['TRUE', true],
    ['1', true],
    ['False', false],
    ['0', false],
  ] as const) {
    assert.equal(dev({ HUMAN_DELAY: raw }).turn.humanDelay, value);
  }
  for (const raw of ['yes', 'on', '2', 'verdadeiro']) devProblem({ HUMAN_DELAY: raw }, 'HUMAN_DELAY', /true, false, 1 or 0/);
});

test('P7 configuration check: an empty value is unset, an unknown variable is ignored, the config is frozen all the way', () => {
  const empty = Object.fromEntries(knownVariables.map((name) => [name, name === 'RUN_MODE' ? 'api' : '  ']));
  assert.deepEqual(loaded(empty), loaded({ RUN_MODE: 'api', SOMETHING_ELSE: 'x' }));
  const config = production();
  assert.throws(() => Object.assign(config.turn, { debounceMs: 1 }), TypeError);
  assert.throws(() => Object.assign(config.breakers.claude, { failures: 1 }), TypeError);
});

test('P7 configuration check: the samples of .env.example are refused in production', () => {
  productionProblem({ JWT_SECRET_KEY: 'change-me-change-me-change-me-change-me' }, 'JWT_SECRET_KEY', /sample/);
});

test('D9 .env.example: every variable of the file is known, every known variable is in the file, and it starts a development api', () => {
  const example = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
  const names = [...example.matchAll(/^(?:# )?([A-Z][A-Z0-9_]*)=/gm)].map((match) => match[1] ?? '');
  assert.deepEqual(names.toSorted(), [...knownVariables].toSorted());
  assert.deepEqual(
    loaded(parseEnv(example)).warnings.map((warning) => warning.split(':')[0]),
    ['ANTHROPIC_API_KEY'],
  );

  const everything = parseEnv(example.replaceAll(/^# (?!\w+_FILE=)(?=[A-Z][A-Z0-9_]*=)/gm, ''));
  assert.deepEqual(problemsOf(everything), ['GOOGLE_CREDENTIALS_JSON: is no JSON key of a service account (client_email, private_key)']);
});

test('D5 secrets from files: NAME_FILE gives NAME, and what is wrong with the file is said with its path', () => {
  const path = join(files, 'jwt');
  writeFileSync(path, `${JWT_KEY}\n`);
  assert.equal(production({ JWT_SECRET_KEY: undefined, JWT_SECRET_KEY_FILE: path }).auth.jwtSecret, JWT_KEY);
  productionProblem({ JWT_SECRET_KEY_FILE: path }, 'JWT_SECRET_KEY', /not both/);

  const missing = join(files, 'missing');
  const problems = problemsOf({ ...PRODUCTION, JWT_SECRET_KEY: undefined, JWT_SECRET_KEY_FILE: missing });
  assert.deepEqual(problems, [`JWT_SECRET_KEY_FILE: the file ${missing} does not exist`]);
  writeFileSync(join(files, 'empty'), '\n');
  devProblem({ REDIS_URL_FILE: join(files, 'empty') }, 'REDIS_URL_FILE', /is empty/);
});

test('E6 privacy: the config lists every secret for the log, passwords in addresses too', () => {
  const { secrets } = production({ REDIS_URL: 'rediss://user:p%40ss-redis@redis.example.com' }).log;
  for (const secret of [JWT_KEY, 'pass-word-1', 'p@ss-redis', 'evolution-key-1', 'webhook-secret-16', 'anthropic-key-1']) {
    assert.ok(secrets.includes(secret), secret);
  }
});

test('S2 APP_NAME: name and log service', () => {
  assert.deepEqual([dev().app.name, dev().app.service], ['Agente Julia', 'agente-julia-api']);
  assert.equal(dev({ APP_NAME: 'Agente Júlia 2', RUN_MODE: 'worker' }).app.service, 'agente-julia-2-worker');
  assert.equal(dev({ APP_NAME: '***' }).app.service, 'whats-agents-api');
});

test('S2 ENVIRONMENT: follows APP_ENV and is development by itself', () => {
  assert.deepEqual([dev().app.environment, dev().app.production], ['development', false]);
  assert.deepEqual([production().app.environment, production().app.production], ['production', true]);
  assert.equal(production({ ENVIRONMENT: undefined, APP_ENV: 'production' }).app.production, true);
  assert.equal(dev({ APP_ENV: 'staging' }).app.environment, 'staging');
  assertWarns({ RUN_MODE: 'api', ENVIRONMENT: 'prod' }, /^ENVIRONMENT: is not exactly "production"/);
});

test('S2 APP_ENV: a contradiction is a problem, dev is development', () => {
  productionProblem({ APP_ENV: 'staging' }, 'APP_ENV', /must say the same/);
  assert.equal(dev({ APP_ENV: 'dev', ENVIRONMENT: 'development' }).app.environment, 'development');
  assert.equal(production({ APP_ENV: 'Production' }).app.production, true);
});

test('S2 DEBUG: refused in production', () => {
  assert.equal(dev({ DEBUG: 'true' }).app.debug, true);
  productionProblem({ DEBUG: '1' }, 'DEBUG');
});

test('S2 LOG_LEVEL: five levels in any case', () => {
  assert.equal(dev().log.level, 'INFO');
  for (const level of ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'])
    assert.equal(dev({ LOG_LEVEL: level.toLowerCase() }).log.level, level);
  devProblem({ LOG_LEVEL: 'WARN' }, 'LOG_LEVEL', /DEBUG, INFO, WARNING, ERROR, CRITICAL/);
});

test('S2 TZ: a known zone', () => {
  assert.equal(dev().app.timeZone, 'America/Sao_Paulo');
  assert.equal(dev({ TZ: 'UTC' }).app.timeZone, 'UTC');
  for (const zone of ['America/Nowhere', '-03:00', 'GMT+25']) devProblem({ TZ: zone }, 'TZ', /known time zone/);
});

test('S2 JWT_SECRET_KEY: required in production with 32 bytes, and the key before it', () => {
  productionProblem({ JWT_SECRET_KEY: undefined }, 'JWT_SECRET_KEY', /must be set in production/);
  productionProblem({ JWT_SECRET_KEY: 'a'.repeat(31) }, 'JWT_SECRET_KEY', /32 bytes/);
  assert.equal(production({ JWT_SECRET_KEY: 'é'.repeat(16) }).auth.jwtSecret, 'é'.repeat(16));
  assert.equal(production({ JWT_SECRET_KEY_PREVIOUS: 'b'.repeat(32) }).auth.jwtSecretPrevious, 'b'.repeat(32));
  productionProblem({ JWT_SECRET_KEY_PREVIOUS: 'b' }, 'JWT_SECRET_KEY_PREVIOUS', /32 bytes/);
  devProblem({ JWT_SECRET_KEY_PREVIOUS: 'b' }, 'JWT_SECRET_KEY', /must be set too/);
  assert.equal(dev().auth.jwtSecret, null);
});

test('S2 CORS_ORIGINS: a comma list of origins, * refused in production', () => {
  assert.deepEqual(dev().http.corsOrigins, []);
  const origins = production({ CORS_ORIGINS: 'https://app.example.com/, https://b.example.com:8443' }).http.corsOrigins;
  assert.deepEqual(origins, ['https://app.example.com', 'https://b.example.com:8443']);
  productionProblem({ CORS_ORIGINS: '*' }, 'CORS_ORIGINS', /refused/);
  assert.deepEqual(dev({ CORS_ORIGINS: '*' }).http.corsOrigins, ['*']);
  devProblem({ CORS_ORIGINS: 'https://a.example.com,b.example.com' }, 'CORS_ORIGINS', /entry 2/);
});

test('S2 SUPABASE_URL: with its key the database when no DATABASE_URL is set', () => {
  const supabase = { SUPABASE_URL: 'https://x.supabase.co/', SUPABASE_SERVICE_KEY: 'service-key', REDIS_URL: 'redis://r.example.com' };
  const config = production({ ...supabase, DATABASE_URL: undefined, SUPABASE_DB_URL: 'postgresql://db.example.com/postgres' });
  assert.deepEqual(config.database, { kind: 'supabase', url: 'https://x.supabase.co', serviceKey: 'service-key' });
  assert.equal(config.migrationsUrl, 'postgresql://db.example.com/postgres');
  assert.equal(production(supabase).database.kind, 'postgres');
  assert.equal(production().migrationsUrl, PRODUCTION['DATABASE_URL']);
  productionProblem({ ...supabase, DATABASE_URL: undefined, REDIS_URL: undefined }, 'REDIS_URL', /SUPABASE_URL alone/);
});

test('S2 SUPABASE_SERVICE_KEY: half of the pair is a problem', () => {
  devProblem({ SUPABASE_URL: 'https://x.supabase.co' }, 'SUPABASE_SERVICE_KEY', /must be set too when SUPABASE_URL is set/);
  devProblem({ SUPABASE_SERVICE_KEY: 'service-key' }, 'SUPABASE_URL');
});

test('S2 SUPABASE_PROJECT_REF: kept for the check of the database marker', () => {
  assert.deepEqual([dev().supabaseProjectRef, dev({ SUPABASE_PROJECT_REF: 'abc' }).supabaseProjectRef], [null, 'abc']);
});

test('S2 DATABASE_URL: a Postgres address; embedded without one, refused in production', () => {
  assert.deepEqual(dev().database, { kind: 'embedded' });
  productionProblem({ DATABASE_URL: undefined }, 'DATABASE_URL', /no embedded database/);
  devProblem({ DATABASE_URL: 'mysql://db.example.com/x' }, 'DATABASE_URL', /postgres:\/\//);
});

test('S2 REDIS_URL: redis or rediss; without it the queue is in Postgres', () => {
  assert.deepEqual(dev().queue, { kind: 'postgres' });
  assert.deepEqual(dev({ REDIS_URL: 'rediss://r.example.com:6380/1' }).queue, {
    kind: 'redis',
    url: 'rediss://r.example.com:6380/1',
    installation: null,
  });
  devProblem({ REDIS_URL: 'r.example.com:6379' }, 'REDIS_URL', /redis:\/\/ or rediss:\/\//);
});

test('P18 INSTALLATION_ID: short and plain, since it is a part of keys', () => {
  const { queue } = dev({ REDIS_URL: 'redis://r.example.com', INSTALLATION_ID: 'loja-2' });
  assert.deepEqual(queue, { kind: 'redis', url: 'redis://r.example.com', installation: 'loja-2' });
  for (const bad of ['Loja', 'a b', '{a}', '-a', 'a'.repeat(33), 'a:b'])
    devProblem({ INSTALLATION_ID: bad }, 'INSTALLATION_ID', /at most 32/);
});
