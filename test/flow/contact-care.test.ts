/** Erasing and exporting a person, on a system that has really talked with that person and with another one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { COMMANDS, runCommand } from '../../src/admin/all.ts';
import { INSTANCE } from '../support/system.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const PHONE = '5511912345678';
const ANA = { id: 'cli:ana', tenant: 'default' };
/** Words that stand nowhere else; the fourth is a mobile of hers as WhatsApp may write it, without the ninth digit. */
const SECRETS = ['cardiopatia', 'Marizete', PHONE, '551187001234', 'alergia a dipirona', 'cadeado', '987654321012345'];

test('D3 erase-contact: no word, name or address of the person is left in any table; the other person, figures and the opt-out stay', async (t) => {
  const stage = await talked(t);
  const { system } = stage;
  const before = await found(stage, SECRETS);
  for (const secret of SECRETS) assert.ok(before.has(secret), `${secret} is there to be erased`);
  const other = await rowsOf(stage, 'João');

  const outcome = await run(stage, 'erase-contact', { contact: `+${PHONE}`, reason: 'pedido por e-mail' });
  assert.ok(outcome.ok, JSON.stringify(outcome));
  assert.deepEqual(await found(stage, SECRETS), new Map());
  assert.deepEqual(await rowsOf(stage, 'João'), other, 'the other person is untouched');
  const [figures] = await system.query<{ turns: number; calls: number }>(
    `select (select count(*)::int from turns t join conversations c on c.id = t.conversation_id where c.jid = 'erased') as turns, (select count(*)::int from model_calls) as calls`,
  );
  assert.ok((figures?.turns ?? 0) > 0 && (figures?.calls ?? 0) > 1, `figures stay: ${JSON.stringify(figures)}`);
  const [audit] = await system.query(`select actor, action, details ->> 'reason' as reason from audit_log where action = 'contact.erase'`);
  assert.deepEqual(audit, { actor: 'cli:ana', action: 'contact.erase', reason: 'pedido por e-mail' });

  // Twice is once; and whoever writes again is somebody new, about whom nothing is known.
  assert.equal((await run(stage, 'erase-contact', { contact: `+${PHONE}`, reason: 'again' })).ok, false);
  const conversation = await stage.hear('Oi, aqui de novo');
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  const last = stage.prompts().at(-1);
  assert.ok(last && !JSON.stringify(last).includes('cardiopatia') && !JSON.stringify(last).includes('dipirona'));
  assert.equal(
    (await system.query(`select from messages where conversation_id = $1 and status in ('sent', 'delivered')`, [conversation])).length,
    1,
  );
});

test('D3 erase-contact: two at once erase once; a message on the wire is waited for; one that comes meanwhile belongs to somebody new', async (t) => {
  const stage = await talked(t);
  const { system } = stage;
  await system.query(`update messages set status = 'sending', lease_until = now() + interval '1 minute' where text like 'Claro%'`);
  const busy = await run(stage, 'erase-contact', { contact: `+${PHONE}`, reason: 'pedido' });
  assert.deepEqual([busy.ok, busy.ok ? null : busy.kind], [false, 'conflict']);
  assert.ok((await found(stage, SECRETS)).size > 3, 'nothing was erased');
  await system.query(`update messages set status = 'sent' where status = 'sending'`);
  const turn = await system.query<{ id: string }>(
    `insert into turns (tenant_id, conversation_id, fence, lease_until, worker, inbound_seq) select tenant_id, id, fence, now() + interval '1 minute', 'w', inbound_seq from conversations order by id limit 1 returning id`,
  );
  const [{ fence } = { fence: 0 }] = await system.query<{ fence: string }>('select fence from conversations order by id limit 1');

  system.simulator.inbound({ contactId: stage.maria, text: 'ainda aí?' });
  const [first, second] = await Promise.all([
    run(stage, 'erase-contact', { contact: 'contact:1', reason: 'pedido' }),
    run(stage, 'erase-contact', { contact: 'contact:1', reason: 'pedido' }),
    // It may be stored and erased before anybody looks: what is waited for is its webhook.
    system.simulator.webhooksIdle(),
  ]);
  const counts = [first, second].map((each) => (each?.ok ? (each.result as { messages: number }).messages : -1));
  assert.ok(counts.includes(0) && counts.some((count) => count >= 4), counts.join());
  const left = await system.query<{ text: string; contact: string; erased: boolean }>(
    `select m.text, c.contact_id as contact, k.erased_at is not null as erased from messages m join conversations c on c.id = m.conversation_id join contacts k on k.id = c.contact_id where c.contact_id <> 2`,
  );
  // It came before the erasure and went with it, or was sent after it and is a new contact's.
  assert.ok(
    left.every((row) => row.text === 'ainda aí?' && !row.erased),
    JSON.stringify(left),
  );
  const [late] = await system.query<{ result: { outcome: string } }>(
    `select complete_turn($1, $2, '{"kind": "answer", "parts": [{"text": "cardiopatia"}]}') as result`,
    [turn[0]?.id, fence],
  );
  assert.equal(late?.result.outcome, 'lost', 'a turn that was under way commits nothing');
});

test('D3 erase-contact: a merge that is under way takes the person elsewhere, and all of it goes; a notice that first failed leaves no copy', async (t) => {
  const stage = await talked(t);
  const { system } = stage;
  await system.query(`
    insert into contacts (tenant_id, name) values ('default', 'Marizete');
    insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address) select 'default', id, 3, 'pn', '5511987009999' from instances;
    insert into notices (tenant_id, key, kind, text, urgent, due_at, created_at, attempts) select 'default', 'handoff-' || id || '-told', 'handoff', 'Marizete', false, now(), now(), 2 from handoffs`);
  await system.query(
    `select enqueue_message(jsonb_build_object('tenant', 'default', 'instance', '${INSTANCE}', 'phone', '5511987654321', 'text', 'Quem: Marizete', 'kind', 'operator', 'idempotency_key', 'notice-' || id || '-1')) from notices`,
  );
  // a caller may use any key: what it sends somebody else is not ours to blank
  await system.query(
    `select enqueue_message(jsonb_build_object('tenant', 'default', 'instance', '${INSTANCE}', 'phone', '5511987654321', 'text', 'Seu pedido saiu', 'kind', 'notification', 'idempotency_key', 'notice-' || id || '-1')) from notices`,
  );
  const merging = new pg.Client({ connectionString: system.databaseUrl });
  await merging.connect();
  await merging.query('begin; select merge_contacts(1, 3)');
  const erasing = run(stage, 'erase-contact', { contact: 'contact:3', reason: 'pedido' });
  const waits = async () =>
    (
      await system.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%erase_contact%'`,
      )
    ).length > 0;
  while (!(await waits()));
  await merging.query('commit');
  await merging.end();
  assert.equal((await erasing).ok, true);
  assert.deepEqual(await found(stage, SECRETS), new Map());
  assert.deepEqual(await system.query(`select status from messages where text = 'Seu pedido saiu'`), [{ status: 'queued' }]);
});

test('D3 export-contact: everything about the person and nothing of another one, as JSON; audited; unknown ones are told', async (t) => {
  const stage = await talked(t);
  const outcome = await run(stage, 'export-contact', { contact: '11 91234-5678' });
  assert.ok(outcome.ok);
  const text = JSON.stringify(outcome.result);
  for (const secret of ['cardiopatia', 'Marizete', PHONE, 'alergia a dipirona', 'cadeado']) assert.ok(text.includes(secret), secret);
  assert.ok(!text.includes('João') && !text.includes('5511987654321'));
  const { messages, turns, opt_outs: optOuts } = outcome.result as { messages: unknown[]; turns: unknown[]; opt_outs: unknown[] };
  assert.deepEqual([messages.length >= 4, turns.length >= 2, optOuts.length], [true, true, 1]);
  assert.equal((await stage.system.query(`select from audit_log where action = 'contact.export' and actor = 'cli:ana'`)).length, 1);
  for (const contact of ['+5511900000000', 'contact:99', 'contact:x'])
    assert.equal((await run(stage, 'export-contact', { contact })).ok, false, contact);
  const stranger = await runCommand(command('export-contact'), stage.ctx, { contact: 'contact:1' }, { id: 'api:eve', tenant: 'other' });
  assert.equal(stranger.ok, false, 'T1: of another tenant');
  const eraser = await runCommand(
    command('erase-contact'),
    stage.ctx,
    { contact: 'contact:1', reason: 'x' },
    { id: 'api:eve', tenant: 'other' },
  );
  assert.equal(eraser.ok, false, 'T1: of another tenant');
});

/** Maria (contact 1, known as Marizete) has talked twice, has a memory, a queued part, a merged lid, a handoff, an opt-out and an early ack; João (contact 2) once. */
async function talked(t: TestContext): Promise<Stage> {
  const stage = await openStage(t);
  const { system } = stage;
  for (const text of ['Oi, sou a Marizete e tenho cardiopatia', 'A senha do cadeado é 1234']) {
    const conversation = await stage.hear(text);
    await turnsUntilDone(stage.ctx, conversation);
    await sendDue(stage.ctx, conversation);
  }
  const joao = system.simulator.addContact({ name: 'João', phone: '5511987654321' }).id;
  const { id } = system.simulator.inbound({ contactId: joao, text: 'Oi, sou o João' });
  const [{ conversation } = { conversation: '0' }] = await system.until(async () => {
    const rows = await system.query<{ conversation: string }>(
      'select conversation_id as conversation from messages where provider_id = $1',
      [id],
    );
    return rows.length > 0 ? rows : null;
  });
  await turnsUntilDone(stage.ctx, Number(conversation));
  await sendDue(stage.ctx, Number(conversation));
  // Acks that come later would bring the address back, as Evolution may do in life: they are gone in a week.
  await system.until(
    async () => (await system.query(`select from messages where author = 'agent' and status in ('sent', 'sending')`)).length === 0,
    'all acks',
  );
  await system.simulator.webhooksIdle();
  await system.query(`
    update contacts set name = 'Marizete' where id = 1;
    select remember_fact(1, '{"fact": "alergia a dipirona"}', 1, now());
    insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address) select 'default', i.id, 1, a.kind, a.address from instances i, (values ('lid', '987654321012345'), ('pn', '5511987001234')) a (kind, address);
    select open_handoff(1, null, 'wants_person', 'fala da cardiopatia', false, now());
    select add_opt_out(1, 'agent');
    insert into tool_calls (tenant_id, turn_id, conversation_id, name, input, output, ok, ms) select 'default', min(id), 1, 'remember', '{"fact": "alergia a dipirona"}', 'ok', true, 1 from turns;
    insert into early_updates (tenant_id, instance_id, provider_id, event) select 'default', id, 'X', '{"kind": "ack", "remoteJid": "${PHONE}@s.whatsapp.net"}' from instances;
    insert into webhook_events (instance, event, body) values ('${INSTANCE}', 'chats.update', '{"data": [{"remoteJid": "551187001234@s.whatsapp.net"}]}');
    select enqueue_message('{"tenant": "default", "instance": "${INSTANCE}", "phone": "${PHONE}", "text": "Claro: o cadeado", "kind": "notification", "send_after": "2031-01-01T00:00:00Z"}')`);
  return stage;
}

/** Which of these words stand in any row of any table, and where. */
async function found({ system }: Stage, words: string[]): Promise<Map<string, string[]>> {
  const places = new Map<string, string[]>();
  const tables = await system.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'bullmq')`,
  );
  for (const { name } of tables) {
    const rows = await system.query<{ row: string }>(`select to_jsonb(t)::text as row from ${name} t`);
    for (const word of words) if (rows.some(({ row }) => row.includes(word))) places.set(word, [...(places.get(word) ?? []), name]);
  }
  return places;
}

/** Everything that is João's. */
async function rowsOf({ system }: Stage, name: string): Promise<unknown[]> {
  return system.query(
    `select k.name, (select json_agg(fact) from contact_facts f where f.contact_id = k.id) as facts, a.address, c.jid, m.text, m.status, t.transcript from contacts k join contact_addresses a on a.contact_id = k.id join conversations c on c.contact_id = k.id
     join messages m on m.conversation_id = c.id left join turns t on t.id = m.turn_id where k.name = $1 order by m.id`,
    [name],
  );
}

function command(name: string) {
  const found = COMMANDS.find((each) => each.name === name);
  assert.ok(found);
  return found;
}

function run(stage: Stage, name: string, args: Record<string, unknown>) {
  return runCommand(command(name), stage.ctx, args, ANA);
}
