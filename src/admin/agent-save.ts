/** agent save: a new version of an agent's words, checked before it is kept. */
import { z } from 'zod';
import { readVersion, saveVersion } from '../turns/agent-calls.ts';
import type { StoredVersion } from '../turns/agent-calls.ts';
import { faultsOf, incomplete } from '../turns/agent-words.ts';
import type { WordsFault } from '../turns/agent-words.ts';
import { defaultAgent } from '../turns/default-agent.ts';
import { shortPrefixes } from '../turns/prefix.ts';
import { parseVersion } from '../turns/version-words.ts';
import type { VersionFile } from '../turns/version-words.ts';
import { TOOLS } from '../turns/tools/all.ts';
import { LANGUAGES } from '../words/sentences.ts';
import { defineCommand, fileArg, flagArg, idArg, refused, wordsArg } from './command.ts';
import type { AdminContext, Outcome } from './command.ts';

export const slugArg = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be small letters, digits and hyphens')
  .default('default')
  .describe('which agent; default is the one of numbers that have none of their own');
export const versionArg = idArg.pipe(z.number().max(1_000_000)).optional();
export const textArg = z
  .string()
  .max(60_000, 'must have at most 60000 characters')
  .refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');
/** An empty word takes it back: NOME_EMPRESA and LLM_MODEL hold again. */
const emptyArg = textArg.pipe(z.string().trim().max(200));

/** Which version a command is about. */
export const answered = {
  agent: z.string(),
  version: z.number(),
};
export const save = defineCommand({
  name: 'agent save',
  summary: 'a new version of an agent, as a draft: nobody is answered with it until it is published',
  details:
    'Takes what is given, by option or in a file (agent show --file prints one), and the rest from the version in force, or from --from. {agente} and {empresa} in any text stand for the names. ' +
    'Refused by name: another placeholder, a company that is used and not named, words that tell the agent to pass for a person, an own sentence "honest" that does not say what it is and offer ' +
    'a person, a sentence that nothing says, and words too short for the cache of its model (--anyway takes those).',
  args: z.object({
    file: fileArg.optional().describe('a file with the words'),
    agent: slugArg,
    name: textArg.optional().describe('how it calls itself'),
    company: emptyArg.optional().describe('whose agent it is; empty: as NOME_EMPRESA says'),
    tone: textArg.optional().describe('how it writes'),
    instructions: textArg.optional().describe('what it does'),
    promises: textArg.optional().describe('what it may promise'),
    language: z
      .enum(LANGUAGES)
      .optional()
      .describe(`of its rules and sentences: ${LANGUAGES.join(', ')}`),
    model: emptyArg.optional().describe('its own model; empty: LLM_MODEL'),
    'model-complex': emptyArg.optional().describe('for difficult messages; empty: LLM_MODEL_COMPLEX'),
    tools: textArg.optional().describe(`those that it may use, with commas: ${TOOLS.map(({ name }) => name).join(',')}`),
    from: versionArg.describe('the version that it begins with; left out: the one in force'),
    note: wordsArg.optional().describe('what is new, for the list'),
    anyway: flagArg.describe('also when it is too short for the cache of its model'),
  }),
  flags: ['anyway'],
  positional: ['file'],
  files: ['file'],
  readOnly: false,
  role: 'admin',
  result: z.object({ ...answered, saved: z.boolean() }),
  async run(ctx, args, actor): Promise<Outcome<{ agent: string; version: number; saved: boolean }>> {
    const { agent: slug, from } = args;
    const base = await readVersion(ctx.db, actor.tenant, slug, from ?? null);
    if (base === null && from !== undefined) return noVersion(slug, from);
    const parsed =
      args.file === undefined ? ({ ok: true, file: {} } as const) : parseVersion(Buffer.from(args.file.base64, 'base64').toString('utf8'));
    if (!parsed.ok) return refused('bad_request', `file: ${parsed.fault}`);
    const before = wordsOf(base);
    const words = { ...before, ...parsed.file, ...withoutUnset(optionsOf(args)), note: args.note ?? null };
    const unknown = words.tools.filter((name) => !TOOLS.some((tool) => tool.name === name));
    if (unknown.length > 0) return refused('bad_request', `unknown_tool: ${unknown.join(', ')}`);
    const faults = [...incomplete(words), ...faultsOf(words, ctx.config.app.company), ...(args.anyway ? [] : floorFaults(ctx, words))];
    if (faults.length > 0) return refused('bad_request', faults.map(({ code, says }) => `${code}: ${says}`).join('\n'));
    const isSame = base !== null && base.tenant_id === actor.tenant && JSON.stringify({ ...words, note: null }) === JSON.stringify(before);
    if (isSame) return { ok: true, result: { agent: slug, version: base.version, saved: false } };
    const version = await saveVersion(ctx.db, { tenant: actor.tenant, slug, by: actor.id }, words);
    return { ok: true, result: { agent: slug, version, saved: true } };
  },
  text({ agent, version, saved }) {
    const of = agent === 'default' ? '' : ` --agent ${agent}`;
    if (!saved) return `Nothing is new: version ${version} says the same.`;
    return `Version ${version} is saved as a draft.\n  npm run admin -- agent try "Bom dia! Vocês abrem amanhã?" --version ${version}${of}\n  npm run admin -- agent publish ${version}${of}`;
  },
});

export function noVersion(slug: string, version: number | undefined): ReturnType<typeof refused> {
  const what = version === undefined ? `there is no agent ${slug} here` : `the agent ${slug} has no version ${version}`;
  return refused('not_found', `${what} (agent versions lists them)`);
}

type Words = ReturnType<typeof wordsOf>;

/** What a new version begins with. */
function wordsOf(base: StoredVersion | null) {
  const { name, company, tone, instructions, promises, language, sentences, model, model_complex, tools } = base ?? {
    ...defaultAgent,
    company: null,
    language: LANGUAGES[0],
    sentences: {},
    model: null,
    model_complex: null,
    tools: TOOLS.map((tool) => tool.name),
  };
  return { name, company, tone, instructions, promises, language, sentences, model, model_complex, tools, note: null as string | null };
}

type Options = Partial<
  Record<'name' | 'company' | 'tone' | 'instructions' | 'promises' | 'model' | 'model-complex' | 'tools', string | undefined>
> & { language?: VersionFile['language'] | undefined };

function optionsOf(args: Options) {
  const orNull = (word: string | undefined): string | null | undefined => (word === '' ? null : word);
  return {
    name: args.name?.trim(),
    company: orNull(args.company),
    tone: args.tone,
    instructions: args.instructions,
    promises: args.promises,
    language: args.language,
    model: orNull(args.model),
    model_complex: orNull(args['model-complex']),
    tools: args.tools
      ?.split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  };
}

function withoutUnset<Given extends object>(given: Given): { [Key in keyof Given]?: Exclude<Given[Key], undefined> } {
  // what is undefined is gone, which is all that the type says
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Given]?: Exclude<Given[Key], undefined>;
  };
}

/** Below its floor a model caches nothing, and each conversation is paid in full. */
function floorFaults({ config }: AdminContext, words: Words): WordsFault[] {
  if (config.claude === null) return [];
  return shortPrefixes(words, words.company ?? config.app.company, config.claude).map(({ model, tokens, floor }) => ({
    code: 'below_cache_floor',
    says: `with about ${tokens} tokens ${model} caches nothing (it needs ${floor}): say more, name another model, or --anyway`,
  }));
}
