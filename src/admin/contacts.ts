/** export-contact, erase-contact, contact wait: what a person may ask for. Two who are one: merges.ts. */
import { z } from 'zod';
import { canonicalPhone } from '../words/phone.ts';
import { eraseContact, exportContact } from '../people/care-calls.ts';
import type { ContactKey } from '../people/care-calls.ts';
import { setContactWait } from '../outbox/limit-calls.ts';
import { defineCommand, flagArg, refused, wordsArg } from './command.ts';
import type { Refusal } from './command.ts';

const contactArg = wordsArg.describe('a phone number with its country code, or contact:ID');

const exportCommand = defineCommand({
  name: 'export-contact',
  summary: 'everything that is stored about a contact, as JSON',
  details:
    'Names, addresses, what the agent remembers, conversations, messages with what is known of their media, turns with what the model read and wrote, calls of tools, handoffs and opt-outs. ' +
    'Raw webhooks are left out: they say the same, and are deleted by age. For example: export-contact +5511912345678 > maria.json. Audited.',
  args: z.object({ contact: contactArg }),
  positional: ['contact'],
  // it writes the audit
  readOnly: false,
  role: 'admin',
  async run(ctx, { contact }, actor) {
    const key = keyOf(contact);
    if ('ok' in key) return key;
    const found = await exportContact(ctx.db, actor.tenant, key, actor.id);
    return found === null ? refused('not_found', `there is no contact ${contact}`) : { ok: true, result: found };
  },
  text: (result) => JSON.stringify(result, null, 2),
});

const eraseCommand = defineCommand({
  name: 'erase-contact',
  summary: 'erases everything about a contact, for good',
  details:
    'Messages, media, names, addresses, what the agent remembers, what the model read and wrote, and raw webhooks. Figures stay (turns, tokens, money) without words, and an opt-out stays in force. ' +
    'It cannot be undone. Keyed hashes of addresses and of the ids of messages stay, so that what Evolution, a queue or a replay still has is not stored again. A backup made before still has the person, ' +
    'for as long as backups are kept; a restore erases again whom it knows of (the list beside the backups). What Evolution and the phone keep is not touched. ' +
    'Who writes again is somebody new. For example: erase-contact contact:3 --reason "pedido por e-mail". Audited, without a word of what it was.',
  args: z.object({ contact: contactArg, reason: wordsArg.describe('who asked for it, and when; no name') }),
  positional: ['contact'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { contact, reason }, actor) {
    const key = keyOf(contact);
    if ('ok' in key) return key;
    const answer = await eraseContact(ctx.db, actor.tenant, key, actor.id, reason);
    switch (answer.outcome) {
      case 'unknown':
        return refused('not_found', `there is no contact ${contact}`);
      case 'sending':
        return refused('conflict', 'a message to this contact is on the wire: nothing was erased, try again in half a minute');
      case 'erased':
        return { ok: true, result: answer };
    }
  },
  text: ({ contact_id: id, messages, webhooks }) =>
    `Contact ${id} is erased: ${messages} messages and ${webhooks} raw webhooks are gone, with all names, addresses and memories.`,
});

const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time with a zone, like 2026-12-01T09:00:00-03:00' });

const contactWait = defineCommand({
  name: 'contact wait',
  summary: 'leaves a person alone until a time',
  details:
    'Nothing that nobody asked for is sent to it until then, but notices of its own orders; with offers only campaigns and follow-ups wait (it refused an offer). ' +
    'Replies leave. This is no opt-out. Without until the wait ends now.',
  args: z.object({
    phone: wordsArg.describe('phone number of the contact'),
    until: time.optional().describe('ISO 8601 time; nothing: not any longer'),
    offers: flagArg.describe('only campaigns and follow-ups'),
    reason: wordsArg.describe('why, for the audit'),
  }),
  positional: ['phone'],
  flags: ['offers'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { phone: given, until, offers, reason }, { id, tenant }) {
    const phone = canonicalPhone(given);
    if (phone === null) return refused('bad_request', 'phone: must be a phone number with area code, like +55 11 91234-5678');
    const end = until === undefined ? null : new Date(until);
    const known = await setContactWait(ctx.db, { tenant, phone, offersOnly: offers, until: end, actor: id, reason });
    return known ? { ok: true, result: { until: end, offers } } : refused('not_found', 'no contact has this phone number');
  },
  text({ until, offers }, format) {
    const what = offers ? 'Campaigns and follow-ups wait' : 'Everything that the contact did not ask for waits';
    return until === null ? 'The contact waits no longer.' : `${what} until ${format(until)}.`;
  },
});

export const contactCommands = [exportCommand, eraseCommand, contactWait];

function keyOf(given: string): ContactKey | Refusal {
  const id = /^contact:(\d{1,15})$/.exec(given)?.[1];
  if (id !== undefined) return { id: Number(id) };
  const phone = canonicalPhone(given);
  return phone === null ? refused('bad_request', `contact: ${given} is neither a phone number nor contact:ID`) : { phone };
}
