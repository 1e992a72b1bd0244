/** optout list, add, remove: who gets no message that it did not ask for. */
import { shownName } from '../words/foreign-text.ts';
import { z } from 'zod';
import { canonicalPhone } from '../words/phone.ts';
import { listOptOuts, setOptOut } from '../people/opt-out-calls.ts';
import type { OptOut } from '../people/opt-out-calls.ts';
import { defineCommand, limitArg, wordsArg } from './command.ts';
import type { Actor, AdminContext, Outcome } from './command.ts';

const phoneArg = z.string().transform((raw, check) => {
  const phone = canonicalPhone(raw);
  if (phone === null) check.addIssue({ code: 'custom', message: 'must be a phone number, for example 5511912345678' });
  return phone ?? z.NEVER;
});

const list = defineCommand({
  name: 'optout list',
  summary: 'who has opted out of messages that they did not ask for',
  details: 'The newest first. One without a contact is the hash of an address: of a contact that was erased, or that has not come yet.',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: { opt_outs: await listOptOuts(ctx.db, tenant, limit) } };
  },
  text({ opt_outs: all }, format) {
    if (all.length === 0) return 'Nobody has opted out.';
    return all.map((each) => `${each.id}  ${format(each.created_at)}  ${who(each)} (${each.source})`).join('\n');
  },
});

const add = defineCommand({
  name: 'optout add',
  summary: 'a phone number gets no more messages that it did not ask for',
  details: 'Also a number that no contact has: whoever comes with it has opted out. Replies to what the person writes still leave.',
  args: z.object({ phone: phoneArg.describe('phone number'), reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['phone'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { phone, reason }, actor) => change(ctx, actor, phone, true, reason ?? null),
  text: ({ changed }) => (changed ? 'Opted out.' : 'It had opted out already; nothing was changed.'),
});

const remove = defineCommand({
  name: 'optout remove',
  summary: 'a phone number gets messages again',
  details: 'Only when the person asked for it: say in --reason where. The contact can do it by writing VOLTAR.',
  args: z.object({ phone: phoneArg.describe('phone number'), reason: wordsArg.describe('where the person asked for it, for the audit') }),
  positional: ['phone'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { phone, reason }, actor) => change(ctx, actor, phone, false, reason),
  text: ({ changed }) => (changed ? 'Opted in again.' : 'It had not opted out; nothing was changed.'),
});

export const optOutCommands = [list, add, remove];

async function change(
  ctx: AdminContext,
  { tenant, id }: Actor,
  phone: string,
  out: boolean,
  reason: string | null,
): Promise<Outcome<{ changed: boolean; contact_id: number | null }>> {
  const { outcome, contact_id } = await setOptOut(ctx.db, { tenant, phone, out, actor: id, reason });
  return { ok: true, result: { changed: outcome === 'done', contact_id } };
}

function who({ contact_id: contact, name, phone }: OptOut): string {
  if (contact === null) return 'an address without a contact';
  return `${shownName(name) ?? `contact ${contact}`}${phone === null ? '' : ` ${phone}`}`;
}
