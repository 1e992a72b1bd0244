import assert from 'node:assert/strict';
import { test } from 'node:test';

import { loadConfig } from '../../src/config.ts';
import { assertWarns, dev, devProblem, loaded, problemsOf, production, PRODUCTION, productionProblem } from '../support/config.ts';

const LOCAL_EVOLUTION = { EVOLUTION_API_URL: 'http://127.0.0.1:4010/', EVOLUTION_API_KEY: 'k', EVOLUTION_INSTANCE: 'julia-dev' };
const NO_EVOLUTION = { EVOLUTION_API_URL: undefined, EVOLUTION_API_KEY: undefined, EVOLUTION_INSTANCE: undefined };

test('S2 EVOLUTION_API_URL: required in production by api and worker, a warning elsewhere, not needed by the scheduler', () => {
  assert.deepEqual(dev(LOCAL_EVOLUTION).evolution, {
    url: 'http://127.0.0.1:4010',
    apiKey: 'k',
    instance: 'julia-dev',
    autoRestart: true,
  });
  assert.equal(dev({ ...LOCAL_EVOLUTION, EVOLUTION_AUTO_RESTART: 'false' }).evolution?.autoRestart, false, 'W4');
  for (const RUN_MODE of ['api', 'worker', 'all']) productionProblem({ ...NO_EVOLUTION, RUN_MODE }, 'EVOLUTION_API_URL', /in production/);
  assert.equal(production({ ...NO_EVOLUTION, RUN_MODE: 'scheduler' }).evolution, null);
  assertWarns({ RUN_MODE: 'worker' }, /^EVOLUTION_API_URL.*nothing can be sent/);
  assert.ok(!loaded({ RUN_MODE: 'scheduler' }).warnings.some((warning) => warning.startsWith('EVOLUTION')));
});

test('S2 EVOLUTION_API_KEY: the three go together', () => {
  for (const name of ['EVOLUTION_API_URL', 'EVOLUTION_API_KEY', 'EVOLUTION_INSTANCE']) {
    devProblem({ ...LOCAL_EVOLUTION, [name]: undefined }, name, /must be set too/);
    productionProblem({ [name]: undefined }, name, /must be set too/);
  }
  productionProblem({ EVOLUTION_API_URL: 'evolution.example.com' }, 'EVOLUTION_API_URL', /http:\/\/ or https:\/\//);
});

test('EVOLUTION_WEBHOOK_SECRET: required in production with 16 characters, and the one before it for rotation', () => {
  assert.deepEqual(dev().webhook, { secret: null, secretPrevious: null });
  productionProblem({ EVOLUTION_WEBHOOK_SECRET: undefined }, 'EVOLUTION_WEBHOOK_SECRET', /must be set in production/);
  productionProblem({ EVOLUTION_WEBHOOK_SECRET: 'x'.repeat(15) }, 'EVOLUTION_WEBHOOK_SECRET', /16 characters/);
  productionProblem({ EVOLUTION_WEBHOOK_SECRET_PREVIOUS: 'x' }, 'EVOLUTION_WEBHOOK_SECRET_PREVIOUS', /16 characters/);
  devProblem({ EVOLUTION_WEBHOOK_SECRET_PREVIOUS: 'x' }, 'EVOLUTION_WEBHOOK_SECRET', /must be set too/);
  assert.equal(production({ EVOLUTION_WEBHOOK_SECRET_PREVIOUS: 'y'.repeat(16) }).webhook.secretPrevious, 'y'.repeat(16));
});

test('S2 OUTBOUND_ALLOWLIST: nobody by default, canonical phones, everyone in production', () => {
  assert.deepEqual(dev().outbound.allowlist, []);
  const listed = dev({ OUTBOUND_ALLOWLIST: '+55 (11) 91234-5678, 5511912345679,' }).outbound.allowlist;
  assert.deepEqual(listed, ['5511912345678', '5511912345679']);
  assert.equal(production().outbound.allowlist, 'everyone');
  assertWarns({ ...PRODUCTION, OUTBOUND_ALLOWLIST: '5511912345678' }, /^OUTBOUND_ALLOWLIST: ignored in production/);
  devProblem({ OUTBOUND_ALLOWLIST: '5511912345678,abc' }, 'OUTBOUND_ALLOWLIST', /entry 2/);
});

test('S2 OUTBOUND_ALLOWLIST: * only where Evolution is on loopback', () => {
  for (const host of ['127.0.0.1:4010', '127.8.8.8', 'localhost:4010', 'evolution.localhost', '[::1]:4010']) {
    const config = dev({ ...LOCAL_EVOLUTION, EVOLUTION_API_URL: `http://${host}`, OUTBOUND_ALLOWLIST: '*' });
    assert.equal(config.outbound.allowlist, 'everyone', host);
  }
  for (const host of [
    'evolution.example.com',
    '127.0.0.1.example.com',
    '127.0.0.1@example.com',
    'localhost.example.com',
    '0.0.0.0',
    '10.0.0.1',
  ]) {
    devProblem({ ...LOCAL_EVOLUTION, EVOLUTION_API_URL: `http://${host}`, OUTBOUND_ALLOWLIST: '*' }, 'OUTBOUND_ALLOWLIST', /loopback/);
  }
  devProblem({ OUTBOUND_ALLOWLIST: '*' }, 'OUTBOUND_ALLOWLIST', /loopback/);
  devProblem({ ...LOCAL_EVOLUTION, OUTBOUND_ALLOWLIST: '*,5511912345678' }, 'OUTBOUND_ALLOWLIST', /\* alone/);
});

test('S2 MULTI_CHIP_ENABLED: on by default', () => {
  assert.deepEqual([dev().outbound.multiChip, dev({ MULTI_CHIP_ENABLED: 'false' }).outbound.multiChip], [true, false]);
});

test('S2 GESTOR_WHATSAPP: a canonical phone', () => {
  assert.equal(dev().outbound.managerPhone, null);
  assert.equal(dev({ GESTOR_WHATSAPP: '(11) 91234-5678' }).outbound.managerPhone, '5511912345678');
  devProblem({ GESTOR_WHATSAPP: '123' }, 'GESTOR_WHATSAPP', /phone number/);
});

test('S2 MAX_MSGS_POR_HORA: the caps of an hour and a day, and of replies', () => {
  const caps = (env = {}) => {
    const { maxPerHour, maxPerDay, maxRepliesPerHour } = dev(env).outbound;
    return [maxPerHour, maxPerDay, maxRepliesPerHour];
  };
  assert.deepEqual(caps(), [20, 100, 2000]);
  assert.deepEqual(caps({ MAX_MSGS_POR_HORA: '15', MAX_MSGS_POR_DIA: '80', MAX_RESPOSTAS_POR_HORA: '50' }), [15, 80, 50]);
  devProblem({ MAX_MSGS_POR_DIA: '-1' }, 'MAX_MSGS_POR_DIA');
});

test('S2 HORARIO_INICIO: times of day in their order', () => {
  const workdays = { weekdays: [1, 2, 3, 4, 5, 6], holidays: false };
  assert.deepEqual(dev().outbound.hours, { start: '08:00', end: '20:00', ...workdays });
  assert.deepEqual(dev({ HORARIO_INICIO: '09:30', HORARIO_FIM: '18:15' }).outbound.hours, { start: '09:30', end: '18:15', ...workdays });
  for (const raw of ['24:00', '8:00', '08:60', '08h00', '08:00:00']) devProblem({ HORARIO_INICIO: raw }, 'HORARIO_INICIO', /HH:MM/);
  devProblem({ HORARIO_FIM: '08:00' }, 'HORARIO_FIM', /later/);
});

test('S2 R4 HORARIO_DIAS and HORARIO_FERIADOS: weekdays as people write them; around the clock means every day, unless they say otherwise', () => {
  const days = (HORARIO_DIAS: string) => dev({ HORARIO_DIAS }).outbound.hours?.weekdays;
  assert.deepEqual(days('seg-sex'), [1, 2, 3, 4, 5]);
  assert.deepEqual(days('Sáb, dom'), [6, 7]);
  assert.deepEqual(days('qua'), [3]);
  assert.deepEqual(days('sex-seg'), [1, 5, 6, 7], 'over the end of the week');
  assert.deepEqual(days('dom-sab'), [1, 2, 3, 4, 5, 6, 7]);
  for (const raw of ['mon', 'seg-', 'seg-ter-qua', '1-5', 'segunda']) devProblem({ HORARIO_DIAS: raw }, 'HORARIO_DIAS', /seg-sab/);
  assert.equal(dev({ HORARIO_FERIADOS: 'true' }).outbound.hours?.holidays, true);
  const always = { HORARIO_INICIO: '00:00', HORARIO_FIM: '23:59' };
  assert.equal(dev(always).outbound.hours, null);
  assert.deepEqual(dev({ ...always, HORARIO_DIAS: 'seg-sex' }).outbound.hours, {
    start: '00:00',
    end: '24:00',
    weekdays: [1, 2, 3, 4, 5],
    holidays: false,
  });
});

test('S2 RATE_LIMIT_INTERVALO_MIN: seconds between proactive sends, 0 allowed', () => {
  assert.deepEqual(dev().outbound.intervalSeconds, { min: 45, max: 180 });
  assert.deepEqual(dev({ RATE_LIMIT_INTERVALO_MIN: '0', RATE_LIMIT_INTERVALO_MAX: '0' }).outbound.intervalSeconds, { min: 0, max: 0 });
  devProblem({ RATE_LIMIT_INTERVALO_MAX: '44' }, 'RATE_LIMIT_INTERVALO_MAX');
});

test('S2 PILOT_MODE; the four switches of the older image are not taken over, and said to be', () => {
  assert.deepEqual(dev().autonomous, { pilotMode: false });
  assert.deepEqual(dev({ PILOT_MODE: 'true' }).autonomous, { pilotMode: true });
  for (const name of [
    'DISCOVERY_AUTOMATICO_ENABLED',
    'OFERTA_AUTOMATICA_ENABLED',
    'REATIVACAO_AUTOMATICA_ENABLED',
    'FEEDBACK_AUTOMATICO_ENABLED',
  ])
    assertWarns({ RUN_MODE: 'api', [name]: 'true' }, new RegExp(`^${name}: is not taken over`));
});

test('S2 NOME_EMPRESA: the company; without it there is none, least of all another one', () => {
  assert.deepEqual([dev().app.company, dev({ NOME_EMPRESA: 'Clínica Sul' }).app.company], [null, 'Clínica Sul']);
  assertWarns({ ...PRODUCTION, NOME_EMPRESA: '' }, /^NOME_EMPRESA: not set/);
  assertWarns({ ...PRODUCTION, GESTOR_WHATSAPP: '' }, /^SLACK_WEBHOOK_URL, GESTOR_WHATSAPP: neither is set/);
});

test('S2 APP_BASE_URL: an address for links', () => {
  assert.deepEqual([dev().app.baseUrl, dev({ APP_BASE_URL: 'https://api.example.com/' }).app.baseUrl], [null, 'https://api.example.com']);
});

test('S2 JULIA_API_URL: accepted and said to be ignored', () => {
  assertWarns({ ...PRODUCTION, RUN_MODE: 'scheduler', JULIA_API_URL: 'http://julia-api:8000' }, /^JULIA_API_URL: ignored/);
  assertWarns({ RUN_MODE: 'api', JWT_SECRET: 'tenant-secret', OUTBOUND_TPS_DEFAULT: '5' }, /^JWT_SECRET: ignored/);
});

test('S2 ANTHROPIC_API_KEY: absent is a warning in words, not a problem', () => {
  assert.equal(production({ ANTHROPIC_API_KEY: undefined }).claude, null);
  assertWarns({ ...PRODUCTION, ANTHROPIC_API_KEY: undefined }, /^ANTHROPIC_API_KEY: .*stored and handed to a person/);
  assert.equal(
    dev({ ANTHROPIC_API_KEY: 'k', ANTHROPIC_BASE_URL: 'http://127.0.0.1:4010/anthropic' }).claude?.baseUrl,
    'http://127.0.0.1:4010/anthropic',
  );
});

test('S2 LLM_MODEL: current defaults, retired names accepted with a warning', () => {
  const { claude } = production();
  assert.deepEqual([claude?.model, claude?.complexModel], ['claude-haiku-5-5', 'claude-sonnet-5-5']);
  assert.equal(production({ LLM_MODEL: 'claude-3-5-haiku-20241022' }).claude?.model, 'claude-3-5-haiku-20241022');
  assertWarns({ ...PRODUCTION, LLM_MODEL: 'claude-3-5-haiku-20241022' }, /^LLM_MODEL: .*retired/);
});

test('S2 LLM_MODEL_COMPLEX: a retired name is accepted with a warning', () => {
  assertWarns({ ...PRODUCTION, LLM_MODEL_COMPLEX: 'claude-sonnet-4-20250514' }, /^LLM_MODEL_COMPLEX: .*retired/);
  assert.equal(production({ LLM_MODEL_COMPLEX: 'claude-opus-x' }).claude?.complexModel, 'claude-opus-x');
});

test('S2 LLM_MAX_TOKENS: limits of calls and turns', () => {
  const { maxTokens, maxToolRounds, callTimeoutSeconds, turnTimeoutSeconds } = production().claude ?? {};
  assert.deepEqual([maxTokens, maxToolRounds, callTimeoutSeconds, turnTimeoutSeconds], [300, 3, 30, 60]);
  assert.equal(production({ LLM_MAX_TOOL_ITERATIONS: '0' }).claude?.maxToolRounds, 0);
  productionProblem({ LLM_TIMEOUT_SEGUNDOS: '61' }, 'LLM_LOOP_TIMEOUT_SEGUNDOS', /not be shorter/);
});

test('S2 VOYAGE_API_KEY: null without a key', () => {
  assert.equal(dev({ VOYAGE_MODEL: 'voyage-3' }).voyage, null);
  assert.deepEqual(dev({ VOYAGE_API_KEY: 'k' }).voyage, {
    apiKey: 'k',
    model: 'voyage-3.5-lite',
    baseUrl: 'https://api.voyageai.com/v1',
  });
});

test('S2 CHATWOOT_URL: all four, none, or a problem', () => {
  const all = { CHATWOOT_URL: 'https://c.example.com', CHATWOOT_API_KEY: 'k', CHATWOOT_ACCOUNT_ID: '1', CHATWOOT_INBOX_ID: '2' };
  assert.equal(dev().chatwoot, null);
  assert.deepEqual(dev(all).chatwoot, { url: 'https://c.example.com', apiKey: 'k', accountId: 1, inboxId: 2 });
  for (const name of Object.keys(all)) devProblem({ ...all, [name]: undefined }, name, /must be set too/);
});

test('S2 SLACK_WEBHOOK_URL: alerts alone, a bot with its secret, or null', () => {
  const hook = 'https://hooks.example.com/x';
  assert.equal(dev().slack, null);
  assert.deepEqual(dev({ SLACK_WEBHOOK_URL: hook }).slack, {
    webhookUrl: hook,
    channel: '#julia-gestao',
    apiUrl: 'https://slack.com/api',
    bot: null,
  });
  const both = { SLACK_BOT_TOKEN: 't', SLACK_SIGNING_SECRET: 's', SLACK_CHANNEL: '#ops' };
  const bot = dev({ ...both, SLACK_ALLOWED_USERS: 'U02ABCDEF, W0123', SLACK_API_URL: 'http://127.0.0.1:9/api/' }).slack;
  assert.deepEqual(bot, {
    webhookUrl: null,
    channel: '#ops',
    apiUrl: 'http://127.0.0.1:9/api',
    bot: { token: 't', signingSecret: 's', allowedUsers: ['U02ABCDEF', 'W0123'] },
  });
  assertWarns({ RUN_MODE: 'api', ...both }, /^SLACK_ALLOWED_USERS: is empty, so nobody/);
  devProblem({ ...both, SLACK_ALLOWED_USERS: 'U02ABCDEF,@ana' }, 'SLACK_ALLOWED_USERS', /entry 2/);
  devProblem({ SLACK_BOT_TOKEN: 't' }, 'SLACK_SIGNING_SECRET', /must be set too/);
  devProblem({ SLACK_SIGNING_SECRET: 's', SLACK_WEBHOOK_URL: hook }, 'SLACK_BOT_TOKEN', /must be set too/);
  assertWarns({ RUN_MODE: 'api', SLACK_CHANNEL: '#ops' }, /^SLACK_CHANNEL: has no effect/);
});

test('S2 GOOGLE_APPLICATION_CREDENTIALS: the file must be there when a folder is set, and the problem names its path', () => {
  const here = import.meta.filename;
  const google = dev({ GOOGLE_APPLICATION_CREDENTIALS: here, GOOGLE_TEMPLATES_FOLDER_ID: 'f' }).google;
  assert.deepEqual(google, { credentials: { path: here }, baseUrl: null, briefingsFolderId: null, templatesFolderId: 'f' });
  const json = JSON.stringify({ client_email: 'a@b.example', private_key: '-----BEGIN PRIVATE KEY-----' });
  assert.deepEqual(
    dev({ GOOGLE_CREDENTIALS_JSON: json, GOOGLE_BRIEFINGS_FOLDER_ID: 'f', GOOGLE_BASE_URL: 'http://127.0.0.1:1/google' }).google,
    {
      credentials: { json },
      baseUrl: 'http://127.0.0.1:1/google',
      briefingsFolderId: 'f',
      templatesFolderId: null,
    },
  );
  devProblem(
    { GOOGLE_CREDENTIALS_JSON: '{}', GOOGLE_BRIEFINGS_FOLDER_ID: 'f' },
    'GOOGLE_CREDENTIALS_JSON',
    /no JSON key of a service account/,
  );
  const missing = { GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/sa.json', GOOGLE_BRIEFINGS_FOLDER_ID: 'f' };
  devProblem(missing, 'GOOGLE_APPLICATION_CREDENTIALS', /\/nowhere\/sa\.json does not exist/);
  devProblem({ GOOGLE_BRIEFINGS_FOLDER_ID: 'f' }, 'GOOGLE_APPLICATION_CREDENTIALS', /must be set too/);
  assert.equal(dev({ GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/sa.json' }).google, null);
});

test('S2 META_ACCESS_TOKEN: the five together, or null', () => {
  const five = {
    META_ACCESS_TOKEN: 't',
    META_PHONE_NUMBER_ID: '1',
    META_WABA_ID: '2',
    META_APP_SECRET: 's',
    META_WEBHOOK_VERIFY_TOKEN: 'v',
  };
  assert.equal(dev().meta, null);
  const meta = dev({ ...five, META_MM_LITE_ENABLED: 'true', META_PRICING_UTILITY_USD: '0.04' }).meta;
  assert.deepEqual(
    [meta?.wabaId, meta?.graphApiVersion, meta?.marketingMessagesLite, meta?.prices],
    ['2', 'v23.0', true, { marketingUsd: 0.0625, utilityUsd: 0.04 }],
  );
  devProblem({ ...five, META_WABA_ID: undefined }, 'META_WABA_ID', /must be set too/);
  devProblem({ META_PRICING_UTILITY_USD: '4 cents' }, 'META_PRICING_UTILITY_USD', /price/);
});

test('S2 PIPELINE_MAX_CONCURRENT: the older name of WORKER_CONCURRENCY', () => {
  assert.equal(dev().workerConcurrency, 200);
  assert.equal(dev({ PIPELINE_MAX_CONCURRENT: '10' }).workerConcurrency, 10);
  assert.equal(dev({ PIPELINE_MAX_CONCURRENT: '10', WORKER_CONCURRENCY: '5' }).workerConcurrency, 5);
});

test('C2 breaker figures: defaults of the manuals, and the longest wait is not the shorter one', () => {
  assert.deepEqual(dev().breakers, {
    evolution: { failures: 5, resetSeconds: 300, maxResetSeconds: 1800 },
    claude: { failures: 3, resetSeconds: 60, maxResetSeconds: 300 },
    database: { failures: 5, resetSeconds: 30, maxResetSeconds: 120 },
  });
  assert.equal(dev({ CLAUDE_BREAKER_RESET_SECONDS: '1', CLAUDE_BREAKER_MAX_RESET_SECONDS: '2' }).breakers.claude.maxResetSeconds, 2);
  devProblem({ DATABASE_BREAKER_RESET_SECONDS: '121' }, 'DATABASE_BREAKER_MAX_RESET_SECONDS');
});

test('I3 debounce: figures of the turn and their defaults', () => {
  assert.deepEqual(dev().turn, {
    debounceMs: 3000,
    debounceMaxMs: 15_000,
    humanDelay: true,
    maxMessageAgeMinutes: 120,
    takeoverFromApi: false,
    withdrawParts: true,
    takeoverMinutes: 30,
  });
  devProblem({ DEBOUNCE_MS: '15001' }, 'DEBOUNCE_MAX_MS');
  assert.equal(dev({ DEBOUNCE_MS: '0', DEBOUNCE_MAX_MS: '0' }).turn.debounceMs, 0);
  assert.equal(dev().app.shutdownGraceMs, 25_000);
  assert.equal(dev().http.maxWebhookBytes, 16 * 1024 * 1024);
});

test('P11 build identity: of the image, or of Railway, and the version of package.json', () => {
  const { gitSha, buildTime, version } = dev({ GIT_SHA: 'abc', RAILWAY_GIT_COMMIT_SHA: 'def', BUILD_TIME: '2026-01-01T00:00:00Z' }).app;
  assert.deepEqual([gitSha, buildTime], ['abc', '2026-01-01T00:00:00Z']);
  assert.match(version, /^\d+\.\d+\.\d+/);
  assert.equal(dev({ RAILWAY_GIT_COMMIT_SHA: 'def' }).app.gitSha, 'def');
  assert.equal(dev().app.gitSha, null);
});

test('S2 RAILWAY_TOKEN: the secrets of CI mean nothing here', () => {
  assert.deepEqual(problemsOf({ RUN_MODE: 'api', RAILWAY_TOKEN: 'x', RAILWAY_PROJECT_ID: 'x', RAILWAY_APP_URL: 'x' }), []);
  assert.deepEqual(loadConfig({ ...PRODUCTION, RAILWAY_TOKEN: 'x' }), loadConfig(PRODUCTION));
});

test('L13 L16 a model that is not known, has no price, or is retired is said at the start; the defaults are not', () => {
  for (const name of ['LLM_MODEL', 'LLM_MODEL_COMPLEX']) {
    assertWarns(
      { RUN_MODE: 'worker', [name]: 'claude-of-tomorrow' },
      new RegExp(`^${name}: claude-of-tomorrow is not among the models known here`),
    );
    assertWarns({ RUN_MODE: 'worker', [name]: 'claude-of-tomorrow' }, new RegExp(`^${name}: no price of claude-of-tomorrow is known`));
    assertWarns({ RUN_MODE: 'worker', [name]: 'claude-3-5-haiku-20241022' }, new RegExp(`^${name}: names a model that is retired`));
  }
  assert.deepEqual(
    loaded({ RUN_MODE: 'worker' }).warnings.filter((warning) => warning.startsWith('LLM_')),
    [],
  );
});

test('Z2 EVOLUTION_INSTANCE: what an address would be read differently for is no name of a number', () => {
  for (const name of ['..', '.', 'a/b', '%2e%2e', 'a?b'])
    devProblem({ ...LOCAL_EVOLUTION, EVOLUTION_INSTANCE: name }, 'EVOLUTION_INSTANCE', /must be a name without/);
  assert.equal(dev({ ...LOCAL_EVOLUTION, EVOLUTION_INSTANCE: 'Clínica, nº 1' }).evolution?.instance, 'Clínica, nº 1');
});
