/** W9: no 200 without a trace. What is put aside or finds no place leaves an entry with its reason, which is counted, found and replayed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { receive } from '../../src/inbox/receive.ts';
import { eraseContact } from '../../src/people/care-calls.ts';
import type { Poster } from '../../src/inbox/calls.ts';
import { admin, adminDone } from '../support/admin.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const MARIA = '5511912345678@s.whatsapp.net';
const GROUP = '120363043111111111@g.us';

type Listed = {
  reasons: { reason: string; webhooks: number; whole: number; because: string }[];
  entries: { id: number; instance: string | null; event: string; reasons: string[]; messages: string[]; whole: boolean }[];
};
type Replayed = { webhooks: number; outcomes: Record<string, number>; next: number | null };

function upsert(
  id: string,
  text: string,
  more: { jid?: string; instance?: string | null; participant?: string } = {},
): Record<string, unknown> {
  const { jid = MARIA, instance = INSTANCE, participant } = more;
  return {
    event: 'messages.upsert',
    ...(instance === null ? {} : { instance }),
    data: {
      key: { remoteJid: jid, fromMe: false, id, ...(participant === undefined ? {} : { participant }) },
      message: { conversation: text },
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
}

async function posted(system: System, body: unknown): Promise<void> {
  assert.equal((await system.webhook(body)).status, 200, JSON.stringify(body).slice(0, 200));
}

const listed = (system: System, args: Record<string, unknown> = {}, tenant?: string) =>
  adminDone<Listed>(system.ctx, 'ignored list', args, tenant);
const sums = async (system: System, tenant?: string) =>
  (await listed(system, {}, tenant)).reasons.map(({ reason, webhooks, whole }) => `${webhooks} ${reason}, ${whole} whole`);

/** julia_webhooks_ignorados_total of a reason. */
async function counted(system: System, reason: string): Promise<number> {
  const metrics = await (await fetch(`${system.url}/metrics`)).text();
  const line = metrics.split('\n').find((each) => each.startsWith('julia_webhooks_ignorados_total') && each.includes(`reason="${reason}"`));
  return Number(line?.split(' ').at(-1) ?? 0);
}

test('W9 what is put aside is listed by reason, found by its id, counted, and purged with the webhooks; noise is counted only', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  for (let repeat = 0; repeat < 5; repeat++) await posted(system, upsert('G1', 'churrasco sábado?', { jid: GROUP, participant: MARIA }));
  await posted(system, upsert('S1', 'foto do dia', { jid: 'status@broadcast' }));
  await posted(system, { event: 'mensagens\u202E.novas', instance: INSTANCE, data: { a: 'texto' } });
  await posted(system, [
    upsert('M1', 'oi'),
    upsert('G2', 'e aí', { jid: GROUP }),
    { event: 'contacts.update', instance: INSTANCE, data: [] },
    7,
  ]);
  for (const event of ['contacts.update', 'chats.upsert', 'presence.update', 'call', 'labels.edit'])
    await posted(system, { event, instance: INSTANCE, data: { id: GROUP } });
  assert.deepEqual(await system.dump(), ['in contact received: oi']);

  assert.deepEqual(await sums(system), ['6 group, 6 whole', '1 status, 1 whole', '1 unknown_event, 1 whole', '1 unreadable, 1 whole']);
  const { entries } = await listed(system, { reason: 'group', limit: 2 });
  assert.deepEqual(
    entries.map(({ event, instance, reasons, messages }) => ({ event, instance, reasons, messages })),
    [
      { event: 'messages.upsert', instance: INSTANCE, reasons: ['group'], messages: ['G2'] },
      { event: 'messages.upsert', instance: INSTANCE, reasons: ['group'], messages: ['G1'] },
    ],
  );
  const { text } = await admin(system.ctx, 'ignored list');
  assert.match(text ?? '', / 6 {2}group: it is of a group, and only people are answered; the last at 20/);
  assert.match(text ?? '', /"mensagens.novas" on "julia-dev": unknown_event/);
  assert.deepEqual((await listed(system, { instance: 'outra' })).entries, []);
  const why = await admin(system.ctx, 'why', { id: 'G2' });
  assert.match(
    why.ok ? '' : why.message,
    /^no message G2 is stored: it came at .* on julia-dev and was put aside because it is of a group/,
  );
  const status = await admin(system.ctx, 'status');
  assert.match(status.text ?? '', /NO PLACE: of the webhooks of the last day 2 could not be placed/, 'not the groups');
  const never = await admin(system.ctx, 'why', { id: 'NEVER' });
  assert.match(never.ok ? '' : never.message, /^there is no message NEVER /);
  assert.deepEqual(
    await Promise.all(['group', 'status', 'unknown_event', 'unreadable', 'contacts', 'call'].map((each) => counted(system, each))),
    [7, 1, 1, 1, 2, 1],
  );

  const again = await adminDone<Replayed>(system.ctx, 'ignored replay', { reason: 'group' });
  assert.deepEqual(again, { reason: 'group', webhooks: 6, outcomes: { ignored: 6 }, next: null });
  const one = await admin(system.ctx, 'replay', { id: entries[1]?.id });
  assert.match(one.ok ? '' : one.message, /holds nothing that can be replayed; it was put aside because it is of a group, and only people/);
  assert.deepEqual(await system.dump(), ['in contact received: oi']);
  assert.deepEqual((await sums(system))[0], '6 group, 6 whole', 'each keeps its one entry');

  await system.query(`update webhook_events set received_at = now() - interval '8 days'`);
  await system.query(`select purge_old('{"webhooks": 7}', 1000)`);
  assert.deepEqual(await listed(system), { reasons: [], entries: [] });
});

test('W9 I19 what finds its place at a replay is stored once, answered when it is young, and its entry is over', async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ match: '', text: 'Certo!', repeat: true }]);
  const hour = 3_600;
  const of = (id: string, words: string, secondsAgo: number, jid = MARIA) => {
    const body = upsert(id, words, { instance: null, jid });
    (body['data'] as Record<string, unknown>)['messageTimestamp'] = Math.floor(Date.now() / 1000) - secondsAgo;
    return body;
  };
  await posted(system, of('OLD', 'de ontem', 24 * hour, '5511955554444@s.whatsapp.net'));
  await posted(system, of('NEW', 'agora', 0));
  await posted(system, { event: 'messages.upsert', data: { key: { id: 'NOBODY' }, message: { conversation: '?' } } });
  assert.deepEqual(await sums(system), ['2 no_instance, 2 whole', '1 unknown_chat, 1 whole']);
  assert.deepEqual(await system.dump(), []);
  // As after a release that reads the number from elsewhere: here it is written into what is kept.
  await system.query(`update webhook_events set body = body || jsonb_build_object('instance', $1::text)`, [INSTANCE]);
  const replays = await Promise.all([1, 2].map(() => adminDone<Replayed>(system.ctx, 'ignored replay', { reason: 'no_instance' })));
  const outcomes = replays.map(({ outcomes: each }) => (each['stored'] ?? 0) + (each['duplicate'] ?? 0));
  assert.ok(outcomes.every((each) => each <= 2) && replays.reduce((sum, each) => sum + (each.outcomes['stored'] ?? 0), 0) === 2);
  await system.until(async () => (await system.dump()).some((line) => line.startsWith('out agent delivered')), 'the answer');
  await system.until(async () => (await system.dump()).includes('in contact skipped(too_old): de ontem'), 'the old one is a person’s');
  assert.equal((await adminDone<Replayed>(system.ctx, 'ignored replay', { reason: 'no_instance' })).webhooks, 0);
  assert.deepEqual(
    (await system.dump()).filter((line) => line.startsWith('in')),
    ['in contact skipped(too_old): de ontem', 'in contact answered: agora'],
  );
  assert.equal(system.simulator.sends().length, 1, 'answered once');
  assert.deepEqual(await sums(system), ['1 unknown_chat, 1 whole']);
  assert.equal((await admin(system.ctx, 'why', { id: 'NEW' })).ok, true);
  // Two at once share the entries; each is audited with what it took.
  const audited = await system.query<{ actor: string; subject: string; webhooks: number }>(
    `select actor, subject, details -> 'webhooks' as webhooks from audit_log where action = 'ignored.replay' order by id limit 2`,
  );
  assert.ok(audited.every(({ actor, subject }) => actor === 'cli:ana' && subject === 'no_instance'));
  const counts = (each: { webhooks: number }[]) => each.map(({ webhooks }) => webhooks).toSorted((a, b) => a - b);
  assert.deepEqual(counts(audited), counts(replays));
});

test('W9 Z10 entries belong to the tenant of the number: another one neither lists nor replays nor finds them', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(
    `insert into tenants (id, name) values ('vizinho', 'Vizinho'); insert into instances (tenant_id, name) values ('vizinho', 'do-vizinho')`,
  );
  await posted(system, upsert('G1', 'nosso', { jid: GROUP }));
  // The neighbour's own, as its own secret posts it.
  const events = [{ kind: 'ignored', reason: 'group', kept: true, providerId: 'G9', instance: 'do-vizinho', instanceId: null }];
  const nameless = [{ kind: 'ignored', reason: 'unknown_chat', kept: true, instance: '', instanceId: null }];
  const from = { instance: 'do-vizinho' };
  await system.query(`select record_inbound($1, '{}')`, [
    JSON.stringify([
      { raw: upsert('G9', 'dele', { jid: GROUP, instance: 'do-vizinho' }), instance: 'do-vizinho', event: 'messages.upsert', from, events },
      { raw: { event: 'messages.upsert' }, instance: null, event: 'messages.upsert', from, events: nameless },
    ]),
  ]);
  assert.deepEqual(await sums(system), ['1 group, 1 whole']);
  assert.deepEqual(await sums(system, 'vizinho'), ['1 group, 1 whole', '1 unknown_chat, 1 whole']);
  assert.deepEqual(
    (await listed(system, {}, 'vizinho')).entries.flatMap(({ messages }) => messages),
    ['G9'],
  );
  assert.deepEqual(await sums(system, 'niemand'), []);
  const [ours] = (await listed(system)).entries;
  assert.equal((await adminDone<Replayed>(system.ctx, 'ignored replay', { reason: 'group' }, 'vizinho')).webhooks, 1);
  const stolen = await admin(system.ctx, 'replay', { id: ours?.id }, 'vizinho');
  assert.equal(stolen.ok ? null : stolen.kind, 'not_found');
  const why = await admin(system.ctx, 'why', { id: 'G1' }, 'vizinho');
  assert.match(why.ok ? '' : why.message, /^there is no message G1 /);
  // A batch in which the neighbour names our number: whoever replays it speaks for their own numbers only.
  await system.query(`select record_inbound($1, '{}')`, [
    JSON.stringify([
      {
        raw: [upsert('G8', 'x', { jid: GROUP, instance: 'do-vizinho' }), upsert('F1', 'forjada')],
        instance: 'do-vizinho',
        event: 'messages.upsert',
        from,
        events,
      },
    ]),
  ]);
  await adminDone(system.ctx, 'ignored replay', { reason: 'group' }, 'vizinho');
  assert.deepEqual(await system.dump(), [], 'nothing of it is ours');
});

test('W9 I19 a replay of what came before its number had a secret of its own is that number’s', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await posted(system, upsert('A', 'oi'));
  const [row] = await system.query<{ id: number }>('select id::int from webhook_events');
  await system.query(
    `update instances set webhook_secret = 'sealed', webhook_secret_since = now() - interval '2 hours'; delete from messages; update webhook_events set received_at = now() - interval '1 day'`,
  );
  const { results } = await adminDone<{ results: { outcome: string }[] }>(system.ctx, 'replay', { id: row?.id });
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['stored'],
  );
  assert.deepEqual(await system.query('select from set_aside'), []);
});

test('Z4 W9 a replay takes nothing that was set aside or forgotten, nor what there was no room for', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(
    `insert into instances (name, webhook_secret, webhook_secret_since) values ('num-b', 'sealed', now() - interval '2 hours')`,
  );
  const off = upsert('F2', '/bot off', { instance: 'num-b' });
  Object.assign((off['data'] as { key: object }).key, { fromMe: true });
  const forged = [upsert('F1', 'forjada', { instance: 'num-b' }), off];
  await posted(system, forged);
  // What is forgotten is put aside without an entry, and is no more to be had than what waits.
  await system.query('update set_aside set forgotten_at = now()');
  await posted(system, [upsert('G1', 'churrasco?', { jid: GROUP, instance: 'num-b' }), ...forged]);
  const rows = await system.query<{ id: number }>(`select id::int from webhook_events order by id`);
  assert.equal(rows.length, 2);
  for (const { id } of rows) {
    const one = await admin(system.ctx, 'replay', { id, force: true, reason: 'teste' });
    assert.match(one.ok ? JSON.stringify(one) : `${one.kind} ${one.message}`, /^conflict .*set aside.*instance adopt/);
  }
  // Nor where there was no room for one more name: it stays an entry, without its body.
  await system.query(
    `delete from set_aside a where not exists (select from webhook_events w where w.aside_id = a.id);
     update set_aside set name = 'num-c', forgotten_at = null;
     insert into set_aside (name, reason, first_at, last_at) select 'n' || n, 'nobodys_number', now(), now() from generate_series(1, 199) n`,
  );
  await posted(system, forged);
  const full = await adminDone<Replayed>(system.ctx, 'ignored replay', { reason: 'too_many_unknown' });
  assert.deepEqual(full.outcomes, {});
  assert.deepEqual(await system.query(`select distinct body from webhook_events where 'too_many_unknown' = any (ignored)`), [
    { body: { left_out: 'too_many' } },
  ]);
  assert.deepEqual(await system.dump(), []);
});

test('Z4 a replay says what its secret said when it was posted, whoever replays it, however often', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(
    `insert into instances (name, webhook_secret, webhook_secret_since) values ('num-b', 'sealed', now() - interval '2 days'), ('num-d', 'sealed', now() - interval '2 days')`,
  );
  const bodyOf = (id: string) => upsert(id, `palavras ${id}`, { instance: null });
  const post = (id: string, from: Poster) => receive(system.ctx, { requestId: crypto.randomUUID(), body: bodyOf(id), suffix: null, from });
  const said: [id: string, from: Poster, of: string, outcome: string][] = [
    ['N1', { tenant: 'default' }, 'julia-dev', 'stored'],
    ['N2', { tenant: 'default' }, 'num-b', 'set_aside'],
    ['N3', { instance: 'num-b' }, 'num-b', 'stored'],
    ['N4', { instance: 'num-b' }, 'julia-dev', 'set_aside'],
    ['N5', { instance: 'num-b' }, 'num-d', 'set_aside'],
    ['N6', { tenant: 'default' }, 'num-e', 'stored'],
  ];
  for (const [id, from] of said) await post(id, from);
  // As after a release that finds the number elsewhere; and num-e has got its first secret since.
  for (const [id, , of] of said)
    await system.query(
      `update webhook_events set body = body || $2, received_at = received_at - interval '1 day' where body -> 'data' -> 'key' ->> 'id' = $1`,
      [id, JSON.stringify({ instance: of })],
    );
  await system.query(
    `insert into instances (name, webhook_secret, webhook_secret_since) values ('num-e', 'sealed', now() - interval '2 hours')`,
  );
  const entries = await system.query<{ id: number }>('select id::int from webhook_events order by id');
  for (const [index, [id, , , outcome]] of said.entries()) {
    const once = await admin(system.ctx, 'replay', { id: entries[index]?.id, force: true, reason: 'teste' });
    assert.deepEqual(once.ok && (once.result as { results: { outcome: string }[] }).results.map((each) => each.outcome), [outcome], id);
  }
  // What a replay has put aside is kept as what it is, and adopted by a person only.
  const copies = await system.query<{ id: number; aside: boolean }>(
    `select id::int, aside_id is not null as aside from webhook_events where request_id like 'replay-%' order by id`,
  );
  assert.deepEqual(
    copies.map(({ aside }) => aside),
    said.map(([, , , outcome]) => outcome === 'set_aside'),
  );
  for (const { id, aside } of copies) if (aside) assert.equal((await admin(system.ctx, 'replay', { id })).ok, false);
  assert.deepEqual(
    (await system.dump()).toSorted(),
    ['N1', 'N3', 'N6'].map((id) => `in contact received: palavras ${id}`),
  );
});

test('W9 Z6 what a person wrote into a group goes with the person, and what comes of it later is not kept', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await posted(system, upsert('M1', 'oi'));
  await posted(system, upsert('G1', 'tenho cardiopatia', { jid: GROUP, participant: MARIA }));
  await posted(system, upsert('G2', 'de outra pessoa', { jid: GROUP, participant: '5511955554444@s.whatsapp.net' }));
  await eraseContact(system.ctx.db, 'default', { phone: '5511912345678' }, 'cli:ana', 'pedido');
  await posted(system, upsert('G3', 'cardiopatia de novo', { jid: GROUP, participant: MARIA }));
  const rows = await system.query<{ body: unknown }>('select body from webhook_events order by id');
  assert.deepEqual(
    rows.map(({ body }) => JSON.stringify(body).includes('de outra pessoa')),
    [true, false],
  );
  assert.ok(!JSON.stringify(rows).includes('cardiopatia') && !JSON.stringify(rows).includes('5511912345678'));
  assert.deepEqual(await sums(system), ['2 group, 1 whole']);
});

test('W9 a forwarder’s wrapping is opened, each event inside is its own, and what is stored has no secret and can be replayed', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const secret = { ...upsert('S', 'em texto'), apikey: 'instance-token', extra: 'x'.repeat(70_000) };
  const bodies: unknown[] = [
    { headers: { host: 'n8n' }, params: {}, query: {}, body: upsert('A', 'n8n'), webhookUrl: 'https://x', executionMode: 'production' },
    [{ json: { body: upsert('B', 'item 1') } }, { json: { body: upsert('C', 'item 2') } }],
    { event: 'forwarded', data: upsert('D', 'dados') },
    { payload: upsert('E', 'carga') },
    [[upsert('F', 'lista')], [upsert('G', 'grupo', { jid: GROUP }), { event: 'contacts.update', instance: INSTANCE }]],
    JSON.stringify(JSON.stringify(secret)),
    { Records: [{ body: JSON.stringify(upsert('H', 'fila')) }] },
  ];
  for (let repeat = 0; repeat < 2; repeat++) for (const body of bodies) await posted(system, body);
  assert.deepEqual(
    await system.dump(),
    ['n8n', 'item 1', 'item 2', 'dados', 'carga', 'lista', 'em texto', 'fila'].map((text) => `in contact received: ${text}`),
  );
  assert.equal(await counted(system, 'contacts'), 2);
  assert.deepEqual(await sums(system), ['2 group, 2 whole']);
  const stored = JSON.stringify(await system.query('select body from webhook_events'));
  assert.ok(!stored.includes('instance-token') && stored.includes('[removed]'));
  const [row] = await system.query<{ id: number }>(`select id::int from webhook_events where body::text like '%em texto%' limit 1`);
  await system.query('delete from messages');
  await adminDone(system.ctx, 'replay', { id: row?.id });
  assert.deepEqual(await system.dump(), ['in contact received: em texto'], 'what was cut of it is no part of the message');
});

test('W9 H11 with the database away, what leaves an entry is kept by the queue or refused with 503, and noise is 200 all the same', async (t) => {
  for (const queue of ['redis', 'postgres'] as const) {
    const system = await startSystem(t, { workers: 0, queue });
    const [{ name } = { name: '' }] = await system.query<{ name: string }>('select current_database() as name');
    const away = { message: 'the database is away' };
    const { db, inbox } = system.ctx;
    assert.ok(name !== '' && db && inbox);
    const call = inbox.add.bind(inbox);
    const { DatabaseAway } = await import('../../src/db/failures.ts');
    inbox.add = () => Promise.reject(new DatabaseAway('record_inbound', away.message));
    const status = async (body: unknown) => (await system.webhook(body)).status;
    assert.equal(await status(upsert('G1', 'no grupo', { jid: GROUP })), queue === 'redis' ? 200 : 503);
    assert.equal(await status({ event: 'no.such.event', instance: INSTANCE }), queue === 'redis' ? 200 : 503);
    assert.equal(await status({ event: 'contacts.update', instance: INSTANCE, data: [] }), 200);
    inbox.add = call;
    if (queue === 'postgres') continue;
    await system.addWorker();
    await system.until(async () => (await sums(system)).length === 2, 'the worker has stored them');
    assert.deepEqual(await sums(system), ['1 group, 1 whole', '1 unknown_event, 1 whole']);
  }
});
