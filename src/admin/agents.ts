/** agent show, versions, publish, rollback, try (and agent-save.ts): the agent's words, whose versions never change. */
import { listDirectives } from '../directives/calls.ts';
import { z } from 'zod';
import { listVersions, publishVersion, readVersion, recordTry, rollbackVersion } from '../turns/agent-calls.ts';
import type { ListedVersion, StoredVersion } from '../turns/agent-calls.ts';
import { faultsOf } from '../turns/agent-words.ts';
import type { WordsFault } from '../turns/agent-words.ts';
import { defaultAgent } from '../turns/default-agent.ts';
import { promptHash } from '../turns/prefix.ts';
import type { Tried } from '../turns/try-version.ts';
import { versionFile } from '../turns/version-words.ts';
import { listKnowledge } from '../knowledge/calls.ts';
import { createKnowledge } from '../knowledge/knowledge.ts';
import { createLine } from '../process/line.ts';
import { spendReport } from '../spend/calls.ts';
import { oneLine } from '../words/foreign-text.ts';
import { sentencesOf } from '../words/sentences.ts';
import { answered, noVersion, save, slugArg, textArg, versionArg } from './agent-save.ts';
import { defineCommand, flagArg, idArg, limitArg, refused, wordsArg } from './command.ts';
import type { AdminContext, FormatTime, Outcome } from './command.ts';

const lack = z.object({ code: z.string(), says: z.string(), command: z.string() });
const shown = z.object({
  ...answered,
  tenant: z.string(),
  in_force: z.boolean(),
  name: z.string(),
  company: z.string().nullable(),
  language: z.string(),
  tone: z.string(),
  instructions: z.string(),
  promises: z.string(),
  sentences: z.record(z.string(), z.string()),
  own_sentences: z.array(z.string()),
  model: z.string().nullable(),
  model_complex: z.string().nullable(),
  tools: z.array(z.string()),
  note: z.string().nullable(),
  created_by: z.string(),
  prompt_hash: z.string(),
  faults: z.array(z.object({ code: z.string(), says: z.string() })),
  lacks: z.array(lack),
  file: z.string(),
  only_file: z.boolean(),
});

const show = defineCommand({
  name: 'agent show',
  summary: 'the words of an agent that are in force, or a version of them, and what it lacks',
  details:
    'Name, tone, instructions, promises, company, language, models and every sentence that the runtime says itself, with what is missing and the command for it. --file: only the text that ' +
    'agent save reads, to be edited.',
  args: z.object({
    agent: slugArg,
    version: versionArg.describe('another version than the one in force'),
    file: flagArg.describe('as a file for agent save'),
  }),
  flags: ['file'],
  positional: ['version'],
  readOnly: true,
  role: 'operator',
  result: shown,
  async run(ctx, { agent: slug, version, file }, { tenant }): Promise<Outcome<z.infer<typeof shown>>> {
    const found = await readVersion(ctx.db, tenant, slug, version ?? null);
    if (found === null) return noVersion(slug, version);
    const documents = (await listKnowledge(ctx.db, tenant)).length;
    return { ok: true, result: { ...described(ctx, found, documents), only_file: file } };
  },
  text(result) {
    if (result.only_file) return result.file.trimEnd();
    const { sentences, own_sentences: own, lacks, faults } = result;
    return [
      `agent ${result.agent}, version ${result.version} (${result.in_force ? 'in force' : 'not in force'}; prompt ${result.prompt_hash})`,
      `  name      ${oneLine(result.name, 80)}`,
      `  company   ${result.company === null ? '-' : oneLine(result.company, 200)}`,
      `  language  ${result.language}`,
      `  models    ${result.model ?? 'LLM_MODEL'}, ${result.model_complex ?? 'LLM_MODEL_COMPLEX'}`,
      `  tools     ${result.tools.join(', ')}`,
      ...(['tone', 'instructions', 'promises'] as const).map((part) => `\n${part}:\n${indented(result[part])}`),
      '\nwhat the runtime says itself:',
      ...Object.entries(sentences).map(([name, words]) => `  ${name}${own.includes(name) ? ' (own words)' : ''}: ${oneLine(words, 600)}`),
      ...(faults.length === 0 ? [] : ['\nIt is not read to contacts, because:', ...faults.map(faultLine)]),
      ...(lacks.length === 0 ? [] : ['\nWhat it lacks:', ...lacks.map(({ says, command }) => `  ${says}\n    ${command}`)]),
    ].join('\n');
  },
});

const versions = defineCommand({
  name: 'agent versions',
  summary: 'the versions of an agent, the newest first',
  details: 'Who saved each and when, since when it is or was in force, and what it took the place of.',
  args: z.object({ agent: slugArg, limit: limitArg.default(20).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  result: z.object({ agent: z.string(), versions: z.array(z.looseObject({ version: z.number(), active: z.boolean(), name: z.string() })) }),
  async run(ctx, { agent, limit }, { tenant }) {
    return { ok: true, result: { agent, versions: await listVersions(ctx.db, tenant, agent, limit) } };
  },
  text({ agent, versions: list }, format) {
    if (list.length === 0) return `There is no version of an agent ${agent} here; the installation's own answers.`;
    return list.map((each) => versionLine(each, format)).join('\n');
  },
});

const publish = defineCommand({
  name: 'agent publish',
  summary: 'puts a version of an agent in force, on all workers at once',
  details:
    'From the next message on; an answer that is being written ends with the words that it began with. agent rollback takes it back.',
  args: z.object({
    version: idArg.pipe(z.number().max(1_000_000)).describe('which one; agent versions lists them'),
    agent: slugArg,
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['version'],
  readOnly: false,
  role: 'admin',
  result: z.object({ ...answered, before: z.number().nullable() }),
  async run(ctx, { version, agent: slug, reason }, actor): Promise<Outcome<{ agent: string; version: number; before: number | null }>> {
    const found = await readVersion(ctx.db, actor.tenant, slug, version);
    if (found === null) return noVersion(slug, version);
    const faults = faultsOf(found, ctx.config.app.company);
    if (faults.length > 0) return refused('conflict', `version ${version} is not fit to be read:\n${faults.map(faultLine).join('\n')}`);
    const answer = await publishVersion(ctx.db, { tenant: actor.tenant, slug, version, by: actor.id, reason: reason ?? null });
    if (answer.outcome === 'unknown') return noVersion(slug, version);
    if (answer.outcome === 'in_force') return refused('conflict', `version ${version} is in force already; nothing was changed`);
    return { ok: true, result: { agent: slug, version, before: answer.before } };
  },
  text: ({ version, before }) =>
    `Version ${version} is in force${before === null ? '' : ` instead of ${before}`}, from the next message on.`,
});

const rollback = defineCommand({
  name: 'agent rollback',
  summary: 'puts what was in force before in force again',
  details: 'Given again it goes one further back. agent publish VERSION goes to any other.',
  args: z.object({ agent: slugArg, reason: wordsArg.optional().describe('why, for the audit') }),
  readOnly: false,
  role: 'admin',
  result: z.object({ ...answered, before: z.number() }),
  async run(ctx, { agent: slug, reason }, actor): Promise<Outcome<{ agent: string; version: number; before: number }>> {
    const answer = await rollbackVersion(ctx.db, { tenant: actor.tenant, slug, by: actor.id, reason: reason ?? null });
    if (answer.outcome === 'unknown') return noVersion(slug, undefined);
    if (answer.outcome === 'nothing_before') return refused('conflict', `nothing was in force before version ${answer.version}`);
    return { ok: true, result: { agent: slug, version: answer.version, before: answer.before } };
  },
  text: ({ version, before }) => `Version ${version} is in force again instead of ${before}, from the next message on.`,
});

const tried = z.object({
  ...answered,
  answer: z.string().nullable(),
  failed: z.string().nullable(),
  effects: z.array(z.looseObject({ type: z.string() })),
  model: z.string(),
  calls: z.number(),
  ms: z.number(),
  input_tokens: z.number(),
  output_tokens: z.number(),
  cache_read_tokens: z.number(),
  cache_write_tokens: z.number(),
  cost_usd: z.number().nullable(),
  unpriced: z.number(),
  prompt_hash: z.string(),
});

/** Where money has a ceiling: many at once would all find it open. */
const trying = createLine(1);

const attempt = defineCommand({
  name: 'agent try',
  summary: 'how a version answers a text: nothing is sent or stored, the model is paid',
  details:
    'One call of the model (or a few, when it uses a tool) as a first message of a conversation would make it. What a tool would do is told and not done. Left out, the version is the newest, ' +
    'also when it is a draft.',
  args: z.object({
    text: textArg.pipe(z.string().trim().min(1, 'must not be empty').max(4_000)).describe('what a contact would write'),
    version: versionArg.describe('which one; left out: the newest'),
    agent: slugArg,
  }),
  positional: ['text'],
  readOnly: false,
  role: 'operator',
  result: tried,
  async run(ctx, { text, version, agent: slug }, { id: by, tenant }): Promise<Outcome<Tried & { agent: string; version: number }>> {
    const { claude, app } = ctx.config;
    if (claude === null) return refused('unavailable', 'ANTHROPIC_API_KEY is not set, so nobody can answer');
    const newest = version ?? (await listVersions(ctx.db, tenant, slug, 1))[0]?.version ?? null;
    const found = await readVersion(ctx.db, tenant, slug, newest);
    if (found === null) return noVersion(slug, version);
    const ask = async (): Promise<Outcome<Tried & { agent: string; version: number }>> => {
      if (await isSpent(ctx, tenant))
        return refused('unavailable', 'a ceiling of money is reached (npm run admin -- spend); nothing was asked');
      // Not loaded for other commands: the SDK takes longer than all the rest.
      const [{ createLlm }, { tryVersion }] = await Promise.all([import('../claude/llm.ts'), import('../turns/try-version.ts')]);
      const result = await tryVersion({
        llm: createLlm({ apiKey: claude.apiKey, baseUrl: claude.baseUrl }),
        claude,
        agent: found,
        company: found.company ?? app.company,
        known: await createKnowledge(ctx.db, ctx.voyage).forTurn(tenant, { now: text, before: '' }),
        directives: (await listDirectives(ctx.db, tenant, false, 100)).filter(
          (each) => each.status === 'active' && (each.scope === 'global' || (each.scope === 'agent' && each.target === slug)),
        ),
        text,
        now: new Date(),
        timeZone: app.timeZone,
      });
      const { model, calls, unpriced, cost_usd: usd } = result;
      await recordTry(ctx.db, { tenant, slug, by, version: found.version, model, usd: usd ?? 0, calls, unpriced });
      return { ok: true, result: { agent: slug, version: found.version, ...result } };
    };
    const { day, month } = claude.ceilings ?? { day: null, month: null };
    return day === null && month === null ? ask() : trying.run(ask);
  },
  text(result) {
    const read = result.input_tokens + result.cache_read_tokens + result.cache_write_tokens;
    const money = result.cost_usd === null ? 'a model without a price' : `US$ ${result.cost_usd.toFixed(6)}`;
    return [
      result.answer ?? `No answer: ${result.failed ?? 'the model said nothing'}.`,
      '',
      ...result.effects.map((effect) => `It would do: ${JSON.stringify(effect)}`),
      `Version ${result.version} (${result.prompt_hash}) on ${result.model}: ${read} tokens in, of them ${result.cache_read_tokens} from the cache, ${result.output_tokens} out, ${money}, ${(result.ms / 1000).toFixed(1)} s. Nothing was sent.`,
    ].join('\n');
  },
});

/** Of the day or of the month. A try is small, so what it may cost at most is not reserved before; but one of a process knows what those before it have cost. */
async function isSpent(ctx: AdminContext, tenant: string): Promise<boolean> {
  const { day = null, month = null } = ctx.config.claude?.ceilings ?? {};
  if (day === null && month === null) return false;
  const spent = await spendReport(ctx.db, tenant);
  return (day !== null && spent.day + spent.reserved >= day) || (month !== null && spent.month + spent.reserved >= month);
}

export const agentCommands = [show, versions, save, publish, rollback, attempt];

function described(ctx: AdminContext, found: StoredVersion, documents: number): Omit<z.infer<typeof shown>, 'only_file'> {
  const { company } = ctx.config.app;
  const { name, tone, instructions, promises, language, model, model_complex: complex, tools, note, created_by: by } = found;
  return {
    agent: found.slug,
    version: found.version,
    tenant: found.tenant_id,
    in_force: found.active,
    name,
    company: found.company ?? company,
    language,
    tone,
    instructions,
    promises,
    sentences: sentencesOf({ ...found, company: found.company ?? company }),
    own_sentences: Object.keys(found.sentences),
    model,
    model_complex: complex,
    tools,
    note,
    created_by: by,
    prompt_hash: promptHash(found, found.company ?? company),
    faults: faultsOf(found, company),
    lacks: lacksOf(found, { company, documents }),
    file: versionFile(found),
  };
}

/** What nobody has told the agent yet. */
export function lacksOf(
  agent: Pick<StoredVersion, 'company' | 'instructions'>,
  { company, documents }: { company: string | null; documents: number },
): z.infer<typeof lack>[] {
  return [
    ...(agent.company === null && company === null
      ? [
          {
            code: 'no_company',
            says: 'It does not know whose agent it is.',
            command: 'npm run admin -- agent save --company "NAME" (or NOME_EMPRESA), then agent publish VERSION',
          },
        ]
      : []),
    ...(agent.instructions === defaultAgent.instructions
      ? [
          {
            code: 'default_instructions',
            says: 'It has the instructions that come with the product.',
            command: 'npm run admin -- agent show --file > agente.md, edit it, agent save agente.md, then agent publish VERSION',
          },
        ]
      : []),
    ...(documents === 0
      ? [{ code: 'no_knowledge', says: 'It knows no price and no opening hour of yours.', command: 'npm run admin -- knowledge add FILE' }]
      : []),
  ];
}

function versionLine(
  { version, active, name, note, created_by: by, created_at: at, published_at: since, replaced }: ListedVersion,
  format: FormatTime,
): string {
  const state = active
    ? `in force since ${since === null ? '?' : format(since)}`
    : since === null
      ? 'a draft'
      : `was in force from ${format(since)}`;
  return [
    `${String(version).padStart(4)}  ${oneLine(name, 60)}  ${state}${replaced === null ? '' : `, instead of ${replaced}`}; saved ${format(at)} by ${oneLine(by, 80)}`,
    ...(note === null ? [] : [`      ${oneLine(note, 500)}`]),
  ].join('\n');
}

function faultLine({ code, says }: WordsFault): string {
  return `  ${code}: ${says}`;
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
}
