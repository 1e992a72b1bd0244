/** Erased stays erased: whatever still has something of an erased person brings nothing of it back, and who writes again is somebody new. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { readErasures, writeErasures } from '../../src/backup/erasures.ts';
import { reconcile } from '../../src/crons/reconcile-inbox.ts';
import { applyErasures, eraseContact, erasures as erasureList, listErasures } from '../../src/people/care-calls.ts';
import { COMMANDS, runCommand } from '../../src/admin/all.ts';
import { replyText } from '../../src/operators/reply-texts.ts';
import { returnHandoffs, tellOfGreetings, tellOfHandoffs, tellOfMessages } from '../../src/people/handoffs.ts';
import { store } from '../../src/inbox/receive.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';
import { INSTANCE } from '../support/system.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const ANA = { id: 'cli:ana', tenant: 'default' };
const OURS = '5511900000002@s.whatsapp.net';
const PHONE = '5511912345678';
const LID = '987654321012345';
const JID = `${PHONE}@s.whatsapp.net`;
/** Hers, as any writing of them may stand in a row. */
const SECRETS = [PHONE, LID, 'Marizete', 'cardiopatia', 'Sente-se bem'];

/** Marizete has talked, under both of her addresses; returns the ids of her messages and of ours. */
async function talked(stage: Stage): Promise<{ theirs: string[]; ours: string[] }> {
  const { system, ctx } = stage;
  system.simulator.script([{ text: 'Sente-se bem agora?', repeat: true }]);
  for (const text of ['Oi, sou a Marizete', 'Tenho cardiopatia']) {
    const conversation = await stage.hear(text);
    await turnsUntilDone(ctx, conversation);
    await sendDue(ctx, conversation);
  }
  await system.until(
    async () => (await system.query(`select from messages where author = 'agent' and status <> 'delivered'`)).length === 0,
    'all has arrived',
  );
  await system.simulator.webhooksIdle();
  await system.query(`update contacts set name = 'Marizete';
    insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address) select 'default', id, 1, 'lid', '${LID}' from instances`);
  const rows = await system.query<{ direction: string; id: string }>('select direction, provider_id as id from messages order by id');
  const of = (direction: string) => rows.filter((row) => row.direction === direction).map((row) => row.id);
  return { theirs: of('in'), ours: of('out') };
}

const erase = (stage: Stage) => eraseContact(stage.ctx.db, 'default', { phone: PHONE }, 'cli:ana', 'pedido');

/** Which of her words stand in any row of any table. */
async function left({ system }: Stage): Promise<string[]> {
  const tables = await system.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'bullmq')`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const rows = await system.query<{ row: string }>(`select to_jsonb(t)::text as row from ${name} t`);
    found.push(...SECRETS.filter((word) => rows.some(({ row }) => row.includes(word))).map((word) => `${word} in ${name}`));
  }
  return found;
}

function commandNamed(name: string) {
  const found = COMMANDS.find((each) => each.name === name);
  assert.ok(found);
  return found;
}

async function post(stage: Stage, event: string, data: object): Promise<void> {
  assert.equal((await stage.system.webhook({ event, instance: INSTANCE, sender: OURS, data })).status, 200);
}

const seconds = (ago: number) => Math.floor(Date.now() / 1000) - ago;

/** What may come late of her: of each event that is about messages, known ids and unknown ones. */
function late(theirs: string[], ours: string[]): [event: string, data: object][] {
  const [hers = ''] = theirs;
  const mine = ours.at(-1) ?? '';
  const text = (id: string, ago: number, key: object = {}) => ({
    key: { remoteJid: JID, fromMe: false, id, ...key },
    pushName: 'Marizete',
    messageTimestamp: seconds(ago),
    message: { conversation: 'Tenho cardiopatia' },
  });
  return [
    ['messages.upsert', text(hers, 0)],
    ['messages.upsert', text('NEVERSEEN1', 60)],
    ['messages.upsert', text('NEVERSEEN2', 60, { remoteJid: `${LID}@lid` })],
    ['messages.upsert', text('NEVERSEEN3', 60, { remoteJid: `119000000000001@lid`, remoteJidAlt: JID })],
    ['messages.upsert', text('NEVERSEEN5', 60, { fromMe: true })],
    ['messages.upsert', text(mine, 0, { fromMe: true })],
    ['send.message', text(mine, 0, { fromMe: true })],
    ['messages.upsert', { ...text('REACTION', 60), message: { reactionMessage: { key: { id: mine }, text: '👍' } } }],
    ['messages.update', { keyId: mine, remoteJid: JID, fromMe: true, status: 'READ' }],
    ['messages.update', { keyId: mine, remoteJid: JID, fromMe: true, status: 'DELIVERY_ACK' }],
    ['messages.update', { keyId: 'NEVERSEEN6', remoteJid: JID, fromMe: true, status: 'READ' }],
    ['messages.update', { keyId: mine, remoteJid: JID, fromMe: true, status: 'WEIRD' }],
    [
      'messages.update',
      { keyId: hers, remoteJid: JID, fromMe: false, message: { editedMessage: { message: { conversation: 'cardiopatia grave' } } } },
    ],
    ['messages.delete', { remoteJid: JID, fromMe: false, id: hers }],
    ['messages.delete', { remoteJid: `${LID}@lid`, fromMe: false, id: 'NEVERSEEN7' }],
    [
      'messages.edited',
      { key: { remoteJid: OURS, fromMe: true, id: hers }, type: 'MESSAGE_EDIT', editedMessage: { conversation: 'cardiopatia grave' } },
    ],
  ];
}

test('Z6 late webhooks, echoes, acks, edits and reconciliation bring nothing of an erased contact back, and quiet nobody', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  const { theirs, ours } = await talked(stage);
  assert.deepEqual((await left(stage)).length > 4, true);
  const outcome = await erase(stage);
  assert.equal(outcome.outcome, 'erased');
  assert.deepEqual(await left(stage), []);

  for (const [event, data] of late(theirs, ours)) {
    await post(stage, event, data);
    assert.deepEqual(await left(stage), [], `${event} ${JSON.stringify(data)}`);
  }
  // Evolution still has all of it.
  await system.query(`update instances set created_at = now() - interval '1 day', reconciled_at = null`);
  assert.equal(await reconcile({ ...stage.ctx }, INSTANCE), 0);
  assert.deepEqual(await left(stage), []);
  const [counts] = await system.query(
    `select (select count(*)::int from contacts where erased_at is null) as contacts, (select count(*)::int from messages) as messages,
       (select count(*)::int from early_updates) as early, (select count(*)::int > 5 from webhook_events where body = '{"erased": true}') as traces`,
  );
  assert.deepEqual(counts, { contacts: 0, messages: 0, early: 0, traces: true });
});

test('Z6 of a contact whose every text is a word of its own, none is left in any row of any table: not in the audit, notices, handoffs or answers to the manager', async (t) => {
  const stage = await openStage(t, { env: { GESTOR_WHATSAPP: '5511987650000' } });
  const { system, ctx } = stage;
  const said = new Set<string>();
  /** A word that stands nowhere else. */
  const word = (where: string): string => {
    said.add(`zebrinha${where}`);
    return `zebrinha${where}`;
  };
  const rowsWith = async (): Promise<string[]> => {
    const tables = await system.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    const found = await Promise.all(
      tables.map(async ({ name }) => {
        const rows = await system.query<{ row: string }>(
          `select x::text as row from ${name} x where x::text ~* 'zebrinha|1912345678|${LID}'`,
        );
        return rows.map(({ row }) => `${name}: ${row.slice(0, 400)}`);
      }),
    );
    return found.flat();
  };
  let n = 0;
  const write = (message: object, more: { id?: string; fromMe?: boolean } = {}) => {
    const key = { remoteJid: JID, fromMe: more.fromMe ?? false, id: more.id ?? `CANARY${n++}` };
    return post(stage, 'messages.upsert', { key, pushName: word('nome'), messageTimestamp: seconds(0), message });
  };
  const answer = async () => {
    const [row] = await system.query<{ id: string }>('select min(id) as id from conversations where contact_id = 1');
    await turnsUntilDone(ctx, Number(row?.id));
    await sendDue(ctx, Number(row?.id));
    return Number(row?.id);
  };
  const handsOver = { reason: word('motivo'), summary: word('resumo'), suggestion: word('sugestao') };
  system.simulator.script([
    {
      text: word('resposta'),
      tools: [
        { name: 'remember', input: { fact: word('fato') } },
        { name: 'handoff_to_human', input: handsOver },
      ],
    },
    { text: word('fim'), repeat: true },
  ]);
  await write({ conversation: word('texto') }, { id: 'FIRST' });
  const conversation = await answer();
  await tellOfHandoffs(ctx);
  await write({
    extendedTextMessage: { text: word('resposta2'), contextInfo: { stanzaId: 'NOBODY', quotedMessage: { conversation: word('citacao') } } },
  });
  await write({ documentMessage: { fileName: word('arquivo'), caption: word('legenda'), mimetype: 'application/pdf' } });
  await write({
    templateMessage: {
      hydratedTemplate: { hydratedTitleText: word('titulo'), hydratedContentText: word('corpo'), hydratedFooterText: word('rodape') },
    },
  });
  await write({ pollCreationMessage: { name: word('enquete'), options: [{ optionName: word('opcao') }] } });
  await write({ reactionMessage: { key: { id: 'FIRST' }, text: word('reacao') } });
  await write({ conversation: word('equipe') }, { fromMe: true, id: '3A000000000000000009' });
  await post(stage, 'messages.update', {
    keyId: 'FIRST',
    remoteJid: JID,
    fromMe: false,
    message: { editedMessage: { message: { conversation: word('edicao') } } },
  });
  const edited = (id: string, where: string) =>
    post(stage, 'messages.edited', {
      key: { remoteJid: OURS, fromMe: true, id },
      type: 'MESSAGE_EDIT',
      editedMessage: { conversation: word(where) },
    });
  await edited('FIRST', 'edicao2');
  await edited('NEVERCAME', 'cedo');
  await answer();
  await system.query(`update conversations set forward_due_at = now() - interval '1 minute' where forward_from is not null`);
  await tellOfMessages(ctx);
  const held = await runCommand(commandNamed('handoff list'), ctx, {}, ANA);
  assert.ok(held.ok);
  await system.query(
    `select enqueue_message(jsonb_build_object('tenant', 'default', 'instance', $1::text, 'phone', '5511987650000', 'text', $2::text, 'kind', 'operator'))`,
    [INSTANCE, replyText('handoff list', held.result, (at) => at.toISOString())],
  );
  assert.equal((await runCommand(commandNamed('handoff return'), ctx, { id: conversation, reason: 'resolvido' }, ANA)).ok, true);
  await system.query(`select open_handoff($1, null, $2, null, true, now() - interval '3 days')`, [conversation, word('motivo2')]);
  await system.query(`update messages set created_at = created_at - interval '3 days'`);
  assert.equal(await returnHandoffs(ctx), 1);
  await system.query(
    `select enqueue_message(jsonb_build_object('tenant', 'default', 'instance', $1::text, 'phone', $2::text, 'text', $3::text, 'kind', 'notification', 'send_after', now() + interval '1 day'))`,
    [INSTANCE, PHONE, word('aviso')],
  );
  await system.query(`update instances set greeting_message = (select id from messages where provider_id = '3A000000000000000009')`);
  assert.equal(await tellOfGreetings(ctx), 1);
  await ctx.background.drain(10_000);
  await system.simulator.webhooksIdle();

  // notices go after a month, and what carried them stays
  await system.query(`delete from notices where key like 'handoff-%-told'`);
  const before = (await rowsWith()).join('\n');
  for (const each of said) assert.ok(before.includes(each), `${each} is there to be erased`);
  assert.ok(before.includes('public.notices') && /public\.messages: [^\n]*operator/.test(before));
  assert.equal((await erase(stage)).outcome, 'erased');
  assert.deepEqual(await rowsWith(), []);
});

test('Z6 a webhook that waited in the queue, and a stored one that is replayed, bring nothing of an erased contact back', async (t) => {
  const stage = await openStage(t);
  await talked(stage);
  const [row] = await stage.system.query<{ body: unknown }>(`select body from webhook_events where body::text like '%cardiopatia%'`);
  assert.ok(row);
  assert.equal((await erase(stage)).outcome, 'erased');
  const events = parseWebhook(row.body, null, new Date());
  for (const from of [{ instance: INSTANCE }, { tenant: 'default' }, { ourselves: true as const }])
    assert.deepEqual(
      (await store(stage.ctx, { requestId: 'r', instance: INSTANCE, event: 'messages.upsert', raw: row.body, from, events })).map(
        (each) => each.outcome,
      ),
      ['erased'],
    );
  assert.deepEqual(await left(stage), []);
});

test('Z6 the echo of a send whose end nobody knew is no person, also when it comes a minute after the erasure', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  await talked(stage);
  await system.query(
    `update messages set status = 'uncertain', provider_id = null, wire_id = null, claimed_at = now(), claim = 1 where id = (select max(id) from messages where direction = 'out')`,
  );
  assert.equal((await erase(stage)).outcome, 'erased');
  const back = await stage.hear('Oi, aqui de novo');
  await post(stage, 'messages.upsert', {
    key: { remoteJid: JID, fromMe: true, id: 'LATEECHO' },
    messageTimestamp: seconds(-60),
    message: { conversation: 'Sente-se bem agora?' },
  });
  assert.deepEqual(await system.query('select takeover_until from conversations where id = $1', [back]), [{ takeover_until: null }]);
  await turnsUntilDone(stage.ctx, back);
  await sendDue(stage.ctx, back);
  assert.equal((await system.query(`select from messages where conversation_id = $1 and author = 'agent'`, [back])).length, 1);
});

test('Z6 what is sent after the erasure is somebody new: kept with its traces, answered, and a person of ours quiets the agent there', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  await talked(stage);
  assert.equal((await erase(stage)).outcome, 'erased');
  await system.query(`update erasures set erased_at = erased_at - interval '2 seconds'`);
  const back = await stage.hear('Oi, aqui de novo');
  await turnsUntilDone(stage.ctx, back);
  await sendDue(stage.ctx, back);
  await system.until(
    async () => (await system.query(`select from messages where author = 'agent' and status = 'delivered'`))[0],
    'the answer',
  );
  const [contact] = await system.query(
    `select c.id <> 1 as new, c.erased_at from contacts c join conversations v on v.contact_id = c.id where v.id = $1`,
    [back],
  );
  assert.deepEqual(contact, { new: true, erased_at: null });
  assert.equal((await system.query(`select from webhook_events where body::text like '%aqui de novo%'`)).length, 1);
  await post(stage, 'messages.upsert', {
    key: { remoteJid: JID, fromMe: true, id: 'ANA' },
    messageTimestamp: seconds(0),
    message: { conversation: 'Oi, aqui é a Ana da loja' },
  });
  assert.equal((await system.query('select from conversations where takeover_until > now()')).length, 1);
});

test('Z6 a restored backup: who was erased after it was made is erased in it, once; who came back since is not', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  await talked(stage);
  // As the database is now, so the backup has it: what happens later is known from the list only.
  const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-erasures-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const later = await listAfterErasure(stage);
  assert.ok(later.length >= 6, 'two addresses, and an id for each message');
  assert.ok(!SECRETS.some((secret) => JSON.stringify(later).includes(secret)), 'the list names nobody');
  await writeErasures(dir, 'k'.repeat(32), new Date(), later);
  const read = await readErasures(dir, 'k'.repeat(32));
  assert.deepEqual(read?.all, later);
  await assert.rejects(readErasures(dir, 'x'.repeat(32)), /is refused: it was changed/);
  const file = path.join(dir, 'whats-agents-erasures.json');
  const before = await readFile(file, 'utf8');
  await writeFile(file, before.replace('"kind":"address"', '"kind":"message"'));
  await assert.rejects(readErasures(dir, 'k'.repeat(32)), /is refused: it was changed/);

  assert.ok((await left(stage)).length > 4, 'the backup has her');
  assert.equal(await applyErasures(stage.ctx.db, later, 'restore'), 1);
  assert.deepEqual(await left(stage), []);
  await system.query(`update instances set created_at = now() - interval '1 day', reconciled_at = null`);
  assert.equal(await reconcile({ ...stage.ctx }, INSTANCE), 0);
  assert.deepEqual(await left(stage), []);
  await system.query(`update erasures set erased_at = erased_at - interval '5 seconds'`);
  const aged = await listErasures(stage.ctx.db, null);
  const back = await stage.hear('Oi, aqui de novo');
  assert.equal(await applyErasures(stage.ctx.db, aged, 'restore'), 0);
  assert.equal((await system.query('select from messages where conversation_id = $1', [back])).length, 1);
});

/** What list_erasures tells after an erasure that is taken back at once: the database stays the one of the backup. */
async function listAfterErasure(stage: Stage) {
  const client = new pg.Client({ connectionString: stage.system.databaseUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query(`select erase_contact('default', 1, null, 'cli:ana', 'pedido')`);
    const { rows } = await client.query<{ list: unknown }>('select list_erasures(null) as list');
    await client.query('rollback');
    return erasureList.parse(rows[0]?.list);
  } finally {
    await client.end();
  }
}

test('Z6 what is put aside of before the erasure is not kept beside somebody else’s message either, nor when the person has written again', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  const now = Math.floor(Date.now() / 1000);
  let n = 0;
  const entry = (text: string, ageSeconds: number, key: object): object => ({
    key: { remoteJid: JID, fromMe: false, id: `3EB0BE51DE${String(++n).padStart(8, '0')}`, ...key },
    messageTimestamp: now - ageSeconds,
    message: { conversation: text },
  });
  const post = async (event: string, data: object): Promise<void> => {
    assert.equal((await system.webhook({ event, instance: INSTANCE, sender: OURS, data })).status, 200);
  };
  const group = { remoteJid: '120363000000000001@g.us', participant: JID };
  const other = { remoteJid: '5511988887777@s.whatsapp.net' };
  await post('messages.upsert', entry('sou a Marizete', 3600, {}));
  assert.equal((await erase(stage)).outcome, 'erased');
  await post('messages.upsert', [entry('olá', 0, other), entry('cardiopatia', 3610, group)]);
  assert.deepEqual(await left(stage), [], 'beside a message that is stored');
  await post('messages.upsert', entry('voltei', -2, {}));
  const before = await left(stage);
  await post('messages.upsert', entry('cardiopatia', 3620, group));
  await post('messages.upsert', {
    messages: [{ ...entry('cardiopatia', 0, group), messageTimestamp: { low: now - 3630, high: 0, unsigned: true } }],
  });
  assert.deepEqual(await left(stage), before, 'of somebody who has written again');
  await post('messages.upsert', entry('depois', -3, group));
  const [kept] = await system.query<{ body: object }>('select body from webhook_events order by id desc limit 1');
  assert.match(JSON.stringify(kept?.body), /depois/, 'what was said after the erasure is kept');
});
