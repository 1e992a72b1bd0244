/** How a conversation goes to a person and back: the packet, the reminder, the phone, and who may have it again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handoffsJob } from '../../src/crons/handoffs.ts';
import { startScheduler } from '../../src/scheduler.ts';
import { listAudit } from '../../src/people/audit-calls.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';
import type { SystemOptions } from '../support/system.ts';
import { adminDone } from '../support/admin.ts';

const MANAGER = '5511987650000';

type Hooks = { after(hook: () => Promise<void>): void };

function open(t: Hooks, options: SystemOptions = {}): Promise<Stage> {
  return openStage(t, { slack: 'webhook', ...options });
}

/** One run of the job, as the scheduler runs it. */
function tick(ctx: Stage['ctx']): ReturnType<typeof handoffsJob.run> {
  return handoffsJob.run(ctx, { tick: new Date(), signal: new AbortController().signal });
}

async function say(stage: Stage, text: string): Promise<number> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  return conversation;
}

async function told(stage: Stage, count: number): Promise<string> {
  return stage.system.until(() => stage.system.simulator.slackTexts()[count - 1], `notice ${count}`);
}

/** A person types on the phone of the number; resolves when it is stored. */
async function handset(stage: Stage, text: string): Promise<void> {
  const { id } = stage.system.simulator.owner({ contactId: stage.maria, text });
  await stage.system.until(async () => (await stage.system.query('select 1 from messages where provider_id = $1', [id]))[0]);
}

function texts(stage: Stage): string[] {
  return stage.system.simulator.sends().map((send) => send.text ?? '');
}

async function state(stage: Stage): Promise<Record<string, unknown> | undefined> {
  const rows = await stage.system.query(
    `select status, notified_at is not null as told, reminded_at is not null as reminded, taken_at is not null as taken, returned_by from handoffs order by id desc limit 1`,
  );
  return rows[0];
}

/** As if so much time had passed since the handoff. */
async function later(stage: Stage, minutes: number): Promise<void> {
  await stage.system.query(
    `update handoffs set created_at = created_at - $1::int * interval '1 minute', notified_at = notified_at - $1::int * interval '1 minute'`,
    [minutes],
  );
  await stage.system.query(`update messages set created_at = created_at - $1::int * interval '1 minute'`, [minutes]);
  await stage.system.query(`update conversations set takeover_until = takeover_until - $1::int * interval '1 minute'`, [minutes]);
}

const ASKS = {
  tools: [
    {
      name: 'handoff_to_human',
      input: { reason: 'quer trocar o pedido', summary: 'Pedido 12 veio errado', suggestion: 'Oi Maria, já separei a troca.' },
    },
  ],
};

test('A7 lifecycle: transition line, packet, reminder, a person on the phone, return; each step stored', async (t) => {
  const stage = await open(t);
  stage.system.simulator.script([ASKS, { text: 'Vou chamar a Ana.' }, { match: 'obrigada', text: 'De nada!' }]);
  const conversation = await say(stage, 'Veio o pedido errado');
  assert.deepEqual(texts(stage), ['Vou chamar a Ana.']);
  const packet = await told(stage, 1);
  assert.match(
    packet,
    new RegExp(`^🚨 \\*Uma pessoa é necessária\\* na conversa ${conversation}\\nQuem: Maria \\(\\+5511912345678\\), pelo número julia-dev`),
  );
  assert.match(
    packet,
    /Motivo: quer trocar o pedido\nResumo: Pedido 12 veio errado\nÚltimas mensagens:\n&gt; Cliente: Veio o pedido errado/,
  );
  assert.match(packet, /Sugestão de resposta: Oi Maria, já separei a troca\.\n[^]*devolver \d+/);
  // Slack has it a moment before it is written down that it has.
  await stage.system.until(async () => (await state(stage))?.['told'] === true, 'that people were told');
  assert.deepEqual(await state(stage), { status: 'notified', told: true, reminded: false, taken: false, returned_by: null });

  assert.equal(await tick(stage.ctx), 0, 'told once');
  await later(stage, 11);
  assert.equal(await tick(stage.ctx), 1);
  assert.match(await told(stage, 2), /^🚨 \*Ainda sem ninguém\* há 10 min: conversa/);
  assert.equal(await tick(stage.ctx), 0, 'reminded once');

  await say(stage, 'alguém aí?');
  assert.match(await told(stage, 3), /que está com uma pessoa:\n&gt; alguém aí\?$/);
  await handset(stage, 'Oi Maria, aqui é a Ana');
  assert.deepEqual(await state(stage), { status: 'notified', told: true, reminded: true, taken: true, returned_by: null });
  await say(stage, 'que bom');
  assert.equal(stage.system.simulator.slackTexts().length, 3, 'who is at the phone reads it there');

  await adminDone(stage.ctx, 'handoff return', { id: conversation });
  assert.deepEqual(await state(stage), { status: 'returned', told: true, reminded: true, taken: true, returned_by: 'cli:ana' });
  await say(stage, 'obrigada');
  assert.equal(texts(stage).at(-1), 'De nada!');
});

test('A7 lifecycle: a worker that died before it told anybody: the scheduler tells within its minute; two at once tell it once', async (t) => {
  const stage = await open(t);
  await stage.hear('oi');
  await stage.system.query(`select open_handoff(1, null, 'turn_failed', null, true, now())`);
  await Promise.all([tick(stage.ctx), tick(stage.system.ctx)]);
  assert.match(await told(stage, 1), /Motivo: três tentativas de responder falharam/);
  assert.deepEqual(await stage.system.query(`select count(*)::int as n from notices`), [{ n: 1 }]);
});

test('A7 lifecycle: a running scheduler tells of a handoff without waiting for a minute', async (t) => {
  const stage = await open(t);
  const scheduler = await startScheduler(await stage.system.openContext('scheduler'), []);
  t.after(() => scheduler.stop(1_000));
  await stage.hear('oi');
  await stage.system.query(`select open_handoff(1, null, 'send_failed', null, false, now())`);
  assert.match(await told(stage, 1), /^\*Para olhar\*: conversa/);
});

test('A7 lifecycle: nobody ever wrote: after HANDOFF_TIMEOUT_HOURS the agent has it again, and people hear of it', async (t) => {
  const stage = await open(t);
  stage.system.simulator.script([ASKS, { text: 'Vou chamar a Ana.' }, { match: 'ainda', text: 'Estou aqui.' }]);
  await say(stage, 'Veio o pedido errado');
  await told(stage, 1);
  await later(stage, 23 * 60);
  await tick(stage.ctx);
  assert.equal((await state(stage))?.['status'], 'notified');
  await later(stage, 61);
  // The news of a send may hold the conversation at this moment: it is left to the next look.
  await stage.system.until(async () => (await tick(stage.ctx), (await state(stage))?.['status'] === 'returned'), 'the return');
  assert.deepEqual(await state(stage), { status: 'returned', told: true, reminded: true, taken: false, returned_by: 'timeout' });
  assert.match(await told(stage, 3), /ficou 24 h sem ninguém e voltou para o agente/);
  await say(stage, 'ainda espero');
  assert.equal(texts(stage).at(-1), 'Estou aqui.');
});

test('A2 A7 many old conversations after an outage are one notice, each is listed', async (t) => {
  const stage = await open(t);
  for (let n = 0; n < 7; n++)
    await stage.system.query(
      `select open_handoff((enqueue_message(jsonb_build_object('tenant', 'default', 'instance', 'julia-dev', 'phone', '551195000000' || $1::int, 'text', 'oi', 'kind', 'manual')) ->> 'conversation_id')::bigint,
         null, 'too_old', null, false, now())`,
      [n],
    );
  await Promise.all([tick(stage.ctx), tick(stage.system.ctx)]);
  assert.match(await told(stage, 1), /^\*Para olhar\*: 7 conversas \([\d, ]+\)\nMotivo: as mensagens esperaram demais/);
  assert.deepEqual(await stage.system.query(`select count(*)::int as n from notices`), [{ n: 1 }]);
  assert.deepEqual(await stage.system.query(`select distinct status from handoffs`), [{ status: 'notified' }]);

  // What comes after the notice of a minute is not in it: it waits for the next one instead of being taken for told.
  await stage.system.query(`update handoffs set status = 'open', notified_at = null where id > 3`);
  await stage.system.query(`
    insert into notices (tenant_id, key, kind, text, urgent, due_at, created_at, status)
      select 'default', 'handoffs-too_old-' || to_char(now() at time zone 'UTC' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI'), 'handoff', 'x', false, now(), now(), 'sent'
      from generate_series(0, 2) n on conflict do nothing`);
  await tick(stage.ctx);
  assert.deepEqual(await stage.system.query(`select count(*)::int as n from handoffs where status = 'open'`), [{ n: 4 }]);
  await stage.system.query(`delete from notices`);
  await tick(stage.ctx);
  assert.deepEqual(await stage.system.query(`select distinct status from handoffs`), [{ status: 'notified' }]);
});

test('A6 by SQL as the runbook writes it: the next message is stored, not answered, and forwarded to people', async (t) => {
  const stage = await open(t);
  stage.system.simulator.script([{ text: 'Oi!' }]);
  const conversation = await say(stage, 'oi');
  await stage.system.query(`UPDATE conversations SET controlled_by='human', escalation_reason='Handoff manual' WHERE id=$1`, [
    conversation,
  ]);
  await say(stage, 'e a entrega?');
  assert.deepEqual(texts(stage), ['Oi!']);
  assert.ok((await stage.system.dump()).includes('in contact handed_over(human): e a entrega?'));
  const packet = await told(stage, 1);
  assert.match(packet, /Motivo: Handoff manual\n/);
  assert.match(packet, /Cliente: e a entrega\?/);
  await say(stage, 'oi?');
  assert.match(await told(stage, 2), /que está com uma pessoa:\n&gt; oi\?$/);
  assert.deepEqual(await stage.system.query('select escalation_reason from conversations'), [{ escalation_reason: 'Handoff manual' }]);
});

test('A7 the packet about the manager’s own conversation does not go to the manager; others do when Slack is not there', async (t) => {
  const stage = await openStage(t, { env: { GESTOR_WHATSAPP: MANAGER } });
  const manager = stage.system.simulator.addContact({ name: 'Gestora', phone: MANAGER });
  await stage.hear('oi');
  stage.system.simulator.inbound({ contactId: manager.id, text: 'bom dia' });
  await stage.system.until(async () => (await stage.system.dump()).includes('in contact received: bom dia'));
  await stage.system.query(`select open_handoff(id, null, 'turn_failed', null, true, now()) from conversations`);
  await tick(stage.ctx);
  await stage.system.until(async () => (await stage.system.query(`select 1 from notices where status = 'failed'`))[0]);
  await stage.system.until(async () => (await stage.system.query('select 1 from notices where message_id is not null'))[0]);
  const rows = await stage.system.query(
    `select n.not_manager, n.status, n.error, m.text from notices n left join messages m on m.id = n.message_id order by n.id`,
  );
  assert.equal(rows.length, 2);
  assert.match(String(rows[0]?.['text']), /Quem: Maria/);
  assert.deepEqual(rows[1], { not_manager: true, status: 'failed', error: 'no_channel', text: null });
});

test('I6 X7 /bot off and /bot on from the phone: quiet until the cap, back at once, never before the model', async (t) => {
  const stage = await open(t);
  stage.system.simulator.script([{ text: 'Oi!' }, { match: 'voltou', text: 'Voltei.' }]);
  await say(stage, 'oi');
  await handset(stage, '/bot off');
  const [off] = await stage.system.query<{ minutes: number }>(
    'select round(extract(epoch from takeover_until - now()) / 60)::int as minutes from conversations',
  );
  assert.equal(off?.minutes, 240);
  await handset(stage, 'deixa comigo');
  const [slid] = await stage.system.query<{ minutes: number }>(
    'select round(extract(epoch from takeover_until - now()) / 60)::int as minutes from conversations',
  );
  assert.equal(slid?.minutes, 240, 'other words do not shorten it');
  await say(stage, 'quanto é?');
  assert.deepEqual(texts(stage), ['Oi!']);
  await handset(stage, ' /BOT ON ');
  await say(stage, 'voltou?');
  assert.equal(texts(stage).at(-1), 'Voltei.');
  const read = JSON.stringify(stage.prompts().at(-1));
  assert.match(read, /\[pessoa da equipe\] deixa comigo/);
  assert.doesNotMatch(read, /\/bot/i);
});

test('E9 audit list has the opt-out that a contact wrote, once, and who took the agent out and back on the phone', async (t) => {
  const stage = await open(t);
  stage.system.simulator.script([{ text: 'Oi!' }]);
  await say(stage, 'oi');
  await say(stage, 'não quero mais receber mensagens');
  await say(stage, 'não quero mais receber mensagens');
  await handset(stage, '/bot off');
  await handset(stage, '/bot on');
  const id = async (table: string) => String((await stage.system.query<{ id: string }>(`select id from ${table}`))[0]?.id);
  const entries = await listAudit(stage.ctx.db, 'default', 50, null);
  assert.deepEqual(entries.map(({ actor, action, subject }) => `${actor} ${action} ${subject}`).toReversed(), [
    `contact optout.add contact:${await id('contacts')}`,
    `handset bot.off ${await id('conversations')}`,
    `handset bot.on ${await id('conversations')}`,
  ]);
});

test('A7 X7 /bot on returns a handoff; words about it do not', async (t) => {
  const stage = await open(t);
  stage.system.simulator.script([ASKS, { text: 'Vou chamar a Ana.' }, { match: 'certo', text: 'Combinado.' }]);
  await say(stage, 'Veio o pedido errado');
  await handset(stage, 'depois eu mando /bot on');
  assert.equal((await state(stage))?.['status'], 'notified');
  await handset(stage, '/bot on');
  assert.deepEqual(await state(stage), { status: 'returned', told: true, reminded: false, taken: true, returned_by: 'handset' });
  await say(stage, 'certo');
  assert.equal(texts(stage).at(-1), 'Combinado.');
});

test('X7 scenario 5: a person answers from the phone, the agent keeps quiet and goes on by itself; each message is there once', async (t) => {
  const stage = await open(t);
  stage.system.simulator.script([{ text: 'Oi!' }, { match: 'amanhã', text: 'Até amanhã!' }]);
  await say(stage, 'oi');
  await handset(stage, 'Aqui é a Ana, eu resolvo');
  await say(stage, 'que bom');
  assert.deepEqual(texts(stage), ['Oi!']);
  await stage.system.query(`update conversations set takeover_until = now() - interval '1 second'`);
  await say(stage, 'até amanhã');
  assert.deepEqual(texts(stage), ['Oi!', 'Até amanhã!']);
  assert.deepEqual(
    (await stage.system.dump()).map((line) => line.replace(/ (sent|delivered|read)/, ' sent')),
    [
      'in contact answered: oi',
      'out agent sent: Oi!',
      'out human sent: Aqui é a Ana, eu resolvo',
      'in contact handed_over(takeover): que bom',
      'in contact answered: até amanhã',
      'out agent sent: Até amanhã!',
    ],
  );
});
