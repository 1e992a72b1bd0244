/** `npm run admin -- doctor` on an installation at work, and on each thing that can be wrong with one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { Finding } from '../../src/watch/diagnosis.ts';
import { emptyDatabase } from '../support/database.ts';
import { DEFAULT_VERSION } from '../../simulator/version.ts';
import { startProgram } from '../support/process.ts';
import { startSite } from '../support/site.ts';

type Hooks = { after(hook: () => Promise<void>): void };
type Report = { code: number | string; findings: Finding[]; healthy: boolean; out: string };

async function doctor(t: Hooks, env: Record<string, string>, ...more: string[]): Promise<Report> {
  const program = startProgram(t, 'src/admin/cli.ts', { args: ['doctor', '--json', ...more], env });
  const code = await program.ended;
  const out = program.stdout.join('\n');
  assert.ok(out.startsWith('{'), `${out}\n${program.stderr.join('\n')}`);
  return { code, out, ...(JSON.parse(out) as { findings: Finding[]; healthy: boolean }) };
}

/** The one finding of this kind that is not ok. */
function trouble(report: Report, check: Finding['check']): Finding {
  const found = report.findings.filter((each) => each.check === check && each.status !== 'ok');
  assert.equal(found.length, 1, `${check}: ${JSON.stringify(report.findings, null, 1)}`);
  return found[0] as Finding; // its length was just checked
}

test('A11 Z1 doctor: on an installation at work every check is ok but the hole of the gateway, and the exit code 0; a person reads the same', async (t) => {
  // Older releases have a warning of their own.
  const site = await startSite(t, { simulator: { version: DEFAULT_VERSION } });
  await Promise.all((['api', 'worker', 'scheduler'] as const).map((mode) => site.startReady(mode)));
  site.env['SLACK_WEBHOOK_URL'] = `${site.simulator.slackUrl}/hook`;
  await site.query(`insert into agents (name, company, tone, instructions, promises) values ('Ana', 'Pitanga', '', 'Venda.', '')`);
  const taught = startProgram(t, 'src/admin/cli.ts', { args: ['knowledge', 'add', 'samples/loja/produtos.csv'], env: site.env });
  assert.equal(await taught.ended, 0);
  const report = await doctor(t, site.env);
  assert.deepEqual(
    report.findings.filter((each) => each.status !== 'ok').map(({ check, status }) => [check, status]),
    [['gateway', 'warning']],
  );
  assert.match(trouble(report, 'gateway').says, /CVE-2026-48063\)(?:; no stable release is mended)?$/);
  assert.deepEqual([report.code, report.healthy], [0, true]);
  for (const name of [
    'variables',
    'database',
    'schema',
    'rights',
    'queue',
    'processes',
    'evolution',
    'webhook',
    'claude',
    'clock',
    'disk',
    'media',
    'people',
    'switches',
    'agents',
  ])
    assert.ok(
      report.findings.some((each) => each.check === name),
      name,
    );
  assert.equal(report.findings.filter((each) => each.check === 'clock').length, 2, 'of the database and of Evolution');
  const told = startProgram(t, 'src/admin/cli.ts', { args: ['doctor'], env: site.env });
  assert.equal(await told.ended, 0);
  assert.match(told.stdout.join('\n'), /^ok {7}variables[\s\S]*Nothing is broken\.$/);

  // What is wrong while everything runs.
  await site.query(`insert into julia_status (status) values ('pausado')`);
  site.simulator.connection('close');
  // somebody waits for the model, and somebody for a person of whom nobody heard
  await site.query(
    `select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "x", "kind": "manual", "send_after": "2099-01-01"}')`,
  );
  await site.query(
    `update conversations set deferred_since = now(), deferred_until = now() + interval '1 hour', deferred_reason = 'model_unauthorized'`,
  );
  await site.query(
    `insert into handoffs (tenant_id, conversation_id, reason, controls, status) select 'default', id, 'x', true, 'notified' from conversations`,
  );
  await site.query(
    `insert into notices (tenant_id, key, kind, text, urgent, due_at, created_at, status, error) select 'default', 'handoff-' || id || '-told', 'handoff', 'x', true, now(), now(), 'failed', 'no_channel' from handoffs`,
  );
  const [later, key, number, claude, model, limits, secret, mute, short] = await Promise.all([
    doctor(t, site.env),
    doctor(t, { ...site.env, EVOLUTION_API_KEY: 'wrong' }),
    doctor(t, { ...site.env, EVOLUTION_INSTANCE: 'other' }),
    doctor(t, { ...site.env, ANTHROPIC_API_KEY: '' }),
    doctor(t, { ...site.env, LLM_MODEL: 'gpt-9' }),
    doctor(t, { ...site.env, OUTBOUND_ALLOWLIST: '', DEBOUNCE_MS: '9000', DEBOUNCE_MAX_MS: '1' }),
    doctor(t, { ...site.env, EVOLUTION_WEBHOOK_SECRET: 'another-secret-of-16' }),
    doctor(t, { ...site.env, SLACK_WEBHOOK_URL: '' }),
    doctor(t, { ...site.env, LLM_MODEL: 'claude-haiku-4-5' }),
  ]);
  assert.ok(
    short.findings.some(({ says }) =>
      /the agent Ana begin with the same \d+ tokens or so, and claude-haiku-4-5 caches nothing below 4096/.test(says),
    ),
    'L17: named',
  );
  assert.match(trouble(mute, 'people').says, /^1 conversation waits for a person, and nobody could be told: no channel/);
  assert.match(trouble(mute, 'people').mend ?? '', /^set SLACK_WEBHOOK_URL, or GESTOR_WHATSAPP/);
  assert.match(trouble(later, 'people').mend ?? '', /handoff list/);
  assert.match(trouble(later, 'switches').mend ?? '', /npm run admin -- resume/);
  assert.match(trouble(later, 'evolution').says, /julia-dev is not connected \(close\): 401: its pairing is gone/);
  assert.match(trouble(later, 'evolution').mend ?? '', /instance qr julia-dev/);
  assert.equal(later.code, 1);
  assert.match(trouble(secret, 'webhook').says, /^julia-dev: its webhook carries another secret than EVOLUTION_WEBHOOK_SECRET/);
  assert.match(trouble(secret, 'webhook').mend ?? '', /instance connect julia-dev$/);
  assert.match(trouble(key, 'evolution').says, /refuses EVOLUTION_API_KEY/);
  assert.equal(trouble(key, 'webhook').status, 'skipped', 'a wrong key is the one thing to do');
  assert.ok(!key.out.includes('instance connect'));
  assert.ok(
    number.findings.some(
      (each) => each.says === 'Evolution does not know the number other' && each.mend?.endsWith('instance connect other'),
    ),
  );
  assert.equal(trouble(claude, 'claude').status, 'warning');
  assert.equal(trouble(model, 'claude').says, 'there is no model gpt-9');
  assert.match(trouble(limits, 'variables').says, /^DEBOUNCE_MAX_MS: must not be less/);
  await site.query(`insert into julia_status (status) values ('ativo')`);
  const waiting = trouble(await doctor(t, site.env), 'claude');
  assert.deepEqual([waiting.status, waiting.says.slice(0, 53)], ['failed', 'the model is unavailable: 1 conversation waits for it']);
  for (const report of [later, key, number])
    assert.ok(!report.out.includes(site.simulator.apiKey) && !report.out.includes('sk-simulator'), 'no secret');
});

test('A11 doctor: what is away is named with what mends it, and the rest is still looked at', async (t) => {
  const bare = await emptyDatabase(t);
  const site = await startSite(t);
  await site.startReady('api');
  const [database, schema, redis, evolution, nothing] = await Promise.all([
    doctor(t, { ...site.env, DATABASE_URL: 'postgres://nobody:geheim@127.0.0.1:1/nothing' }),
    doctor(t, { ...site.env, DATABASE_URL: bare.url }),
    doctor(t, { ...site.env, REDIS_URL: 'redis://127.0.0.1:1' }),
    doctor(t, { ...site.env, EVOLUTION_API_URL: 'http://127.0.0.1:1', ANTHROPIC_BASE_URL: 'http://127.0.0.1:1' }),
    doctor(t, {}),
  ]);
  for (const report of [database, schema, redis, evolution]) assert.equal(report.code, 1);
  assert.match(trouble(database, 'database').says, /^DATABASE_URL: /);
  assert.ok(!database.out.includes('geheim'));
  assert.ok(
    database.findings.some((each) => each.check === 'claude' && each.status === 'ok'),
    'what does not need the database is checked',
  );
  assert.deepEqual([trouble(schema, 'schema').status, trouble(schema, 'schema').mend], ['failed', 'npm run migrate']);
  assert.match(trouble(redis, 'queue').says, /^REDIS_URL: Redis does not answer/);
  assert.match(trouble(evolution, 'evolution').says, /does not answer at EVOLUTION_API_URL/);
  assert.match(trouble(evolution, 'claude').says ?? '', /Claude does not answer at 127\.0\.0\.1:1/);
  assert.match(trouble(evolution, 'processes').says, /no worker and no scheduler/);
  assert.equal(nothing.findings.find((each) => each.check === 'database')?.status, 'skipped');
  assert.match(trouble(nothing, 'evolution').says, /are not set/);
  assert.equal(nothing.code, 1, 'where nothing is set up, nothing is well');
});

test('A11 doctor: a database that takes connections and says nothing is what to mend, and nothing else is advised; without a configuration it says so', async (t) => {
  const sockets = new Set<Socket>();
  const frozen = createServer((socket) => void sockets.add(socket));
  frozen.listen(0, '127.0.0.1');
  await once(frozen, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    frozen.close();
  });
  const address = frozen.address();
  assert.ok(address !== null && typeof address === 'object');
  const report = await doctor(t, { DATABASE_URL: `postgres://julia:x@127.0.0.1:${address.port}/julia` });
  assert.equal(trouble(report, 'database').status, 'failed');
  assert.equal(trouble(report, 'queue').status, 'skipped');
  assert.ok(!report.out.includes('npm run migrate'), report.out);
  const told = startProgram(t, 'src/admin/cli.ts', { args: ['doctor'], env: {} });
  assert.equal(await told.ended, 1);
  assert.match(told.stdout.join('\n'), /This is no installation yet: nothing is set up here/);
});

test('A11 doctor: a number that WhatsApp banned is not to be paired again; sends that are refused are seen although the number is connected', async (t) => {
  const site = await startSite(t, { simulator: { version: DEFAULT_VERSION } });
  await site.startReady('api');
  const admin = async (...args: string[]) => {
    const program = startProgram(t, 'src/admin/cli.ts', { args, env: site.env });
    await program.ended;
    return program.stdout.join('\n');
  };
  await site.query(
    `update instances set status = 'open', paired = true, held_reason = 'number_unauthorized', held_since = now(), held_until = now() + interval '5 minutes'`,
  );
  const refused = trouble(await doctor(t, site.env), 'evolution');
  assert.match(refused.says, /is connected, and all the same: sends of the number julia-dev are refused/);
  assert.match(refused.mend ?? '', /AUTHENTICATION_API_KEY/);
  assert.match(await admin('status'), /^NUMBER: sends of the number julia-dev are refused: Evolution refuses the key/m);

  site.simulator.connection('close', { reason: 403 });
  await site.query(`update instances set status = 'close', status_reason = 403, held_reason = null, held_until = null`);
  const banned = trouble(await doctor(t, site.env), 'evolution');
  assert.match(banned.says, /not connected \(close\): 403: WhatsApp has banned or restricted it/);
  assert.match(banned.mend ?? '', /^do not pair it again.*pause instance julia-dev/);
  assert.match(
    await admin('instance', 'show', 'julia-dev'),
    /disconnected since .* \(403: WhatsApp has banned or restricted it; do not pair it again/,
  );
  assert.match(await admin('status'), /^NUMBER: the number julia-dev is disconnected \(403: WhatsApp has banned/m);
});

test('W12 W13 doctor: a licence that is wanted, with its address; a release that is too old; an event that is waited for', async (t) => {
  const site = await startSite(t, { simulator: { version: '2.4', licensed: false } });
  await site.startReady('api');
  const unlicensed = await doctor(t, site.env);
  const said = (report: Report) => report.findings.filter(({ status }) => status !== 'ok').map(({ says }) => says);
  const page = `LICENSE_REQUIRED: activate it at ${site.simulator.url}/manager/login`;
  assert.ok(said(unlicensed).includes(`Evolution wants its licence to be activated (${page})`), said(unlicensed).join('\n'));
  assert.ok(unlicensed.findings.some(({ status, says }) => status === 'ok' && says === 'it is 2.4.0'));
  site.simulator.setVersion('2.3.6');
  site.simulator.setWebhook(`${site.env['APP_BASE_URL'] ?? site.simulator.url}/webhook/evolution`, site.env['EVOLUTION_WEBHOOK_SECRET']);
  const old = said(await doctor(t, site.env)).join('\n');
  assert.match(old, /^Evolution 2\.3\.6 does not tell edits and is deaf after a log-out: run 2\.3\.7 or newer$/m);
  assert.match(old, /^julia-dev: its webhook asks for MESSAGES_EDITED, for whose receiver Evolution waits/m);
  assert.match(old, /^julia-dev: its webhook asks for LOGOUT_INSTANCE/m);
});

test('P15 doctor --live: one call of the model with what it took and cost, one of each service, and nothing to anybody', async (t) => {
  const site = await startSite(t);
  const { simulator } = site;
  const env = {
    ...site.env,
    SLACK_BOT_TOKEN: 'xoxb-test',
    SLACK_SIGNING_SECRET: 'a-signing-secret-of-tests',
    SLACK_API_URL: `${simulator.slackUrl}/api`,
  };
  const live = (report: Report) => report.findings.filter(({ check }) => check === 'live');
  const [plain, report] = [await doctor(t, env), await doctor(t, env, '--live')];
  assert.deepEqual(live(plain), []);
  assert.equal(simulator.wire().claude.length, 1, 'one call, and only when asked for');
  const [model, ...services] = live(report);
  assert.match(
    model?.says ?? '',
    /^claude-haiku-5-5 answered in \d+ ms \(end_turn\): \d+ tokens in, \d+ out, of them 0 thinking; cache: 0 read, 0 written; US\$ 0\.0000\d\d$/,
  );
  assert.deepEqual(
    services.map(({ status, says }) => `${status} ${says.replace(/\d+ ms/, 'so soon')}`),
    ['the database', 'the queue', 'Evolution', 'Slack'].map((name) => `ok ${name} answered in so soon`),
  );
  assert.deepEqual([simulator.sends(), simulator.slackTexts()], [[], []]);

  simulator.fault({ target: 'claude', kind: 'status', status: 529, times: null });
  const down = live(await doctor(t, { ...env, LLM_MODEL: 'claude-opus-5-5' }, '--live'))[0];
  assert.deepEqual([down?.status, down?.says.startsWith('claude-opus-5-5 does not answer: overloaded')], ['failed', true]);
});

test('L5 A11 doctor: what nobody has told the agent is a warning with the command for it; words that are not read to contacts are a failure', async (t) => {
  const site = await startSite(t);
  await site.startReady('worker');
  const agents = async () => (await doctor(t, site.env)).findings.filter(({ check }) => check === 'agents');
  const untaught = await agents();
  assert.deepEqual(
    untaught.map(({ status }) => status),
    ['warning', 'warning', 'warning'],
  );
  assert.match(JSON.stringify(untaught), /agent save --company.*agent show --file > agente\.md.*knowledge add FILE/);
  await site.query(`insert into agents (name, company, tone, instructions, promises) values ('Ana', 'Pitanga', '', 'Venda {isso}.', '')`);
  const [bad] = await agents();
  assert.equal(bad?.status, 'failed');
  assert.match(bad?.says ?? '', /version 2, are not read to contacts \(unknown_placeholder: \{isso\} in instructions/);
});
