/** Machines and too much of a day cost nothing: no model call, one polite line, then quiet; a person is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admin, adminDone } from '../support/admin.ts';
import { picture } from '../../simulator/pictures.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

async function say(stage: Stage, text: string): Promise<number> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  return conversation;
}

function texts(stage: Stage): string[] {
  return stage.system.simulator.sends().map((send) => send.text ?? '');
}

const menu = (n: number) => `Você ligou para a Padaria Sol. Digite 1 para pães, 2 para bolos. Protocolo ${1000 + n}`;

test('X8 a bot that answers each answer is stopped before the model: one polite line, then quiet that it prolongs; a person is told', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  stage.system.simulator.script([{ match: '', text: 'Oi! Em que posso ajudar?', repeat: true }]);
  let conversation = 0;
  for (let n = 0; n < 12; n++) conversation = await say(stage, menu(n));
  const calls = stage.prompts().length;
  assert.ok(calls <= 6, `${calls} calls of the model`);
  assert.equal(texts(stage).filter((text) => text.startsWith('Vou parar de responder')).length, 1);
  assert.equal(texts(stage).length, calls + 1);
  assert.match(await stage.system.until(() => stage.system.simulator.slackTexts()[0]), /Motivo: parece outro robô/);
  assert.equal(stage.system.simulator.slackTexts().length, 1, 'told once');

  const [before] = await stage.system.query<{ until: Date }>('select quiet_until as until from conversations');
  await stage.system.query(`update conversations set quiet_until = quiet_until - interval '30 minutes'`);
  await say(stage, menu(12));
  const [after] = await stage.system.query<{ until: Date }>('select quiet_until as until from conversations');
  assert.ok((after?.until.getTime() ?? 0) >= (before?.until.getTime() ?? 0), 'prolonged');
  assert.ok((await stage.system.dump()).includes(`in contact skipped(abuse_loop): ${menu(12)}`));
  const why = await admin(stage.ctx, 'why', { id: `conversation:${conversation}` });
  assert.match(why.text ?? '', /the other side answers each answer as a machine does/);
  assert.equal(stage.prompts().length, calls);

  // A person looked, and gives it back.
  await adminDone(stage.ctx, 'handoff return', { id: conversation });
  await say(stage, 'Oi, agora sou eu, a dona da padaria');
  assert.equal(stage.prompts().length, calls + 1);
});

test('W11 another agent that words each message anew is noticed within 12 rounds; a person is told once, and it costs nothing from then on', async (t) => {
  const stage = await openStage(t, { slack: 'webhook' });
  stage.system.simulator.script([{ match: '', text: 'Oi! Em que posso ajudar?', repeat: true }]);
  const topics = ['a entrega', 'o sabor', 'a cobertura', 'o tamanho', 'a data', 'o pagamento', 'a embalagem'];
  const openings = ['Compreendo', 'Perfeito', 'Que ótimo', 'Entendido', 'Excelente'];
  for (let n = 0; n < 16; n++)
    await say(
      stage,
      `${openings[n % 5]}! Agradeço o contato. Poderia me informar algo mais sobre ${topics[n % 7]} do item de número ${n * 37}?`,
    );
  const calls = stage.prompts().length;
  assert.ok(calls < 12, `${calls} calls of the model`);
  assert.equal(texts(stage).length, calls + 1);
  await stage.system.until(() => stage.system.simulator.slackTexts()[0]);
  assert.equal(stage.system.simulator.slackTexts().length, 1, 'told once');
  const [handoff] = await stage.system.query<{ reason: string }>('select reason from handoffs');
  assert.ok(handoff?.reason === 'abuse_agent' || handoff?.reason === 'abuse_loop', handoff?.reason);
});

test('X8 a flood costs no model call', async (t) => {
  const stage = await openStage(t);
  const sent = Array.from(
    { length: 40 },
    (_, n) => stage.system.simulator.inbound({ contactId: stage.maria, text: `compre já número ${n}` }).id,
  );
  await stage.system.until(
    async () => (await stage.system.query('select 1 from messages where provider_id = any ($1)', [sent])).length === 40,
  );
  const [row] = await stage.system.query<{ id: number }>('select id::int from conversations');
  await turnsUntilDone(stage.ctx, row?.id ?? 0);
  await sendDue(stage.ctx, row?.id ?? 0);
  assert.equal(stage.prompts().length, 0);
  assert.equal(texts(stage).length, 1);
  await say(stage, 'compre já');
  assert.equal(texts(stage).length, 1);
});

test('X8 a flood of pictures is not looked at, and what a person sends at once is', async (t) => {
  const stage = await openStage(t);
  const album = async (count: number): Promise<number> => {
    const before = (await stage.system.query('select 1 from messages')).length;
    for (let n = 0; n < count; n++) {
      const media = { kind: 'image' as const, base64: picture(`foto ${before + n}`).toString('base64') };
      stage.system.simulator.inbound({ contactId: stage.maria, media });
    }
    await stage.system.until(async () => (await stage.system.query('select 1 from messages')).length === before + count, 'all of them');
    const [row] = await stage.system.query<{ id: number }>('select id::int from conversations');
    await turnsUntilDone(stage.ctx, row?.id ?? 0);
    await sendDue(stage.ctx, row?.id ?? 0);
    return stage.system.simulator.wire().claude.length;
  };
  const few = await album(3);
  assert.ok(few >= 4, `${few} calls: three looks and an answer`);
  assert.equal(await album(31), few);
  assert.match(texts(stage).at(-1) ?? '', /^Vou parar de responder/);
});

test('X8 a script in development that writes like a machine meets a clear word in the log, once', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ match: '', text: 'Entendi.', repeat: true }]);
  for (let n = 0; n < 9; n++) await say(stage, 'teste do meu script');
  const told = stage.system.lines.filter(
    ({ message }) => message === 'The agent stops answering: the other side writes like a machine or too much',
  );
  assert.equal(told.length, 1);
  assert.match(JSON.stringify(told[0]), /WARN.*abuse_repeated.*write slower and in different words, or set ABUSE_GATES=false/);
});

test('X8 the same words again and again', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ match: '', text: 'Entendi.', repeat: true }]);
  for (let n = 0; n < 9; n++) await say(stage, 'Ganhe dinheiro em casa, clique aqui');
  assert.equal(stage.prompts().length, 5);
  assert.equal(texts(stage).length, 6);
  assert.deepEqual(await stage.system.query('select reason, controls from handoffs'), [{ reason: 'abuse_repeated', controls: false }]);
});

test('X8 turns of a contact in a day, over all its conversations; another contact is answered', async (t) => {
  const stage = await openStage(t, { env: { MAX_TURNOS_CONTATO_DIA: '3' } });
  stage.system.simulator.script([{ match: '', text: 'Sim.', repeat: true }]);
  for (const text of ['um', 'dois', 'três', 'quatro', 'cinco']) await say(stage, text);
  assert.deepEqual(
    texts(stage).map((text) => text.slice(0, 24)),
    ['Sim.', 'Sim.', 'Sim.', 'Hoje já conversamos bast'],
  );
  const pedro = stage.system.simulator.addContact({ name: 'Pedro', phone: '5511912345679' });
  const { id } = stage.system.simulator.inbound({ contactId: pedro.id, text: 'oi' });
  const row = await stage.system.until(
    async () =>
      (await stage.system.query<{ id: number }>('select conversation_id::int as id from messages where provider_id = $1', [id]))[0],
  );
  await turnsUntilDone(stage.ctx, row.id);
  await sendDue(stage.ctx, row.id);
  assert.equal(texts(stage).at(-1), 'Sim.');

  // A day later the first one is heard again.
  await stage.system.query(
    `update turns set started_at = started_at - interval '25 hours'; update conversations set quiet_until = now() - interval '1 second'`,
  );
  await say(stage, 'seis');
  assert.equal(texts(stage).at(-1), 'Sim.');
});

test('X8 tokens of a contact in a day', async (t) => {
  const stage = await openStage(t, { env: { MAX_TOKENS_CONTATO_DIA: '10' } });
  stage.system.simulator.script([{ match: '', text: 'Sim.', repeat: true }]);
  await say(stage, 'um');
  await say(stage, 'dois');
  assert.equal(stage.prompts().length, 1);
  assert.deepEqual(await stage.turns(), ['committed', 'committed(abuse_daily_tokens)']);
});
