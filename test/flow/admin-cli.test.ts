/** The admin commands as a person runs them: `node src/admin/cli.ts` as a process of its own, on a system that is at work. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { COMMANDS } from '../../src/admin/all.ts';
import { LOCAL_COMMANDS } from '../../src/admin/local.ts';
import { startProgram } from '../support/process.ts';
import { INSTANCE, JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Hooks = Parameters<typeof startProgram>[0];
type Ran = { code: number | NodeJS.Signals; out: string; err: string; json(): unknown };

async function run(t: Hooks, env: Record<string, string>, ...args: string[]): Promise<Ran> {
  const program = startProgram(t, 'src/admin/cli.ts', { args, env });
  const code = await program.ended;
  const out = program.stdout.join('\n');
  return { code, out, err: program.stderr.join('\n'), json: () => JSON.parse(out) as unknown };
}

describe('A11 the commands on a system at work', () => {
  const hooks: (() => Promise<void>)[] = [];
  const shared: Hooks = { after: (hook) => void hooks.unshift(hook) };
  let system: System;
  let env: Record<string, string>;

  /** Runs a command line, as ana. */
  async function admin(...args: string[]): Promise<Ran> {
    return run(shared, env, ...args);
  }

  before(async () => {
    system = await startSystem(shared);
    env = {
      USER: 'ana',
      DATABASE_URL: system.databaseUrl,
      EVOLUTION_API_URL: system.simulator.evolutionUrl,
      EVOLUTION_API_KEY: system.simulator.apiKey,
      EVOLUTION_INSTANCE: INSTANCE,
    };
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  test('A11 X11 status, rate and why: a message is explained without a look into the source', async () => {
    const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
    system.simulator.script([{ match: 'preço', text: 'Custa dez reais.' }]);
    const { id } = system.simulator.inbound({ contactId: maria.id, text: 'Qual o preço?' });
    await system.until(async () => (await system.dump()).some((line) => line.includes('delivered')), 'the answer');
    const [why, status, rate] = await Promise.all([admin('why', id), admin('status'), admin('rate', '--json')]);
    assert.equal(why.code, 0, why.err);
    assert.match(why.out, /message \d+ from the contact: "Qual o preço\?"\n\s+stored, and answered by turn \d+/);
    assert.match(why.out, /the model claude-\S+ worked [\d.]+ s and answered\n\s+\d+ tokens in, \d+ out, US\$ \d/);
    assert.match(why.out, /message \d+ of the agent: "Custa dez reais."\n\s+sent .*, delivered /);
    assert.match(why.out, /\n\nConclusion: answered in [\d.]+ s\n\(times of America\/Sao_Paulo\)$/);
    assert.match(status.out, new RegExp(`^Nothing is paused\\.\\n[\\s\\S]*Numbers: ${INSTANCE} \\w+ since[\\s\\S]*Unanswered: 0`));
    assert.equal((rate.json() as { instances: Record<string, { hour: { used: number } }> }).instances[INSTANCE]?.hour.used, 0);
  });

  test('A11 A1 pause stops the answer, why says so, resume answers what waited', async () => {
    const paused = await admin('pause', '--reason', 'preços errados');
    assert.deepEqual([paused.code, paused.out], [0, 'Everything is paused. To go on: resume.']);
    const pedro = system.simulator.addContact({ name: 'Pedro', phone: '5511912345679' });
    system.simulator.script([{ match: 'entrega', text: 'Entrega em dois dias.' }]);
    const { id } = system.simulator.inbound({ contactId: pedro.id, text: 'E a entrega?' });
    await system.until(async () => (await system.dump()).includes('in contact received: E a entrega?'), 'the stored message');
    const [why, status] = await Promise.all([admin('why', id), admin('status')]);
    assert.match(why.out, /Conclusion: not answered yet, after .* s, because everything is paused by hand/);
    assert.match(status.out, /^PAUSED:\n  Everything since \S+ \S+, by cli:ana, because: preços errados\n/);
    const wrong = await admin('resume', 'instance', INSTANCE);
    assert.match(wrong.out, /goes on \(it was not paused\)\.\nStill paused:\n  Everything since/);
    assert.ok((await system.dump()).includes('in contact received: E a entrega?'), 'another scope does not end this pause');
    const resumed = await admin('resume');
    assert.deepEqual([resumed.code, resumed.out], [0, 'Everything goes on.']);
    await system.until(
      async () => (await system.dump()).includes('out agent delivered: Entrega em dois dias.'),
      'the answer after the pause',
    );
  });

  test('A11 O4 the dead letters: listed, shown, retried once, discarded', async () => {
    const fault = system.simulator.fault({ target: 'send', kind: 'status', status: 422, times: null });
    const ask = (phone: string, text: string) =>
      system.query<{ id: number }>(
        `select (enqueue_message(jsonb_build_object('instance', $1::text, 'phone', $2::text, 'text', $3::text, 'kind', 'notification')) ->> 'id')::int as id`,
        [INSTANCE, phone, text],
      );
    const [[first], [second], [third]] = await Promise.all([
      ask('5511912345670', 'um'),
      ask('5511912345671', 'dois'),
      ask('5511912345672', 'três'),
    ]);
    const lanes = await system.query<{ id: number }>(`select conversation_id::int as id from messages where kind = 'notification'`);
    for (const { id } of lanes) await system.ctx.queues.wakeSend(id);
    await system.until(
      async () => (await system.dump()).filter((line) => line.includes('failed(bad_request)')).length === 3,
      'all to fail',
    );
    system.simulator.clearFaults(fault.id);

    const [list, show] = await Promise.all([admin('dlq', 'list'), admin('dlq', 'show', String(first?.id))]);
    assert.match(
      list.out,
      new RegExp(
        `^${third?.id}  failed  \\S+ \\S+  notification in conversation \\d+ on ${INSTANCE}, 1 attempt: Evolution refused the request`,
        'm',
      ),
    );
    assert.match(show.out, /\n  um\n/);
    const both = await Promise.all([admin('dlq', 'retry', String(first?.id)), admin('dlq', 'retry', String(first?.id))]);
    assert.deepEqual(both.map((each) => String(each.code)).toSorted(), ['0', '1']);
    assert.match(
      both.find((each) => each.code === 1)?.err ?? '',
      new RegExp(`^message ${first?.id} is no dead letter, it is .*; nothing was changed$`),
    );
    await system.until(async () => (await system.dump()).includes('out system delivered: um'), 'the retried message');
    assert.equal((await admin('dlq', 'discard', String(second?.id), '--reason', 'não precisa')).code, 0);
    const all = await admin('dlq', 'retry', '--all', '--json');
    assert.deepEqual(
      (all.json() as { retried: { id: number }[] }).retried.map((each) => each.id),
      [third?.id],
    );
    await system.until(async () => (await system.dump()).includes('out system delivered: três'), 'the last one');
    const empty = await admin('dlq', 'list');
    assert.equal(empty.out, 'There are no dead letters.');
    assert.deepEqual(
      system.simulator
        .wire()
        .sends.filter((send) => send.id !== null && ['um', 'dois', 'três'].includes(send.text))
        .map((send) => send.text)
        .toSorted(),
      ['três', 'um'],
    );
    const audit = await system.query<{ line: string }>(
      `select actor || ' ' || action as line from audit_log where action like 'dlq%' order by id`,
    );
    assert.deepEqual(
      audit.map((row) => row.line),
      ['cli:ana dlq.retry', 'cli:ana dlq.discard', 'cli:ana dlq.retry'],
    );
  });

  test('A11 A7 I19 handoffs are listed and returned, a webhook is replayed', async () => {
    const [row] = await system.query<{ id: number }>(
      `update conversations set controlled_by = 'human', escalation_reason = 'Handoff manual' where id = 1 returning id::int`,
    );
    const list = await admin('handoff', 'list');
    assert.match(list.out, /conversation 1  Maria on \S+: a person has it\n  because "Handoff manual"\n  last written .*Qual o preço\?/);
    const returned = await admin('handoff', 'return', String(row?.id));
    assert.deepEqual([returned.code, returned.out], [0, 'The agent answers in conversation 1 again.']);
    assert.equal((await admin('handoff', 'return', '1')).code, 1);
    const audit = await admin('audit', 'list', '--limit', '1');
    assert.match(audit.out, /^\d+  \S+ \S+  cli:ana  handoff\.return \d+  \{/);

    const [webhook] = await system.query<{ id: number }>(
      `select min(id)::int as id from webhook_events where results @> '[{"outcome": "stored"}]'`,
    );
    const replayed = await admin('replay', String(webhook?.id));
    assert.deepEqual(
      [replayed.code, replayed.out],
      [0, `Webhook ${webhook?.id} is replayed.\n  message 1: was stored already, nothing changed`],
    );
    assert.equal((await admin('replay', String(webhook?.id), '--force')).code, 2, 'force without a reason');
    assert.equal((await admin('replay', '999999')).code, 1);
  });

  test('A11 H16 token: signed with the key of the installation, for a role, a person and some days; no database is needed', async () => {
    const made = await run(shared, { JWT_SECRET_KEY: JWT_SECRET }, 'token', 'operator', '--sub', 'ana', '--days', '2');
    assert.equal(made.code, 0, made.err);
    const may = async (path: string, token: string) =>
      (await fetch(`${system.url}${path}`, { headers: { authorization: `Bearer ${token}` } })).status;
    assert.deepEqual([await may('/admin/status', made.out), await may('/admin/status', `${made.out}x`)], [200, 401]);
    const json = await run(shared, { JWT_SECRET_KEY: JWT_SECRET }, 'token', 'sender', '--sub', 'loja', '--json');
    const sender = json.json() as { token: string; expires_at: string };
    assert.deepEqual([await may('/admin/status', sender.token), await may('/api/messages/1', sender.token)], [403, 200]);
    const codes = await Promise.all([
      run(shared, {}, 'token', 'operator', '--sub', 'ana'),
      run(shared, { JWT_SECRET_KEY: JWT_SECRET }, 'token', 'king', '--sub', 'ana'),
      run(shared, { JWT_SECRET_KEY: JWT_SECRET }, 'token', 'operator'),
      run(shared, { JWT_SECRET_KEY: JWT_SECRET }, 'token', 'operator', '--sub', 'ana', '--days', '99999'),
    ]);
    assert.deepEqual(
      codes.map((each) => each.code),
      [1, 2, 2, 2],
    );
    assert.match(codes[0]?.err ?? '', /^JWT_SECRET_KEY: must be set/);
  });

  test('A11 D3 a contact is exported as JSON and erased, as the runbook says', async () => {
    const exported = await admin('export-contact', '+5511912345678');
    assert.equal(exported.code, 0, exported.err);
    assert.equal((exported.json() as { contact: { name: string } }).contact.name, 'Maria');
    assert.equal((await admin('erase-contact', 'contact:1')).code, 2, 'not without a reason');
    const erased = await admin('erase-contact', 'contact:1', '--reason', 'pedido por e-mail em 23/11');
    assert.equal(erased.code, 0, erased.err);
    assert.match(erased.out, /^Contact 1 is erased: \d+ messages and \d+ raw webhooks are gone/);
    const gone = await admin('export-contact', '+5511912345678');
    assert.deepEqual([gone.code, gone.err], [1, 'there is no contact +5511912345678']);
  });

  test('A11 wrong usage is told with exit code 2, an unknown thing with 1', async () => {
    const [nothing, typo, half, option, many, id, tenant, message] = await Promise.all([
      admin(),
      admin('pasue'),
      admin('dlq'),
      admin('status', '--frobnicate'),
      admin('pause', 'all', 'please', 'now'),
      admin('dlq', 'show', 'abc'),
      admin('status', '--tenant', 'nobody'),
      admin('why', 'no-such-message'),
    ]);
    assert.deepEqual(
      [nothing, typo, half, option, many, id].map((each) => each.code),
      [2, 2, 2, 2, 2, 2],
    );
    assert.match(typo.err, /^there is no command pasue: npm run admin -- --help lists them$/);
    assert.match(half.err, /did you mean dlq list, dlq show, dlq retry, dlq discard\?/);
    assert.match(option.err, /--frobnicate[\s\S]*npm run admin -- status/);
    assert.match(id.err, /must be a number/);
    assert.deepEqual([tenant.code, tenant.err, message.code], [1, 'there is no tenant nobody', 1]);
    assert.deepEqual(await system.query(`select id from julia_status where motivo = 'please'`), []);
  });

  test('Z12 no command lets a terminal be steered by words of others: neither in text nor in JSON', async () => {
    const EVIL = 'pare\u001b[31m\u001b]0;x\u0007 \u009b2J\u202eagora\r\nconversation 9  tudo bem';
    const leo = system.simulator.addContact({ name: EVIL, phone: '5511912340099' });
    const { id } = system.simulator.inbound({ contactId: leo.id, text: EVIL });
    const [row] = await system.until(async () => {
      const found = await system.query<{ conversation: string }>(
        'select conversation_id as conversation from messages where provider_id = $1',
        [id],
      );
      return found.length > 0 ? found : null;
    }, 'the message');
    await system.query(`select open_handoff($1, null, $2, $2, true, now(), $2)`, [row?.conversation, EVIL]);
    await system.query(`select set_pause('default', $1, 'pausado', 'tenant', 'default', $1)`, [EVIL]);
    await system.query(`select record_audit('default', $1, 'x', $1, jsonb_build_object('reason', $1::text))`, [EVIL]);
    const commands = [
      ['why', `conversation:${row?.conversation}`],
      ['handoff', 'list'],
      ['handoff', 'list', '--json'],
      ['status'],
      ['audit', 'list'],
    ];
    for (const command of commands) {
      const { out, err } = await admin(...command);
      assert.doesNotMatch(out + err, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/, command.join(' '));
      assert.doesNotMatch(out, /^conversation 9/m, command.join(' '));
      assert.ok(out.includes('pare'), command.join(' '));
    }
    await system.query(`select set_pause('default', 'ana', 'ativo', 'tenant', 'default', null)`);
  });
});

test('A11 --help lists every command with a line, and each explains itself, without any configuration', async (t) => {
  const list = await run(t, {}, '--help');
  assert.equal(list.code, 0, list.err);
  for (const { name, summary } of [...COMMANDS, ...LOCAL_COMMANDS])
    assert.ok(
      list.out.split('\n').some((line) => line.trim().startsWith(name) && line.endsWith(summary)),
      name,
    );
  const force = await run(t, {}, 'replay', '--help');
  assert.equal(force.code, 0);
  assert.match(
    force.out,
    /THE AGENT ANSWERS IT ONCE MORE[\s\S]*--force[\s\S]*--reason VALUE[\s\S]*POST \/admin\/replay with a token of the role admin/,
  );
});

test('A11 what is missing is named: the variable, the database, the schema; a pause works while Redis is away', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  // Takes connections and never answers; and an address where nothing listens.
  const silent = createServer(() => {});
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  t.after(async () => void silent.close());
  const empty = new URL(system.databaseUrl);
  empty.pathname = '/postgres';
  const [unset, wrong, away, bare, paused] = await Promise.all([
    run(t, {}, 'status'),
    run(t, { DATABASE_URL: 'not an address' }, 'status'),
    run(t, { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' }, 'status'),
    run(t, { DATABASE_URL: empty.href }, 'status'),
    run(t, { DATABASE_URL: system.databaseUrl, REDIS_URL: `redis://127.0.0.1:${port}` }, 'pause'),
  ]);
  assert.deepEqual([unset.code, wrong.code, away.code, bare.code], [1, 1, 1, 1]);
  assert.match(unset.err, /^DATABASE_URL: must be set/);
  assert.match(wrong.err, /DATABASE_URL/);
  assert.match(away.err, /^DATABASE_URL: the database does not answer/);
  assert.match(bare.err, /run `npm run migrate`/);
  assert.equal(paused.code, 0, paused.err);
  assert.deepEqual(await system.query(`select status, scope from julia_status`), [{ status: 'pausado', scope: 'all' }]);
  const resumed = await run(t, { DATABASE_URL: system.databaseUrl, REDIS_URL: `redis://127.0.0.1:1` }, 'resume');
  assert.equal(resumed.code, 0, resumed.err);
});
