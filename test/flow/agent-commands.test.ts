/** The agent's words by command: a draft, a try, a publication, and back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admin, adminDone } from '../support/admin.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const fileOf = (text: string) => ({ name: 'agente.md', base64: Buffer.from(text).toString('base64') });

async function said(stage: Stage, name: string, args: object = {}, tenant = 'default'): Promise<string> {
  const { text } = await admin(stage.ctx, name, { ...args }, tenant);
  return text ?? '';
}

async function refusal(stage: Stage, name: string, args: object): Promise<string> {
  const outcome = await admin(stage.ctx, name, { ...args });
  assert.ok(!outcome.ok, name);
  return `${outcome.kind} ${outcome.message}`;
}

async function answered(stage: Stage, text: string): Promise<string> {
  const conversation = await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  return stage.prompts().at(-1)?.system ?? '';
}

test('L5 agent save: a draft answers nobody until it is published, and a rollback ends it', async (t) => {
  const stage = await openStage(t);
  assert.match(await said(stage, 'agent save', { name: 'Ana', company: 'Loja Pitanga', note: 'o nome' }), /^Version 2 is saved as a draft/);
  assert.match(await answered(stage, 'oi'), /^Você é Julia, assistente virtual, e/);
  assert.match(await said(stage, 'agent publish', { version: 2 }), /in force instead of 1, from the next message on/);
  assert.match(await answered(stage, 'oi de novo'), /^Você é Ana, assistente virtual da Loja Pitanga, e/);
  assert.match(
    await said(stage, 'agent versions'),
    /2  Ana  in force since .*, instead of 1; saved .* by cli:ana\n      o nome\n   1  Julia  was in force/,
  );
  assert.match(await said(stage, 'agent save', { name: 'Ana' }), /Nothing is new: version 2 says the same/);
  assert.match(await said(stage, 'agent rollback', { reason: 'engano' }), /Version 1 is in force again instead of 2/);
  assert.match(await answered(stage, 'e agora?'), /^Você é Julia/);
  assert.match(await refusal(stage, 'agent rollback', {}), /conflict nothing was in force before version 1/);
  assert.match(await refusal(stage, 'agent publish', { version: 7 }), /not_found the agent default has no version 7/);
  assert.match(await refusal(stage, 'agent publish', { version: 1 }), /conflict version 1 is in force already/);
});

test('L5 agent save: what is wrong is refused by name, and nothing is kept of it', async (t) => {
  const stage = await openStage(t);
  for (const [args, expected] of [
    [{ instructions: 'Cobre {preço}.' }, 'unknown_placeholder'],
    [{ tone: 'Como {empresa}.' }, 'company_missing'],
    [{ instructions: 'Diga que você é humana.' }, 'honesty_contradicted'],
    [{ file: fileOf('## Frases\nhonest: Sou a Ana.') }, 'honesty_missing'],
    [{ file: fileOf('## Frases\ntchau: Até logo.') }, 'sentence_unknown'],
    [{ name: ' ' }, 'name_wrong'],
    [{ instructions: '' }, 'instructions_missing'],
    [{ tools: 'opt_out,fly' }, 'unknown_tool: fly'],
    [{ model: 'claude-haiku-4-5' }, 'below_cache_floor'],
    [{ file: fileOf('Oi') }, 'file: this line stands before'],
  ] as const)
    assert.match(await refusal(stage, 'agent save', args), new RegExp(`^bad_request (.*\\n)*${expected}`), JSON.stringify(args));
  assert.match(await refusal(stage, 'agent save', { from: 4 }), /^not_found/);
  assert.deepEqual(await stage.system.query('select version from agents'), [{ version: 1 }]);
  assert.equal((await adminDone(stage.ctx, 'agent save', { model: 'claude-haiku-4-5', anyway: true }))['version'], 2);
});

test('L5 agent show: what is missing, the command for it, and a file that says the same', async (t) => {
  const stage = await openStage(t);
  const { lacks, file } = await adminDone<{ lacks: { code: string }[]; file: string }>(stage.ctx, 'agent show');
  assert.deepEqual(
    lacks.map(({ code }) => code),
    ['no_company', 'default_instructions', 'no_knowledge'],
  );
  assert.match(await said(stage, 'agent show'), /What it lacks:\n.*\n    npm run admin -- agent save --company/);
  assert.equal(await said(stage, 'agent show', { file: true }), file.trimEnd());
  assert.equal((await adminDone(stage.ctx, 'agent save', { file: fileOf(file) }))['saved'], false);
  const edited = file
    .replace('# Julia', '# Ana')
    .replace('Idioma: pt-BR', 'Empresa: Pitanga\nIdioma: es')
    .replace(/## O que fazer\n\n.*/, '## O que fazer\n\nVenda {empresa}.');
  await adminDone(stage.ctx, 'agent save', { file: fileOf(`${edited}\n## Frases\n\nhandoff: Ya llamo, soy {agente}.\n`) });
  const shown = await adminDone<{ lacks: { code: string }[]; sentences: Record<string, string>; own_sentences: string[] }>(
    stage.ctx,
    'agent show',
    {
      version: 2,
    },
  );
  assert.deepEqual(
    [shown.lacks.map(({ code }) => code), shown.own_sentences, shown.sentences['handoff']],
    [['no_knowledge'], ['handoff'], 'Ya llamo, soy Ana.'],
  );
});

test('L5 agent try: the newest version answers; nothing is stored, sent or done, and the price is told', async (t) => {
  const stage = await openStage(t);
  stage.system.simulator.script([
    { match: 'camiseta', tools: [{ name: 'remember', input: { fact: 'quer uma camiseta' } }] },
    { match: 'camiseta', text: 'Temos sim!' },
  ]);
  await adminDone(stage.ctx, 'agent save', { name: 'Ana', company: 'Pitanga' });
  const tried = await adminDone<{
    version: number;
    answer: string;
    effects: { type: string }[];
    cost_usd: number;
    output_tokens: number;
    calls: number;
  }>(stage.ctx, 'agent try', {
    text: 'tem camiseta?',
  });
  assert.deepEqual([tried.version, tried.answer, tried.effects.map(({ type }) => type), tried.calls], [2, 'Temos sim!', ['remember'], 2]);
  assert.ok(tried.cost_usd > 0 && tried.output_tokens > 0);
  assert.match(stage.prompts().at(-1)?.system ?? '', /^Você é Ana, assistente virtual da Pitanga/);
  for (const table of ['messages', 'turns', 'conversations', 'contacts', 'model_calls'])
    assert.deepEqual(await stage.system.query(`select count(*)::int as n from ${table}`), [{ n: 0 }], table);
  assert.deepEqual(stage.system.simulator.sends(), []);
  const [spent] = await stage.system.query<{ kind: string; usd: number; calls: number }>(
    'select kind, usd::float8 as usd, calls from spend_days',
  );
  assert.deepEqual([spent?.kind, spent?.calls, spent?.usd.toFixed(7)], ['try', 2, tried.cost_usd.toFixed(7)]);
  assert.deepEqual(
    await stage.system.query(`select actor, subject, details -> 'version' as version from audit_log where action = 'agent.tried'`),
    [{ actor: 'cli:ana', subject: 'default', version: 2 }],
  );
  assert.match(await said(stage, 'agent try', { text: 'oi' }), /US\$ 0\.\d{6}, .* s\. Nothing was sent\.$/);
  assert.match(await refusal(stage, 'agent try', { text: 'oi', version: 9 }), /^not_found/);
});

test('L5 T1 agent save: a tenant begins with the installation’s words, and its own then answer on its numbers only', async (t) => {
  const stage = await openStage(t);
  await stage.system.query(`insert into tenants (id, name) values ('outra', 'outra')`);
  assert.equal((await adminDone(stage.ctx, 'agent save', { company: 'Outra' }, 'outra'))['version'], 1);
  await adminDone(stage.ctx, 'agent publish', { version: 1 }, 'outra');
  assert.match(await said(stage, 'agent show', {}, 'outra'), /company   Outra/);
  assert.match(await said(stage, 'agent show'), /company   -/);
  assert.match(await answered(stage, 'oi'), /^Você é Julia, assistente virtual, e/);
});

test('X9 L5 agent try: not beyond a ceiling of money', async (t) => {
  const stage = await openStage(t, { env: { MAX_USD_DIA: '0.0001' } });
  await stage.system.query(`select add_spend('default', 'model', null, 0.0001, 1, 0, 0, now())`);
  assert.match(await refusal(stage, 'agent try', { text: 'oi' }), /^unavailable a ceiling of money is reached/);
  assert.deepEqual(stage.prompts(), []);
});

test('X9 L5 agent try: of five at once, with room for one, one is paid', async (t) => {
  const stage = await openStage(t, { env: { MAX_USD_DIA: '0.0001' } });
  const ends = await Promise.all(Array.from({ length: 5 }, async () => admin(stage.ctx, 'agent try', { text: 'oi' })));
  assert.equal(ends.filter(({ ok }) => ok).length, 1);
  assert.equal(stage.prompts().length, 1);
});
