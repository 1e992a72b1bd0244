/** Opt-outs by each way: they hold from the moment in which they are written down, are confirmed once, and outlive an erasure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminDone } from '../support/admin.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const PHONE = '5511912345678';

async function say(stage: Stage, text: string): Promise<number> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  return conversation;
}

/** A message that nobody asked for, after its lane was tried. */
async function propose(stage: Stage, text: string, kind = 'campaign', phone = PHONE): Promise<string> {
  const queued = await stage.ctx.db.call('enqueue_message', { p_request: { tenant: 'default', instance: 'julia-dev', phone, text, kind } });
  const { id, conversation_id: lane } = queued as { id: number; conversation_id: number };
  await sendDue(stage.ctx, lane);
  const [row] = await stage.system.query<{ state: string }>(
    `select status || coalesce('(' || reason || ')', '') as state from messages where id = $1`,
    [id],
  );
  return row?.state ?? '';
}

function texts(stage: Stage): string[] {
  return stage.system.simulator.sends().map((send) => send.text ?? '');
}

test('O13 opt-out by message: every proactive kind is blocked, confirmed once without the model, and the contact is still answered', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ match: 'horário', text: 'Das 9 às 18.' }]);
  await say(stage, 'PARE de me mandar mensagem');
  assert.equal(texts(stage).length, 1);
  assert.match(texts(stage)[0] ?? '', /não vai mais receber mensagens nossas/);
  for (const kind of ['campaign', 'follow_up', 'notification', 'manual'])
    assert.equal(await propose(stage, `oi ${kind}`, kind), 'blocked(opt_out)');
  await say(stage, 'SAIR');
  assert.equal(texts(stage).length, 1, 'confirmed once');
  assert.ok((await stage.system.dump()).includes('in contact skipped(opted_out_already): SAIR'));
  assert.equal(stage.prompts().length, 0);
  await say(stage, 'qual o horário?');
  assert.equal(texts(stage).at(-1), 'Das 9 às 18.');
  assert.deepEqual(await stage.system.query('select source from opt_outs where revoked_at is null'), [{ source: 'message' }]);
});

test('O13 opt-out: a refusal of an offer is none', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ match: 'obrigado', text: 'Tudo bem!' }]);
  await say(stage, 'não, obrigado');
  assert.deepEqual(await stage.system.query('select 1 from opt_outs'), []);
  assert.match(await propose(stage, 'oi'), /^(sent|delivered)$/);
});

test('O13 resubscribe: VOLTAR is explicit, confirmed and logged; to somebody else it is a word', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ match: 'voltar', text: 'Voltar para onde?' }]);
  await say(stage, 'voltar');
  assert.equal(texts(stage).at(-1), 'Voltar para onde?');
  await say(stage, 'sair');
  assert.equal(await propose(stage, 'oi'), 'blocked(opt_out)');
  await say(stage, 'VOLTAR');
  assert.match(texts(stage).at(-1) ?? '', /volta a receber/);
  assert.match(await propose(stage, 'oi de novo'), /^(sent|delivered)$/);
  assert.deepEqual(await stage.system.query(`select actor, action from audit_log where action like 'optout%' order by id`), [
    { actor: 'contact', action: 'optout.add' },
    { actor: 'contact', action: 'optout.revoke' },
  ]);
  await say(stage, 'sair');
  assert.match(texts(stage).at(-1) ?? '', /não vai mais receber/, 'a new one is confirmed again');
});

test('O13 out of order: of an opt-out and a resubscription the one that was written last counts', async (t) => {
  const stage = await openStage(t);
  await stage.hear('sair', { ageMs: 60_000 });
  await stage.hear('voltar', { ageMs: 120_000 });
  assert.deepEqual(await stage.system.query('select source from opt_outs where revoked_at is null'), [{ source: 'message' }]);
  await stage.hear('voltar', { ageMs: 30_000 });
  await stage.hear('sair', { ageMs: 40_000 });
  assert.deepEqual(await stage.system.query('select source from opt_outs where revoked_at is null'), []);
});

test('O13 opt-out in a conversation that is paused, or a person’s, holds at once', async (t) => {
  const stage = await openStage(t);
  const conversation = await stage.hear('oi');
  await stage.system.query(`update conversations set controlled_by = 'human'`);
  await turnsUntilDone(stage.ctx, conversation);
  await stage.system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'x', 'manual')`);
  await stage.hear('sair');
  assert.deepEqual(await stage.system.query('select source from opt_outs'), [{ source: 'message' }]);
});

test('O13 optout list, add, remove: by command, by SQL, of a number that nobody has yet, and of an erased contact that comes again', async (t) => {
  const stage = await openStage(t);
  await stage.hear('oi');
  assert.deepEqual(await adminDone(stage.ctx, 'optout add', { phone: '(11) 91234-5678', reason: 'por telefone' }), {
    changed: true,
    contact_id: 1,
  });
  assert.deepEqual(await adminDone(stage.ctx, 'optout add', { phone: PHONE }), { changed: false, contact_id: 1 });
  assert.equal(await propose(stage, 'um'), 'blocked(opt_out)');
  assert.deepEqual(await adminDone(stage.ctx, 'optout remove', { phone: PHONE, reason: 'pediu por e-mail' }), {
    changed: true,
    contact_id: 1,
  });
  assert.match(await propose(stage, 'dois'), /^(sent|delivered)$/);
  await stage.system.query(`insert into opt_outs (tenant_id, contact_id, source) values ('default', 1, 'planilha')`);
  assert.equal(await propose(stage, 'três'), 'blocked(opt_out)');

  const stranger = '5511955554444';
  assert.deepEqual(await adminDone(stage.ctx, 'optout add', { phone: stranger }), { changed: true, contact_id: null });
  assert.equal(await propose(stage, 'quatro', 'campaign', stranger), 'blocked(opt_out)');
  const { opt_outs: listed } = await adminDone<{ opt_outs: { phone: string | null }[] }>(stage.ctx, 'optout list');
  assert.equal(listed.filter((each) => each.phone === PHONE).length, 1);
  assert.doesNotMatch(JSON.stringify(await stage.system.query('select address_hash from opt_outs')), /5511955554444/);

  await stage.ctx.db.call('erase_contact', { p_tenant: 'default', p_contact: null, p_phone: PHONE, p_actor: 'test', p_reason: 'lgpd' });
  assert.deepEqual(await stage.system.query('select 1 from contact_addresses where address = $1', [PHONE]), []);
  assert.equal(await propose(stage, 'cinco'), 'blocked(opt_out)', 'made anew with that number');
  await adminDone(stage.ctx, 'optout remove', { phone: PHONE, reason: 'pediu na loja' });
  assert.match(await propose(stage, 'seis'), /^(sent|delivered)$/);
  // its echo would be somebody's words for a contact that is made anew
  await stage.system.until(
    async () =>
      (await stage.system.query(`select 1 from webhook_events where event = 'send.message' and body::text like '%seis%'`)).length > 0,
    'its echo',
  );
  await stage.ctx.db.call('erase_contact', { p_tenant: 'default', p_contact: null, p_phone: PHONE, p_actor: 'test', p_reason: 'lgpd' });
  assert.match(await propose(stage, 'sete'), /^(sent|delivered)$/, 'what was taken back is not remembered');
});

test('O13 scenario 9: an opt-out that comes between the claim of a campaign and the wire stops it', async (t) => {
  const stage = await openStage(t);
  await stage.hear('oi');
  const queued = await stage.ctx.db.call('enqueue_message', {
    p_request: { tenant: 'default', instance: 'julia-dev', phone: PHONE, text: 'Promoção', kind: 'campaign', typing_ms: 60_000 },
  });
  const { conversation_id: lane, id } = queued as { id: number; conversation_id: number };
  await sendDue(stage.ctx, lane);
  assert.deepEqual(await stage.system.query('select status, reason from messages where id = $1', [id]), [
    { status: 'queued', reason: 'typing' },
  ]);
  await stage.hear('sair');
  await stage.system.query('update messages set due_at = now(), typing_until = now() where id = $1', [id]);
  await sendDue(stage.ctx, lane);
  assert.deepEqual(await stage.system.query('select status, reason from messages where id = $1', [id]), [
    { status: 'blocked', reason: 'opt_out' },
  ]);
  assert.deepEqual(
    texts(stage).filter((text) => text === 'Promoção'),
    [],
  );
});

test('O13 opt-out and the claim of a campaign at the same moment: one of the two is first, and nothing leaves after the opt-out', async (t) => {
  const stage = await openStage(t);
  const results = await Promise.all(
    Array.from({ length: 12 }, async (_, n) => {
      const phone = `55119000000${String(10 + n)}`;
      const queued = await stage.ctx.db.call('enqueue_message', {
        p_request: { tenant: 'default', instance: 'julia-dev', phone, text: `p${n}`, kind: 'campaign' },
      });
      const { conversation_id: lane, id } = queued as { id: number; conversation_id: number };
      const event = {
        instance: 'julia-dev',
        instanceId: null,
        kind: 'message',
        providerId: `S${n}`,
        content: { type: 'text', text: 'sair', typed: 'sair', media: null },
        quoted: null,
        meaning: { intent: 'opt_out', command: null, handset: null },
        chat: { pn: phone, lid: null },
        jid: `${phone}@s.whatsapp.net`,
        fromMe: false,
        viaApi: false,
        pushName: null,
        sentAt: new Date().toISOString(),
      };
      const record = { requestId: 'r', instance: 'julia-dev', event: 'test', raw: {}, events: [event] };
      await Promise.all([
        sendDue(stage.ctx, lane),
        stage.ctx.db.call('record_inbound', { p_webhooks: [record], p_options: { takeoverMinutes: 30, takeoverCapMinutes: 240 } }),
      ]);
      await sendDue(stage.ctx, lane);
      return [id, lane] as const;
    }),
  );
  for (const [, lane] of results) await sendDue(stage.ctx, lane);
  const rows = await stage.system.query<{ status: string; n: number }>(
    `select case when status in ('sent', 'delivered') then 'sent' else status end as status, count(*)::int as n from messages where kind = 'campaign' group by 1`,
  );
  assert.deepEqual(
    rows.map(({ status }) => status).filter((status) => status !== 'sent' && status !== 'blocked'),
    [],
  );
  assert.equal(
    rows.reduce((sum, { n }) => sum + n, 0),
    12,
  );
  assert.equal(texts(stage).length, rows.find(({ status }) => status === 'sent')?.n ?? 0);
  for (const [n] of results.entries())
    assert.equal(await propose(stage, 'depois', 'campaign', `55119000000${String(10 + n)}`), 'blocked(opt_out)');
});
