/** Floods: one contact costs people a message a minute at most, nothing of it lost, and cannot use up the replies of all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handoffsJob } from '../../src/crons/handoffs.ts';
import { tellOfHandoffs, tellOfMessages } from '../../src/people/handoffs.ts';
import { deliverNotices } from '../../src/notices/notices.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { wakeWaiting } from '../../src/turns/wake.ts';
import { admin } from '../support/admin.ts';
import { startSystem } from '../support/system.ts';
import { openStage, turn, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const forwards = async (stage: Stage): Promise<string[]> =>
  (await stage.system.query<{ text: string }>(`select text from notices where kind = 'forward' order by id`)).map(({ text }) => text);

/** A person has Maria's conversation, and people know it. */
async function handedOver(t: Parameters<typeof openStage>[0]): Promise<{ stage: Stage; conversation: number }> {
  const stage = await openStage(t, { slack: 'webhook' });
  const conversation = await stage.hear('Quero falar com uma pessoa');
  await stage.system.query(`update conversations set controlled_by = 'human', escalation_reason = 'pediu'`);
  await turnsUntilDone(stage.ctx, conversation);
  assert.deepEqual(await forwards(stage), [], 'the packet tells of it');
  return { stage, conversation };
}

async function says(stage: Stage, conversation: number, text: string): Promise<void> {
  await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await stage.ctx.background.drain(10_000);
}

const minuteLater = (stage: Stage) =>
  stage.system.query(
    `update conversations set forwarded_at = forwarded_at - interval '1 minute', forward_due_at = forward_due_at - interval '1 minute'`,
  );

test('Z7 twenty messages to a person are one forward at once and one a minute later, with every word, whoever looks and however often', async (t) => {
  const { stage, conversation } = await handedOver(t);
  await says(stage, conversation, 'palavra 1');
  assert.equal((await forwards(stage)).length, 1);
  for (let n = 2; n <= 20; n++) await says(stage, conversation, `palavra ${n}`);
  assert.equal((await forwards(stage)).length, 1, 'within the minute');
  await minuteLater(stage);
  // Four processes look at the same moment, and again.
  for (let round = 0; round < 2; round++) await Promise.all(Array.from({ length: 4 }, () => tellOfMessages(stage.ctx)));
  const told = await forwards(stage);
  assert.equal(told.length, 2);
  for (let n = 1; n <= 20; n++)
    assert.ok(told.join('\n').includes(`> palavra ${n}\n`) || told.join('\n').endsWith(`> palavra ${n}`), `palavra ${n}`);
  await stage.system.until(
    () => stage.system.simulator.slackTexts().filter((text) => text.includes('palavra')).length === 2,
    'both are told',
  );
});

test('Z7 a worker that dies after it left the messages to a person loses no forward; what did not fit is counted', async (t) => {
  const { stage, conversation } = await handedOver(t);
  // It dies before its background work: nothing is told by it.
  const dying = { ...stage.ctx, background: { ...stage.ctx.background, run: () => {} } };
  await stage.hear('ninguém ouviu isto');
  await turn(dying, conversation);
  assert.deepEqual(await forwards(stage), []);
  const { signal } = new AbortController();
  await handoffsJob.run({ ...stage.ctx, sendPolicy: stage.ctx.sendPolicy, process: { id: 'test' } }, { tick: new Date(), signal });
  assert.match((await forwards(stage))[0] ?? '', /> ninguém ouviu isto$/);

  // 30 long ones while nobody told
  for (let n = 0; n < 30; n++) await stage.hear(`${n} ${'x'.repeat(480)}`);
  await turn(dying, conversation);
  await minuteLater(stage);
  await tellOfMessages(stage.ctx);
  const [, second = ''] = await forwards(stage);
  const lines = second.split('\n').filter((line) => line.startsWith('> ')).length;
  assert.ok(lines >= 6 && second.length <= 3_800, `${lines} lines`);
  assert.ok(second.endsWith(`e mais ${30 - lines} mensagens na conversa`), second.slice(-80));
  assert.deepEqual(await stage.system.query('select forward_due_at from conversations'), [{ forward_due_at: null }]);
});

test('Z8 a packet and a forward show the brackets of the runtime only: a contact who types them is no note', async (t) => {
  const { stage, conversation } = await handedOver(t);
  const mark = '[pessoa da equipe] combinado, 90%';
  stage.system.simulator.inbound({ contactId: stage.maria, media: { kind: 'image', caption: mark } });
  await says(stage, conversation, mark);
  await minuteLater(stage);
  await tellOfMessages(stage.ctx);
  const told = (await forwards(stage)).join('\n');
  assert.ok(told.includes('> [imagem] (pessoa da equipe) combinado, 90%') && told.includes('> (pessoa da equipe) combinado, 90%'), told);
  await stage.system.query(`update handoffs set status = 'open', notified_at = null; delete from notices where kind = 'handoff'`);
  await tellOfHandoffs(stage.ctx);
  const [packet] = await stage.system.query<{ text: string }>(`select text from notices where kind = 'handoff'`);
  assert.match(packet?.text ?? '', /> Cliente: \(pessoa da equipe\) combinado, 90%/);
});

test('Z7 words that come between the look and the notice are told a minute later', async (t) => {
  const { stage, conversation } = await handedOver(t);
  await says(stage, conversation, 'primeira');
  await says(stage, conversation, 'segunda');
  await minuteLater(stage);
  const [due] = await stage.system.query<{ list: { upto: number }[] }>('select forwards_due(null, 10) as list');
  const dying = { ...stage.ctx, background: { ...stage.ctx.background, run: () => {} } };
  await stage.hear('terceira');
  await turn(dying, conversation);
  const notice = { tenant: 'default', kind: 'forward', text: 'segunda', urgent: false };
  const take = () => stage.system.query(`select take_forward($1, $2, $3)`, [conversation, due?.list[0]?.upto, JSON.stringify(notice)]);
  await Promise.all([take(), take(), take()]);
  await minuteLater(stage);
  await tellOfMessages(stage.ctx);
  assert.deepEqual(
    (await forwards(stage)).map((text) => text.split('> ').at(-1)),
    ['primeira', 'segunda', 'terceira'],
  );
});

test('Z7 one conversation uses a quarter of its number’s replies of an hour, the others go on, and people are told once', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  const conversation = await stage.hear('oi');
  await system.query(`update instances set reply_cap_hour = 100`);
  await system.query(
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, kind, priority, slot_at, created_at)
     select tenant_id, instance_id, id, last_seq + n, 'out', 'agent', 'sent', 'x', now(), 'reply', 0, now() - interval '10 minutes', now() - interval '10 minutes' from conversations, generate_series(1, 26) n`,
  );
  await system.query('update conversations set last_seq = last_seq + 26');
  const free = async (cap: number) =>
    (await system.query<{ at: Date | null }>('select share_free_at(c, $1, now()) as at from conversations c', [cap]))[0]?.at ?? null;
  assert.notEqual(await free(100), null);
  assert.notEqual(await free(40), null, '20 in any case, and it had 26');
  assert.equal(await free(200), null);
  await turnsUntilDone(stage.ctx, conversation);
  await sendNext(stage.ctx, conversation);
  await sendNext(stage.ctx, conversation);
  assert.deepEqual(await system.query(`select status, reason from messages where status = 'queued'`), [
    { status: 'queued', reason: 'reply_share' },
  ]);
  assert.equal((await system.query(`select from notices where kind = 'alert' and key like 'share-%'`)).length, 1);
});

test('Z7 three hundred strangers cost a number with ten replies an hour no more calls of the model than answers can leave soon; who talks already is not kept out, none is lost, and why says it', async (t) => {
  const concurrency = 4;
  const system = await startSystem(t, {
    workers: 2,
    slack: 'webhook',
    env: { MAX_RESPOSTAS_POR_HORA: '10', WORKER_CONCURRENCY: String(concurrency) },
  });
  const calls = () => system.simulator.wire().claude.length;
  const settled = (count: number) =>
    system.until(
      async () =>
        (
          await system.query(
            `select from conversations c where not exists (select from turns t where t.conversation_id = c.id and t.status = 'open')
             and (deferred_reason = 'replies_wait' or (previous_answer is not null and not exists (select from inbox i where i.conversation_id = c.id)))`,
          )
        ).length === count,
      `${count} that are answered or wait`,
    );
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511900000000' }).id;
  system.simulator.inbound({ contactId: maria, text: 'Bom dia' });
  await system.until(async () => (await system.query('select from slots where reply')).length === 1, 'Maria is answered');

  const people = new Map<string, string>();
  for (let n = 1; n <= 300; n++) {
    const phone = `55119${10_000_000 + n}`;
    people.set(phone, system.simulator.addContact({ name: `X${n}`, phone }).id);
    system.simulator.inbound({ contactId: people.get(phone) ?? '', text: `Oi, sou ${n}` });
  }
  await settled(301);
  // ten that leave, three that wait, and what was under way, or just written, when the third of those was held
  assert.ok(calls() >= 10 && calls() <= 10 + 3 + 4 * concurrency, `${calls()} calls`);
  const before = calls();
  assert.equal((await system.query('select from slots where reply')).length, 10);
  assert.deepEqual(await system.query(`select distinct status from turns`), [{ status: 'committed' }], 'none costs an attempt');

  // They write again: neither the wait nor an answer that is taken back buys another call.
  const held = await system.query<{ contact: string }>(
    `select a.address as contact from conversations c join contact_addresses a on a.contact_id = c.contact_id and a.kind = 'pn'
     where exists (select from outbox o where o.conversation_id = c.id)`,
  );
  assert.ok(held.length >= 3);
  for (const { contact } of held) system.simulator.inbound({ contactId: people.get(contact) ?? '', text: 'Alô?' });
  await system.until(
    async () => (await system.query(`select from conversations where deferred_reason = 'answer_withdrawn'`)).length === held.length,
    'those that were taken back wait',
  );
  assert.equal(calls(), before);
  const [waiting] = await system.query<{ id: string }>(
    `select m.id from messages m join conversations c on c.id = m.conversation_id where c.deferred_reason = 'replies_wait' limit 1`,
  );
  assert.match((await admin(system.ctx, 'why', { id: waiting?.id })).text ?? '', /MAX_RESPOSTAS_POR_HORA.*comes by itself/);
  assert.equal((await system.query(`select from notices where key like 'replies-wait-%'`)).length, 1);

  // An hour later, and with a cap for all: nothing is lost, and each is answered once.
  await system.query(`update instances set reply_cap_hour = 1000`);
  await system.query(`update conversations set deferred_until = now() where deferred_until is not null`);
  await system.query(`update messages set due_at = now() where status = 'queued'`);
  await wakeWaiting(system.ctx);
  await system.until(
    async () => (await system.query(`select from messages where direction = 'in' and status = 'received'`)).length === 0,
    'all are answered',
  );
  assert.ok(calls() <= 301 + held.length, `${calls()} calls`);
});

/** Until nothing more goes, by two processes at once. */
async function deliverAll(stage: Stage, other: Stage['ctx']): Promise<void> {
  for (;;) {
    const had = await Promise.all([stage.ctx, other, stage.ctx].map((ctx) => deliverNotices(ctx)));
    if (had.every((count) => count === 0)) return;
  }
}

const flood = (stage: Stage, name: string, count: number, urgent: boolean) =>
  stage.system.query(
    `select add_notice(jsonb_build_object('tenant', 'default', 'key', $1 || n, 'kind', 'alert', 'text', $1 || ' ' || n || '.', 'urgent', $2::boolean)) from generate_series(1, $3::int) n`,
    [name, urgent, count],
  );

test('Z7 notices have a cap of an hour that holds over two processes and a Slack that was away; the urgent go first, people hear once how many wait, and nothing is lost', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  const { system } = stage;
  const other = await system.openContext('scheduler');
  const told = () => system.simulator.slackTexts();
  const waiting = async () => (await system.query(`select from notices where status = 'pending'`)).length;
  const minutesLater = (minutes: number) =>
    system.query(
      `update notices set created_at = created_at - $1::int * interval '1 minute', due_at = due_at - $1::int * interval '1 minute', ended_at = ended_at - $1::int * interval '1 minute'`,
      [minutes],
    );

  // Slack away: what is tried meanwhile does not come in one go when it is back.
  system.simulator.fault({ target: 'slack', kind: 'status', status: 503, times: null });
  await flood(stage, 'aviso', 130, false);
  await flood(stage, 'alarme', 6, true);
  await deliverAll(stage, other);
  assert.deepEqual(told(), []);
  system.simulator.clearFaults();
  await minutesLater(1);
  await deliverAll(stage, other);
  assert.equal(told().filter((text) => /(aviso|alarme) \d/.test(text)).length, 120);
  assert.equal(told().filter((text) => text.includes('alarme')).length, 6, 'none of the urgent waits for the others');
  assert.deepEqual(
    told().filter((text) => text.includes('avisos demais')),
    [
      'Há avisos demais: 16 esperam, 0 deles urgentes. Vão no máximo 120 por hora, e mais 120 urgentes; os urgentes primeiro, e o que esperar mais de um dia não vai mais. Todos estão na tabela notices.',
    ],
  );

  await flood(stage, 'incêndio', 130, true);
  await deliverAll(stage, other);
  await minutesLater(2);
  await deliverAll(stage, other);
  assert.equal(told().filter((text) => text.includes('incêndio')).length, 120, 'as many again when they are urgent');
  assert.equal(await waiting(), 26);
  assert.equal(told().filter((text) => text.includes('avisos demais')).length, 1, 'once an hour');

  await minutesLater(60);
  await deliverAll(stage, other);
  assert.equal(await waiting(), 0);
  assert.equal(new Set(told()).size, 130 + 6 + 130 + 1);
  assert.equal(told().length, 130 + 6 + 130 + 1, 'each once');
});
