/** The numbers as an operator handles them: `instance ...`, `breaker ...`, at the command line and over HTTP, against a real system. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { rulesOf } from '../../simulator/version.ts';
import { WEBHOOK_EVENTS } from '../../src/whatsapp/webhook-setting.ts';
import { checkWebhooks } from '../../src/numbers/webhook-check.ts';
import { startProgram } from '../support/process.ts';
import { INSTANCE, JWT_SECRET, startSystem, testedVersion, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Hooks = Parameters<typeof startProgram>[0];
type Webhook = { url: string; enabled: boolean; events: string[]; headers: Record<string, string> };

describe('A11 I17 numbers at the command line', () => {
  const hooks: (() => Promise<void>)[] = [];
  const shared: Hooks = { after: (hook) => void hooks.unshift(hook) };
  let system: System;
  let env: Record<string, string>;

  async function admin(...args: string[]): Promise<{ code: number | NodeJS.Signals; out: string; err: string }> {
    const program = startProgram(shared, 'src/admin/cli.ts', { args, env });
    const code = await program.ended;
    return { code, out: program.stdout.join('\n'), err: program.stderr.join('\n') };
  }
  async function http(path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }> {
    const token = await new SignJWT({ role: 'admin', tenant: 'default' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('ana')
      .setExpirationTime('5m')
      .sign(new TextEncoder().encode(JWT_SECRET));
    const response = await fetch(`${system.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
  async function webhookOf(name: string): Promise<Webhook | null> {
    const response = await fetch(`${system.simulator.evolutionUrl}/webhook/find/${name}`, { headers: { apikey: system.simulator.apiKey } });
    return (await response.json()) as Webhook | null;
  }
  async function setWebhook(name: string, webhook: object): Promise<void> {
    const response = await fetch(`${system.simulator.evolutionUrl}/webhook/set/${name}`, {
      method: 'POST',
      headers: { apikey: system.simulator.apiKey, 'content-type': 'application/json' },
      body: JSON.stringify({ webhook }),
    });
    assert.equal(response.status, 201);
  }

  before(async () => {
    system = await startSystem(shared, { workers: 0 });
    env = {
      USER: 'ana',
      DATABASE_URL: system.databaseUrl,
      EVOLUTION_API_URL: system.simulator.evolutionUrl,
      EVOLUTION_API_KEY: system.simulator.apiKey,
      EVOLUTION_INSTANCE: INSTANCE,
      EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET,
    };
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  test('A11 instance connect makes a number, sets and verifies its webhook, shows the code, and waits until it is scanned', async () => {
    const off = system.simulator.on((event) => {
      // the phone that scans the code
      if (event.type === 'connection' && event.instance === 'vendas' && event.state === 'connecting')
        setImmediate(() => system.simulator.connection('open', { instance: 'vendas' }));
    });
    const ran = await admin('instance', 'connect', 'vendas', '--url', system.url);
    off();
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.out, /^Created vendas at Evolution\.\nEvolution posts what happens on vendas to http:\S+\/webhook\/evolution\.\n/);
    assert.match(ran.out, /[█▀▄]{20,}/, 'a code to scan');
    assert.match(ran.out, /\nvendas is connected\.$/);
    const webhook = await webhookOf('vendas');
    assert.deepEqual([webhook?.url, webhook?.enabled, webhook?.events], [`${system.url}/webhook/evolution`, true, [...WEBHOOK_EVENTS]]);
    assert.deepEqual(webhook?.headers, { jwt_key: WEBHOOK_SECRET });
    const [row] = await system.query(
      `select status, proactive, provider_id is not null as identified from instances where name = 'vendas'`,
    );
    assert.deepEqual(row, { status: 'open', proactive: true, identified: true });
    // again: nothing is made anew, and what is connected has no code
    const again = await admin('instance', 'connect', 'vendas', '--url', `${system.url}/webhook/evolution/`);
    assert.match(again.out, /^Evolution posts [^\n]*\nvendas is connected\.$/);
    assert.deepEqual(
      await system.query(`select count(*)::int as n from audit_log where action = 'instance.connect' and actor = 'cli:ana'`),
      [{ n: 2 }],
    );
  });

  test('I17 instance logout and qr: a number that was logged out is shown as disconnected, and its code is there again, also over HTTP', async () => {
    const logout = await admin('instance', 'logout', INSTANCE);
    assert.equal(logout.out, `${INSTANCE} is logged out. To pair it again: instance qr ${INSTANCE}.`);
    const again = await admin('instance', 'logout', INSTANCE);
    if (rulesOf(testedVersion()).logoutIsIdempotent) assert.equal(again.code, 0);
    else assert.match(again.err, /is not connected/);
    const list = await admin('instance', 'list');
    assert.match(list.out, new RegExp(`^${INSTANCE}: disconnected since `, 'm'));
    const code = await http('/admin/instance/qr', { name: INSTANCE });
    assert.deepEqual([code.status, code.body['state']], [200, 'connecting']);
    assert.match(String(code.body['code']), /^2@/);
    assert.match(String(code.body['picture']), /^data:image\/png;base64,/);
    system.simulator.connection('open');
    const open = await admin('instance', 'qr', INSTANCE);
    assert.equal(open.out, `${INSTANCE} is connected.`);
    const show = await admin('instance', 'show', INSTANCE);
    assert.match(show.out, /connection: close/);
    assert.match(show.out, /webhook: as it should be/);
    const restart = await admin('instance', 'restart', INSTANCE);
    assert.equal(restart.code, 0, restart.err);
    assert.match((await admin('instance', 'qr', 'nobody')).err, /there is no number nobody; instance list shows them/);
  });

  test('A11 instance set changes caps and pace, and refuses what contradicts itself', async () => {
    const set = await admin(
      'instance',
      'set',
      INSTANCE,
      '--cap_hour',
      '7',
      '--pace_min_seconds',
      '10',
      '--pace_max_seconds',
      '20',
      '--proactive',
      'false',
    );
    assert.equal(set.code, 0, set.err);
    assert.match(set.out, /caps: 7 in 60 minutes, 100 \(MAX_MSGS_POR_DIA\) in 24 hours/);
    const row = async () =>
      (await system.query(`select cap_hour, pace_min_seconds::int as pace, proactive from instances where name = $1`, [INSTANCE]))[0];
    assert.deepEqual(await row(), { cap_hour: 7, pace: 10, proactive: false });
    await admin('instance', 'set', INSTANCE, '--cap_hour', 'default', '--proactive', 'true');
    assert.deepEqual(await row(), { cap_hour: null, pace: 10, proactive: true });
    assert.match((await admin('instance', 'set', INSTANCE, '--pace_max_seconds', '5')).err, /pace_max_seconds must not be less/);
    assert.match((await admin('instance', 'set', INSTANCE)).err, /name something to change/);
    assert.match((await admin('instance', 'set', INSTANCE, '--cap_day', 'many')).err, /must be a number, or default/);
    const [audit] = await system.query(`select details from audit_log where action = 'instance.set' order by id limit 1`);
    assert.deepEqual(audit?.['details'], { cap_hour: 7, pace_min_seconds: 10, pace_max_seconds: 20, proactive: false });
  });

  test('O16 what Evolution refuses is said in words, with its class: not configured 503, upstream 502, unknown 404', async () => {
    system.simulator.fault({ target: 'instance', kind: 'unauthorized', match: { instance: 'nova' } });
    const key = await admin('instance', 'connect', 'nova', '--url', system.url);
    assert.equal(key.code, 1);
    assert.equal(key.err, 'Evolution refuses EVOLUTION_API_KEY (creating a number needs the global key of Evolution)');
    system.simulator.fault({ target: 'instance', kind: 'status', status: 500 });
    assert.deepEqual((await http('/admin/instance/restart', { name: INSTANCE })).status, 502);
    assert.equal((await http('/admin/instance/restart', { name: 'nobody' })).status, 404);
    assert.match(
      (await admin('instance', 'connect', 'nova')).err,
      /url: where does Evolution reach the api\? Name it, or set APP_BASE_URL/,
    );
    const { EVOLUTION_API_URL: _, EVOLUTION_API_KEY: _key, EVOLUTION_INSTANCE: _name, ...bare } = env;
    const without = startProgram(shared, 'src/admin/cli.ts', { args: ['instance', 'qr', INSTANCE], env: bare });
    assert.equal(await without.ended, 1);
    assert.match(without.stderr.join('\n'), /^EVOLUTION_API_URL, EVOLUTION_API_KEY, EVOLUTION_INSTANCE: must be set for this$/);
  });

  test('W12 I17 at a start it is said what is wrong with a webhook, and how to mend it; connect mends it', async () => {
    const said = async (): Promise<string[]> => {
      const from = system.lines.length;
      await checkWebhooks(system.ctx);
      return system.lines
        .slice(from)
        .filter((line) => line.level === 'WARNING' && line.context['instance'] === INSTANCE)
        .map((line) => line.message);
    };
    assert.deepEqual(await said(), []);
    await setWebhook(INSTANCE, {
      enabled: true,
      url: `${system.url}/hook`,
      headers: { jwt_key: 'an-old-secret-of-somebody' },
      events: ['MESSAGES_UPSERT', 'MESSAGES_EDITED'],
    });
    const faults = await said();
    assert.equal(faults.length, 4);
    assert.match(
      faults.join('\n'),
      /another path than \/webhook\/evolution[\s\S]*another secret than EVOLUTION_WEBHOOK_SECRET[\s\S]*leaves out MESSAGES_UPDATE, [\s\S]*asks for MESSAGES_EDITED, for whose receiver Evolution waits/,
    );
    assert.ok(!faults.join(' ').includes('an-old-secret'));
    assert.equal(system.lines.at(-1)?.context['hint'], `npm run admin -- instance connect ${INSTANCE}`);
    system.simulator.fault({ target: 'instance', kind: 'status', status: 500 });
    assert.match((await said()).join(), /Evolution answered: /);
    const mended = await admin('instance', 'connect', INSTANCE, '--url', system.url);
    assert.equal(mended.code, 0, mended.err);
    assert.deepEqual(await said(), []);
  });

  test('C5 A11 breaker list and breaker reset', async () => {
    assert.match((await admin('breaker', 'list')).out, new RegExp(`^number of ${INSTANCE} \\(database\\): closed`, 'm'));
    await system.query(
      `select number_trouble(id, '{"reason": "number_restricted", "minutes": 60, "trust": 30}', now()) from instances where name = $1`,
      [INSTANCE],
    );
    assert.match(
      (await admin('breaker', 'list')).out,
      new RegExp(`number of ${INSTANCE} \\(database\\): OPEN, because WhatsApp restricts this number`),
    );
    assert.match((await admin('instance', 'list')).out, /trust 70\n  proactive messages wait until .*, because WhatsApp restricts/);
    const circuit = (await (await fetch(`${system.url}/health/circuit`)).json()) as { breakers: Record<string, unknown>[] };
    const number = circuit.breakers.find((each) => each['name'] === 'number' && each['instance'] === INSTANCE);
    assert.deepEqual([number?.['state'], number?.['process'], number?.['reason']], ['open', 'database', 'number_restricted']);
    const reset = await admin('breaker', 'reset', 'number', '--instance', INSTANCE);
    assert.equal(reset.out, `Closing within 5 seconds:\n  number of ${INSTANCE} (database)`);
    assert.match((await admin('breaker', 'reset')).out, /^Nothing was open/);
    assert.match((await admin('breaker', 'reset', 'evolution', '--instance', 'nobody')).err, /there is no number nobody/);
    assert.deepEqual(await system.query(`select state, reason from circuit_transitions where breaker = 'number' order by id`), [
      { state: 'open', reason: 'number_restricted' },
      { state: 'closed', reason: 'reset by cli:ana' },
    ]);
  });
});
