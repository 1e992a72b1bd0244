/** The agent looks on: it reads, notes and alerts, and says nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admin, adminDone } from '../support/admin.ts';
import { openStage, sendDue, turn, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const NOTED = {
  name: 'note_conversation',
  input: { labels: ['Troca', 'troca', 'prazo'], summary: 'Quer trocar a camiseta azul até sexta.' },
};
const ALERT = { name: 'alert_team', input: { reason: 'espera há três dias por uma resposta' } };

const wire = (stage: Stage) => [stage.system.simulator.sends().length, stage.system.simulator.wire().presences.length];
async function say(stage: Stage, text: string): Promise<number> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  return conversation;
}

test('A14 a number that is observed: read once, labelled, summarised, people alerted, nothing on the wire; when it ends the next message is answered', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Claro, troco já!', tools: [NOTED, ALERT] }, { text: 'Olá de novo!' }]);
  const on = await admin(stage.ctx, 'observe on', { scope: 'instance', target: 'julia-dev', reason: 'primeira semana' });
  assert.match(on.text ?? '', /^The agent only looks on: instance julia-dev\./);
  const conversation = await say(stage, 'quero trocar a camiseta, estou esperando há dias!');

  assert.equal(stage.prompts().length, 1, 'one call, whatever it says');
  assert.match(stage.prompts()[0]?.situation ?? '', /você só observa esta conversa/);
  assert.deepEqual(wire(stage), [0, 0]);
  assert.deepEqual(await stage.system.dump(), ['in contact skipped(observed): quero trocar a camiseta, estou esperando há dias!']);
  assert.deepEqual(await stage.turns(), ['skipped(observed)']);
  assert.deepEqual(await stage.system.query('select observed_labels, observed_summary, controlled_by from conversations'), [
    { observed_labels: ['troca', 'prazo'], observed_summary: NOTED.input.summary, controlled_by: 'agent' },
  ]);
  assert.deepEqual(await stage.system.query('select reason, controls from handoffs'), [{ reason: ALERT.input.reason, controls: false }]);
  const { conversation: shown } = (await stage.ctx.db.call('read_conversation', {
    p_tenant: 'default',
    p_conversation: conversation,
    p_before: null,
    p_limit: 5,
  })) as { conversation: { holder: string; labels: string[] } };
  assert.deepEqual([shown.holder, shown.labels], ['observe', ['troca', 'prazo']]);
  const { text: listed } = await admin(stage.ctx, 'observe list');
  assert.match(listed ?? '', /^instance julia-dev, since .*: primeira semana$/);
  const why = await admin(stage.ctx, 'why', { id: `conversation:${conversation}` });
  assert.match(why.text ?? '', /because the agent only looked on here when it came/);

  await admin(stage.ctx, 'observe off', { scope: 'instance', target: 'julia-dev' });
  await turnsUntilDone(stage.ctx, conversation);
  assert.equal(stage.prompts().length, 1, 'what came meanwhile stays with people');
  await say(stage, 'oi?');
  assert.deepEqual(
    stage.system.simulator.sends().map(({ text }) => text),
    ['Olá de novo!'],
  );
  assert.match(stage.prompts()[1]?.texts.join('\n') ?? '', /quero trocar a camiseta/);
});

test('A14 switched on while the answer is written: it is not said, and what the contact wrote is left to people', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Claro!' }, { tools: [NOTED], text: '' }]);
  const { llm } = stage.ctx;
  assert.ok(llm);
  let conversation = 0;
  const during = {
    ...stage.ctx,
    llm: {
      ...llm,
      call: async (...args: Parameters<typeof llm.call>) => {
        const answered = await llm.call(...args);
        await adminDone(stage.ctx, 'observe on', { scope: 'conversation', target: String(conversation) });
        return answered;
      },
    },
  };
  conversation = await stage.hear('quero trocar');
  await turn(during, conversation);
  await sendDue(stage.ctx, conversation);
  assert.deepEqual(wire(stage), [0, 0]);
  assert.deepEqual(await stage.system.dump(), ['in contact skipped(observed): quero trocar']);
});

test('A14 an opt-out holds where the agent looks on, a flood is not read, and without a model nothing fails', async (t) => {
  const stage = await openStage(t, { env: { MAX_TURNOS_CONTATO_DIA: '2' } });
  stage.system.simulator.script([{ tools: [NOTED], text: '', repeat: true }]);
  await adminDone(stage.ctx, 'observe on', { scope: 'agent', target: 'default' });
  for (const text of ['oi', 'SAIR', 'alguém?']) await say(stage, text);
  assert.equal(stage.prompts().length, 2, 'two turns a day');
  assert.deepEqual(await stage.system.query('select source from opt_outs'), [{ source: 'message' }]);
  assert.deepEqual(wire(stage), [0, 0]);
  const bare = {
    ...stage.ctx,
    config: { ...stage.ctx.config, claude: null, people: { ...stage.ctx.config.people, abuse: null } },
    llm: null,
  };
  await stage.system.query('update conversations set quiet_until = null');
  const conversation = await stage.hear('e agora?');
  await turn(bare, conversation);
  assert.equal((await stage.system.dump()).at(-1), 'in contact skipped(observed): e agora?');
});
