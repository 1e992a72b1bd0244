/** Versions of an agent's words where they are read: from a claim on, whole in one turn, and told by `why`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Context } from '../../src/context.ts';
import type { Llm } from '../../src/claude/llm.ts';
import { publishVersion, saveVersion } from '../../src/turns/agent-calls.ts';
import { defaultAgent } from '../../src/turns/default-agent.ts';
import { SENTENCES } from '../../src/words/sentences.ts';
import { adminDone } from '../support/admin.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const OF = { tenant: 'default', slug: 'default', by: 'cli:ana' };
const WORDS = { ...defaultAgent, company: null, language: 'pt-BR', sentences: {}, model: null, model_complex: null, note: null } as const;

async function publish(stage: Stage, change: object): Promise<void> {
  const version = await saveVersion(stage.ctx.db, OF, { ...WORDS, tools: ['handoff_to_human', 'remember'], ...change });
  assert.equal((await publishVersion(stage.ctx.db, { ...OF, version, reason: null })).outcome, 'published');
}

async function say(stage: Stage, text: string, ctx: Context = stage.ctx): Promise<number> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(ctx, conversation);
  await sendDue(ctx, conversation);
  return conversation;
}

const sent = (stage: Stage) => stage.system.simulator.sends({ sent: true }).map((send) => send.text);

test('L5 publish: the next turn reads the new words, the one that runs goes on with its own, and `why` tells which', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ tools: [{ name: 'remember', input: { fact: 'gosta de café' } }] }, { text: 'Um.' }, { text: 'Dois.' }]);
  const llm = stage.ctx.llm as Llm; // a worker has one
  let published = false;
  const during: Context = {
    ...stage.ctx,
    llm: {
      async call(request, options) {
        if (!published) await publish(stage, { name: 'Ana', instructions: 'Fale de camisetas.', company: 'Loja Pitanga' });
        published = true;
        return llm.call(request, options);
      },
    },
  };
  await say(stage, 'oi', during);
  const conversation = await say(stage, 'e aí?');
  assert.deepEqual(sent(stage), ['Um.', 'Dois.']);
  const [first, again, next] = stage.prompts().map(({ system }) => system);
  assert.equal(first, again);
  assert.match(first ?? '', /Você é Julia/);
  assert.match(next ?? '', /Você é Ana, assistente virtual da Loja Pitanga[\s\S]*Fale de camisetas/);
  const rows = await stage.system.query<{ version: number; prompt_hash: string }>(
    'select a.version, t.prompt_hash from turns t join agents a on a.id = t.agent_id order by t.id',
  );
  assert.deepEqual(
    rows.map(({ version }) => version),
    [1, 2],
  );
  assert.notEqual(rows[0]?.prompt_hash, rows[1]?.prompt_hash);
  const { entries } = await adminDone<{ entries: { what: string; why: string | null }[] }>(stage.ctx, 'why', {
    id: `conversation:${conversation}`,
  });
  const turns = entries.filter(({ what }) => what === 'turn').map(({ why }) => why ?? '');
  assert.match(turns[0] ?? '', new RegExp(`words of Julia, version 1 \\(${rows[0]?.prompt_hash}\\)`));
  assert.match(turns[1] ?? '', new RegExp(`words of Ana, version 2 \\(${rows[1]?.prompt_hash}\\)`));
});

test('L5 sentences: what the runtime says itself is said in the agent’s words and language', async (t) => {
  const stage = await openStage(t);
  await publish(stage, { language: 'en', company: 'Pitanga', sentences: { too_long: 'Too long for {empresa}!' } });
  await say(stage, 'livro '.repeat(3_000));
  await say(stage, 'STOP');
  assert.deepEqual(sent(stage), ['Too long for Pitanga!', SENTENCES.en.opted_out]);
});

test('L5 publish: words that were written by hand and must not be read are not; the last good version answers and is recorded', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([{ text: 'Um.' }, { text: 'Dois.' }]);
  await say(stage, 'oi');
  await stage.system.query(`insert into agents (name, tone, instructions, promises) values ('Bia', '', 'Chame de {cliente}.', '')`);
  await say(stage, 'e aí?');
  assert.deepEqual(sent(stage), ['Um.', 'Dois.']);
  const [first, second] = stage.prompts().map(({ system }) => system);
  assert.equal(second, first);
  assert.deepEqual(await stage.system.query('select a.version from turns t join agents a on a.id = t.agent_id order by t.id'), [
    { version: 1 },
    { version: 1 },
  ]);
});
