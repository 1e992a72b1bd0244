/** contact import, tag, show: lists of people, and what is known of one. */
import { z } from 'zod';
import { showContact, tagContacts } from '../campaigns/calls.ts';
import type { ShownContact } from '../campaigns/calls.ts';
import { tagOf } from '../campaigns/campaign-words.ts';
import { importList } from '../campaigns/campaigns.ts';
import type { Imported } from '../campaigns/campaigns.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { printable } from '../words/foreign-text.ts';
import { defineCommand, fileArg, refused, wordsArg } from './command.ts';
import type { Outcome } from './command.ts';
import { phoneArg } from './order-notices.ts';

export const tagArg = wordsArg.transform(
  (raw, check) => tagOf(raw) ?? (check.addIssue('must be a short word of letters and digits, like vip or inverno-2026'), z.NEVER),
);

const FATES: Readonly<Record<string, string>> = {
  duplicate: 'repeats the phone of another row',
  no_area_code: 'has no area code (DDD)',
  no_phone: 'has no phone',
  broken: 'is no phone number, or has a cell too many',
  opted_out: 'asked for no more messages: known, and not written to',
};
/** What is shown of rows that were not taken. */
const SHOWN = 200;

export type ImportResult = {
  tag: string | null;
  added: number;
  known: number;
  opted_out: number;
  refused: { line: number; fate: string; given: string; of: number | null }[];
  rows: number;
  guessed_encoding: boolean;
};

export function importResult({ rows, guessed_encoding }: Imported, tag: string | null): ImportResult {
  const count = (outcome: string): number => rows.filter((row) => row.outcome === outcome).length;
  return {
    tag,
    added: count('added'),
    known: count('known'),
    opted_out: count('opted_out'),
    refused: rows.flatMap(({ line, fate, given, of }) => (fate === 'taken' ? [] : [{ line, fate, given, of }])),
    rows: rows.length,
    guessed_encoding,
  };
}

const importCommand = defineCommand({
  name: 'contact import',
  summary: 'makes contacts of a CSV',
  details:
    'The first row names the columns: telefone, and if you like nome and tags. Each row that is not taken is told with its line: repeated, without area code, broken. Nobody is written to; who opted out stays so. ' +
    'The same list again changes nothing. For example: contact import samples/contatos.csv --tag vip. Over HTTP {"file": {"name": "clientes.csv", "base64": "..."}}. Audited.',
  args: z.object({
    file: fileArg.describe('the CSV'),
    tag: tagArg.optional().describe('for all of them'),
    instance: wordsArg.optional().describe('the number under which they are known; nothing: the first'),
  }),
  positional: ['file'],
  files: ['file'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { file, tag, instance }, { id, tenant }): Promise<Outcome<ImportResult>> {
    try {
      const list = { tenant, instance: instance ?? null, bytes: Buffer.from(file.base64, 'base64'), tags: tag === undefined ? [] : [tag] };
      const found = await importList(ctx, { ...list, actor: id });
      return found.ok ? { ok: true, result: importResult(found.imported, tag ?? null) } : refused('bad_request', `file: ${found.message}`);
    } catch (error) {
      if (error instanceof DatabaseRefused && error.code === 'WA001')
        return refused('bad_request', 'instance: there is no such number; connect one first (instance connect NAME)');
      throw error;
    }
  },
  text: importText,
});

export function importText({ tag, added, known, opted_out: out, refused: not, rows, guessed_encoding: guessed }: ImportResult): string {
  return [
    `${rows} rows: ${added} contacts are new, ${known} were known${out > 0 ? `, ${out} asked for no more messages` : ''}${tag === null ? '' : `; all have the tag ${tag}`}. ${not.length} rows were not taken.`,
    ...(guessed ? ['It was not UTF-8 and was read as Windows-1252: look at the accents.'] : []),
    ...not
      .filter((_, index) => index < SHOWN)
      .map(
        ({ line, fate, given, of }) => `  line ${line} ${FATES[fate] ?? fate}${of === null ? '' : ` (line ${of})`}: ${printable(given)}`,
      ),
    ...(not.length > SHOWN ? [`  and ${not.length - SHOWN} more (--json has all)`] : []),
  ].join('\n');
}

const tag = defineCommand({
  name: 'contact tag',
  summary: 'gives a contact a tag, or takes it',
  details: 'For audiences of campaigns. For example: contact tag +5511912345678 --add vip. Audited.',
  args: z.object({
    phone: phoneArg.describe('phone number of the contact'),
    add: tagArg.optional().describe('the tag to give'),
    remove: tagArg.optional().describe('the tag to take'),
  }),
  positional: ['phone'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { phone, add, remove }, { id, tenant }) {
    if (add === undefined && remove === undefined) return refused('bad_request', 'add: is needed, or remove');
    const change = {
      tenant,
      phones: [phone],
      add: add === undefined ? [] : [add],
      remove: remove === undefined ? [] : [remove],
      actor: id,
    };
    const { unknown } = await tagContacts(ctx.db, change);
    if (unknown.length > 0) return refused('not_found', 'no contact has this phone number');
    const contact = await showContact(ctx.db, tenant, phone);
    return { ok: true, result: { tags: contact?.tags ?? [] } };
  },
  text: ({ tags }) => (tags.length === 0 ? 'It has no tags.' : `It has the tags ${tags.join(', ')}.`),
});

const show = defineCommand({
  name: 'contact show',
  summary: 'what is known of a phone: name, tags, opt-out, conversations',
  details: 'Everything that is stored: export-contact.',
  args: z.object({ phone: phoneArg.describe('phone number of the contact') }),
  positional: ['phone'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { phone }, { tenant }): Promise<Outcome<{ contact: ShownContact }>> {
    const contact = await showContact(ctx.db, tenant, phone);
    return contact === null ? refused('not_found', 'no contact has this phone number') : { ok: true, result: { contact } };
  },
  text: ({ contact: { id, name, phones, tags, opted_out_at: out, wrote_at: wrote, conversations, last_campaign_at: last } }, format) =>
    [
      `contact:${id} ${name === null ? '' : `${printable(name)} `}(${phones.join(', ')})`,
      `  tags: ${tags.join(', ') || 'none'}`,
      `  ${wrote === null ? 'never wrote' : `wrote last ${format(wrote)}`}; conversations ${conversations.join(', ') || 'none'}`,
      ...(last === null ? [] : [`  last campaign ${format(last)}`]),
      ...(out === null ? [] : [`  asked for no more messages ${format(out)}`]),
    ].join('\n'),
});

export const contactListCommands = [importCommand, tag, show];
