/** knowledge add, list, show, remove, ask: what the company knows, and what of it a question finds. */
import { jsonOf } from '../words/json.ts';
import { z } from 'zod';
import { knowledgePassages, listKnowledge, removeKnowledge } from '../knowledge/calls.ts';
import type { FoundPassage, ListedDocument } from '../knowledge/calls.ts';
import { addDocument } from '../knowledge/documents.ts';
import type { Added } from '../knowledge/documents.ts';
import { WHOLE_CHARS } from '../knowledge/knowledge.ts';
import { createSearch, PASSAGES } from '../knowledge/retrieve.ts';
import type { Search } from '../knowledge/retrieve.ts';
import { embedMissing } from '../knowledge/vectors.ts';
import { oneLine } from '../words/foreign-text.ts';
import { defineCommand, fileArg, refused, wordsArg } from './command.ts';
import type { AdminContext, Outcome } from './command.ts';

const nameArg = wordsArg.max(200).describe('name of the document, as knowledge list shows it');

const add = defineCommand({
  name: 'knowledge add',
  summary: 'gives the agent a document to answer from',
  details:
    'md, txt, csv (the first row names the columns), docx and pdf with text, up to 20 MB. The same name again replaces it; the same file changes nothing. ' +
    `Up to ${WHOLE_CHARS} characters in all, the agent reads everything at each answer; beyond, the ${PASSAGES} passages that a question needs. In force within 5 s. ` +
    'For example: knowledge add samples/loja/produtos.csv. Over HTTP, for files up to some 700 kB: {"file": {"name": "precos.md", "base64": "..."}}, or {"text": "...", "name": "precos.md"}. Audited.',
  args: z.object({
    file: fileArg.optional().describe('the file'),
    name: nameArg.optional().describe('kept under this name; nothing: that of the file'),
    text: z.string().max(500_000).optional().describe('a page of text instead of a file; needs a name that ends in .md or .txt'),
  }),
  positional: ['file'],
  files: ['file'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { file, name, text }, { id, tenant }) {
    const given = file ?? (text === undefined ? null : { name: name ?? '', base64: Buffer.from(text).toString('base64') });
    if (given === null) return refused('bad_request', 'file: is needed, or text with a name');
    if (file !== undefined && text !== undefined) return refused('bad_request', 'text: stands instead of a file, not beside it');
    if (given.name === '') return refused('bad_request', 'name: is needed beside text; it ends in .md or .txt');
    const kept = name ?? given.name;
    const ending = /\.[^.]+$/.exec(given.name)?.[0] ?? '';
    const found = await addDocument(
      ctx.db,
      tenant,
      // The ending tells how a file is read, whatever it is called here.
      { name: kept.endsWith(ending) ? kept : `${kept}${ending}`, bytes: Buffer.from(given.base64, 'base64') },
      id,
    );
    if (!found.ok) return refused('bad_request', found.message);
    return { ok: true, result: { ...found.added, vectors: await vectorsFor(ctx, WHOLE_CHARS) } };
  },
  text: (added) =>
    [
      `${added.name} is ${WORDS[added.outcome]}: ${added.passages} passages, ${added.chars} characters${added.pages === null ? '' : `, ${added.pages} pages`}.`,
      ...(added.guessed_encoding ? ['It was not UTF-8 and was read as Windows-1252: look at the accents with knowledge show.'] : []),
      readingOf(added.all_chars),
      ...(added.vectors === null ? [] : [added.vectors]),
    ].join('\n'),
});

const WORDS: Readonly<Record<Added['outcome'], string>> = {
  added: 'added',
  replaced: 'replaced',
  unchanged: 'there already, and the same',
};

/** How the agent reads so much. */
function readingOf(chars: number): string {
  return chars <= WHOLE_CHARS
    ? `All documents have ${chars} characters: the agent reads all of them at each answer.`
    : `All documents have ${chars} characters, more than ${WHOLE_CHARS}: at each answer the agent reads the ${PASSAGES} passages that the question needs.`;
}

const list = defineCommand({
  name: 'knowledge list',
  summary: 'the documents that the agent answers from',
  details: 'Name, kind, size, who added it and when.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _, { tenant }) {
    const documents = await listKnowledge(ctx.db, tenant);
    return { ok: true, result: { documents, chars: documents.reduce((sum, { chars }) => sum + chars, 0) } };
  },
  text({ documents, chars }, format) {
    if (documents.length === 0)
      return 'There are none: the agent knows nothing of the company but its instructions. knowledge add FILE gives it a document.';
    const line = (each: ListedDocument): string =>
      `${each.name}  ${each.chars} characters, ${each.passages} passages${each.pages === null ? '' : `, ${each.pages} pages`}; ${format(each.updated_at)} by ${each.added_by}`;
    return [...documents.map(line), readingOf(chars)].join('\n');
  },
});

const show = defineCommand({
  name: 'knowledge show',
  summary: 'a document as the agent reads it',
  details: 'Its passages, with the headings above each. For example: knowledge show produtos.csv',
  args: z.object({ name: nameArg }),
  positional: ['name'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { name }, { tenant }) {
    const passages = await knowledgePassages(ctx.db, tenant, name);
    return passages.length === 0 ? refused('not_found', missing(name)) : { ok: true, result: { name, passages } };
  },
  text: ({ passages }) => passages.map(({ heading, text }) => (heading === '' ? text : `# ${heading}\n${text}`)).join('\n\n'),
});

const remove = defineCommand({
  name: 'knowledge remove',
  summary: 'takes a document from the agent',
  details: 'In force within 5 s. The file itself is yours; add it again to have it back. Audited.',
  args: z.object({ name: nameArg }),
  positional: ['name'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { name }, { id, tenant }) {
    const was = await removeKnowledge(ctx.db, tenant, name, id);
    return was ? { ok: true, result: { name } } : refused('not_found', missing(name));
  },
  text: ({ name }) => `${name} is removed: the agent answers without it.`,
});

const questionList = z.array(z.object({ question: z.string(), document: z.string().nullable(), phrase: z.string().nullable() })).min(1);

const ask = defineCommand({
  name: 'knowledge ask',
  summary: 'which passages a question finds',
  details:
    `What the agent would read of the documents for these words, best first; it costs nothing. With questions, a JSON file of [{"question", "document", "phrase"}], it counts how often the passage with the phrase is among the first ${PASSAGES}. ` +
    'For example: knowledge ask "quanto custa o frete?"',
  args: z.object({
    question: wordsArg.optional().describe('in the words of a customer'),
    questions: fileArg.optional().describe('a JSON file of questions whose passage is known'),
  }),
  positional: ['question'],
  files: ['questions'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { question, questions }, { tenant }): Promise<Outcome<Asked>> {
    await vectorsFor(ctx, 0);
    const search = createSearch(ctx.db, ctx.voyage);
    if (questions !== undefined) {
      const parsed = questionList.safeParse(jsonOf(Buffer.from(questions.base64, 'base64').toString()));
      if (!parsed.success)
        return refused('bad_request', `questions: ${questions.name} must be a JSON list of {"question", "document", "phrase"}`);
      return { ok: true, result: { passages: [], recall: await recallOf(ctx, search, { tenant, questions: parsed.data }) } };
    }
    if (question === undefined) return refused('bad_request', 'question: is needed, or questions');
    return { ok: true, result: { passages: await search.find(tenant, { now: question }), recall: null } };
  },
  text({ passages, recall }) {
    if (recall !== null)
      return [
        `${recall.found} of ${recall.asked} questions find their passage among the first ${PASSAGES} (${((100 * recall.found) / Math.max(1, recall.asked)).toFixed(1)} %).`,
        ...recall.missed.map((each) => `  missed: ${each}`),
      ].join('\n');
    if (passages.length === 0) return 'No document holds anything of it.';
    return passages
      .map(({ name, heading, text, score }) => `${name}${heading === '' ? '' : ` > ${heading}`} (${score})\n  ${oneLine(text, 300)}`)
      .join('\n');
  },
});

type Asked = { passages: FoundPassage[]; recall: Recall | null };
type Recall = { asked: number; found: number; missed: string[] };

/** A document that is added should be found by what it means at once; what fails is made by the scheduler. */
async function vectorsFor({ db, voyage }: AdminContext, whole: number): Promise<string | null> {
  if (voyage === null) return null;
  const { made, failure } = await embedMissing(db, voyage, whole, AbortSignal.timeout(VECTORS_MS));
  if (failure !== null) return `Its vectors are not there yet (${failure.reason}: ${failure.detail}); the scheduler makes them.`;
  return made === 0 ? null : `${made} vectors were made.`;
}

/** So long somebody waits for vectors. Milliseconds. */
const VECTORS_MS = 60_000;

type Asking = { tenant: string; questions: z.infer<typeof questionList> };

async function recallOf(ctx: AdminContext, search: Search, { tenant, questions }: Asking): Promise<Recall> {
  const answered = questions.filter(({ document }) => document !== null);
  const missed: string[] = [];
  for (const { question, document, phrase } of answered) {
    const found = await search.find(tenant, { now: question });
    if (!found.some(({ name, text }) => name === document && text.includes(phrase ?? ''))) missed.push(question);
    ctx.progress?.(`${question}: ${missed.at(-1) === question ? 'missed' : 'found'}`);
  }
  return { asked: answered.length, found: answered.length - missed.length, missed };
}

function missing(name: string): string {
  return `there is no document ${name}; knowledge list shows what there is`;
}

export const knowledgeCommands = [add, list, show, remove, ask];
