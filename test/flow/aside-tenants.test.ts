/** What was set aside belongs to whose secret posted it: another tenant neither takes it, nor learns that it is there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS, runCommand } from '../../src/admin/all.ts';
import type { Outcome } from '../../src/admin/command.ts';
import { receive } from '../../src/inbox/receive.ts';
import { openSecret } from '../../src/process/secrets.ts';
import { webhookSecretOf } from '../../src/numbers/webhook-secrets.ts';
import { adminDone } from '../support/admin.ts';
import { NAMES_OF_NONE, NAMES_OF_NUMBERS } from '../support/number-names.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const SECRETS_KEY = 'a-secrets-key-of-tests-0123456789abcdef';
const WORDS = 'palavra secreta de um cliente da instalação';
const PHONE = '5511912345678';

let ids = 0;
function text(instance: string, words: string, more: { instanceId?: string; requestId?: string } = {}) {
  return {
    event: 'messages.upsert',
    instance,
    data: {
      key: { remoteJid: `${PHONE}@s.whatsapp.net`, fromMe: false, id: `AT${++ids}` },
      message: { conversation: words },
      messageTimestamp: Math.floor(Date.now() / 1000),
      ...more,
    },
  };
}

async function start(t: Parameters<typeof startSystem>[0]): Promise<System> {
  const system = await startSystem(t, {
    workers: 0,
    env: { SECRETS_KEY, APP_BASE_URL: 'https://api.example.com' },
    simulator: { instances: [INSTANCE, 'de-outro'] },
  });
  await system.query(`insert into tenants (id, name) values ('b', 'B'), ('c', 'C')`);
  return system;
}

/** A command as an admin of the tenant b. */
function asB(system: System, name: string, args: Record<string, unknown>): Promise<Outcome<unknown>> {
  const command = COMMANDS.find((each) => each.name === name);
  assert.ok(command, name);
  return runCommand(command, system.ctx, args, { id: 'bob', tenant: 'b' });
}

/** What a refusal says, without the name that was asked for. */
const refusal = (outcome: Outcome<unknown>, name: string): string =>
  outcome.ok ? JSON.stringify(outcome) : `${outcome.kind}: ${outcome.message}`.replaceAll(name, 'NAME');

async function secretOf(system: System, name: string): Promise<string> {
  const [row] = await system.query<{ webhook_secret: string }>('select webhook_secret from instances where name = $1', [name]);
  const opened = openSecret({ current: SECRETS_KEY, previous: null }, row?.webhook_secret ?? '', webhookSecretOf(name));
  assert.ok(opened);
  return opened.text;
}

test('Z4 Z2 another tenant takes nothing that was set aside for the installation, by no order of commands, and hears the same of what is not there', async (t) => {
  const system = await start(t);
  assert.equal((await system.webhook(text('vendas', WORDS))).status, 200);
  const adopt = async (name: string, more = {}) => refusal(await asB(system, 'instance adopt', { name, ...more }), name);
  const connect = async (name: string) => refusal(await asB(system, 'instance connect', { name }), name);

  const nothing = await adopt('nao-existe');
  assert.match(nothing, /^not_found: /);
  for (const [name, more] of [
    ['vendas', {}],
    ['aside:1', {}],
    ['vendas', { for: 'default' }],
    ['vendas', { for: 'c' }],
    ['vendas', { for: 'nobody' }],
  ] as const)
    assert.equal(await adopt(name, more), nothing, `${name} ${JSON.stringify(more)}`);

  // Three ways of not being to be had: set aside, of another tenant, known to Evolution only.
  const made = await fetch(`${system.simulator.evolutionUrl}/instance/fetchInstances`, { headers: { apikey: system.simulator.apiKey } });
  const before = await made.text();
  const taken = await connect('vendas');
  assert.match(taken, /^forbidden: /);
  assert.equal(await connect(INSTANCE), taken);
  assert.equal(await connect('de-outro'), taken);
  const after = await fetch(`${system.simulator.evolutionUrl}/instance/fetchInstances`, { headers: { apikey: system.simulator.apiKey } });
  assert.equal(await after.text(), before, 'nothing was made at Evolution');
  assert.equal(await adopt('vendas'), nothing);

  // Whoever has the installation is told, and the trace is in its audit.
  assert.match(
    (await system.query<{ text: string }>('select text from notices order by id desc limit 1'))[0]?.text ?? '',
    /cliente b quis conectar o número aside:1/,
  );
  assert.deepEqual(
    await system.query(`select tenant_id, actor, action, subject from audit_log where action like 'instance.connect%' order by id`),
    [{ tenant_id: 'default', actor: 'bob', action: 'instance.connect_refused', subject: 'vendas' }],
  );
  assert.deepEqual(await system.query(`select from instances where tenant_id = 'b'`), []);
  assert.deepEqual(await system.query(`select from contacts where tenant_id = 'b'`), []);
  // Also when the tenant has the number already: what came before is not its own.
  await system.query(`insert into instances (tenant_id, name) values ('b', 'vendas')`);
  assert.equal(await adopt('vendas'), nothing);
  assert.equal(await adopt('aside:1'), nothing);
  // The installation gives it away knowingly, and its own audit has it too.
  await adminDone(system.ctx, 'instance adopt', { name: 'vendas', for: 'b' });
  assert.deepEqual(await system.query(`select tenant_id from audit_log where action = 'instance.adopt' order by 1`), [
    { tenant_id: 'b' },
    { tenant_id: 'default' },
  ]);
});

test('Z4 D3 a tenant has what the secret of its own number posted: it adopts that, and an erasure takes it', async (t) => {
  const system = await start(t);
  assert.ok((await asB(system, 'instance connect', { name: 'bob-1' })).ok);
  const authorization = `Bearer ${await secretOf(system, 'bob-1')}`;
  const uuid = '0b0c2c9a-6f0e-4d9b-8a57-0000000000b1';
  await system.webhook(text('bob-1', 'antes'), { authorization });
  await system.webhook(text('bob-1', 'SEGREDO depois de refeita', { instanceId: uuid }), { authorization });
  await system.webhook(text('bob-1', 'SEGREDO com o segredo de outro'));
  await system.webhook(text(INSTANCE, 'SEGREDO em nome da instalação'), { authorization });
  assert.deepEqual(await system.query('select tenant_id, name, reason from set_aside order by id'), [
    { tenant_id: 'b', name: 'bob-1', reason: 'foreign_uuid' },
    { tenant_id: 'default', name: 'bob-1', reason: 'secret_of_another' },
    { tenant_id: 'b', name: INSTANCE, reason: 'secret_of_another' },
  ]);
  assert.equal(
    refusal(await asB(system, 'instance adopt', { name: INSTANCE }), INSTANCE),
    refusal(await asB(system, 'instance adopt', { name: 'nao-existe' }), 'nao-existe'),
  );
  const left = () => system.query<{ n: number }>(`select count(*)::int as n from webhook_events where body::text like '%SEGREDO%'`);
  assert.deepEqual(await left(), [{ n: 3 }]);
  const erased = await asB(system, 'erase-contact', { contact: `+${PHONE}`, reason: 'pedido' });
  assert.ok(erased.ok, JSON.stringify(erased));
  assert.deepEqual(await left(), [{ n: 0 }], 'neither under the tenant, nor under whose secret posted it');

  await system.webhook(text('bob-1', 'de outra pessoa', { instanceId: uuid }), { authorization });
  const adopted = await asB(system, 'instance adopt', { name: 'bob-1' });
  assert.ok(adopted.ok, JSON.stringify(adopted));
});

test('Z2 a tenant makes no more numbers at Evolution than it may have, also by many calls at once', async (t) => {
  const system = await start(t);
  await system.query(`update tenants set settings = settings || '{"max_numbers": 3}' where id = 'b'`);
  const outcomes = await Promise.all(Array.from({ length: 6 }, (_, n) => asB(system, 'instance connect', { name: `bob-${n}` })));
  assert.equal(outcomes.filter(({ ok }) => ok).length, 3);
  for (const outcome of outcomes) if (!outcome.ok) assert.match(`${outcome.kind} ${outcome.message}`, /^conflict .*3 numbers.*max_numbers/);
  const [has] = await system.query<{ name: string }>(`select name from instances where tenant_id = 'b' order by id limit 1`);
  assert.ok((await asB(system, 'instance connect', { name: has?.name })).ok, 'what it has it may connect again');
});

test('Z2 what posts under a name that would be another address at Evolution is never made a number, in no way', async (t) => {
  const system = await start(t);
  const names = ['..', '.', '%2e%2e', 'a/b', '../julia-dev'];
  for (const name of names) assert.equal((await system.webhook(text(name, WORDS))).status, 200);
  const asked = async () =>
    (await fetch(`${system.simulator.evolutionUrl}/instance/fetchInstances`, { headers: { apikey: system.simulator.apiKey } })).text();
  const before = await asked();
  for (const [index, name] of names.entries())
    for (const command of COMMANDS.filter(
      (each) => each.name.startsWith('instance ') && 'name' in each.args.shape && each.name !== 'instance forget',
    ))
      for (const called of command.name === 'instance adopt' ? [name, `aside:${index + 1}`] : [name]) {
        const outcome = await runCommand(command, system.ctx, { name: called }, { id: 'ana', tenant: 'default' });
        assert.ok(!outcome.ok, `${command.name} ${called}: ${JSON.stringify(outcome)}`);
      }
  assert.equal(await asked(), before);
  for (const name of NAMES_OF_NONE)
    await assert.rejects(
      system.query('select ensure_instance($1, null)', [name.replaceAll('\u0000', '')]),
      /violates check constraint/,
      name,
    );
  for (const name of NAMES_OF_NUMBERS) await system.query('select ensure_instance($1, null)', [name]);
  assert.deepEqual(
    (await system.query<{ name: string }>('select name from instances order by id'))
      .map(({ name }) => name)
      .filter((name) => name !== INSTANCE),
    NAMES_OF_NUMBERS.filter((name) => name !== INSTANCE),
  );
});

test('Z4 Z6 what there was no room for tells nobody who was erased where: of all that names a number of another tenant the body is left out', async (t) => {
  const system = await start(t);
  await system.query(`insert into instances (tenant_id, name) values ('b', 'bob-1')`);
  await system.query(
    `insert into set_aside (tenant_id, name, reason, first_at, last_at) select 'b', 'n' || n, 'nobodys_number', now(), now() from generate_series(1, 200) n`,
  );
  await system.webhook(text(INSTANCE, 'oi'));
  await adminDone(system.ctx, 'erase-contact', { contact: PHONE, reason: 'pedido' });
  const named = (phone: string) => {
    const body = text(INSTANCE, 'alguém o conhece?');
    body.data.key.remoteJid = `${phone}@s.whatsapp.net`;
    body.data.messageTimestamp -= 86_400;
    return body;
  };
  const shown = [];
  for (const phone of [PHONE, '5511900000001']) {
    await receive(system.ctx, { requestId: `r${phone}`, body: named(phone), suffix: null, from: { instance: 'bob-1' } });
    const { entries } = await adminDone<{ entries: object[] }>(system.ctx, 'ignored list', {}, 'b');
    shown.push({ ...entries[0], id: 0, received_at: 0 });
  }
  assert.deepEqual(shown[0], shown[1], 'nothing tells them apart');
  assert.deepEqual(await system.query(`select distinct body, ignored from webhook_events where tenant_id = 'b'`), [
    { body: { left_out: 'too_many' }, ignored: ['too_many_unknown'] },
  ]);
});
