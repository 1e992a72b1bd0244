/** erase-contact, export-contact: what the law lets a person ask for. */
import { z } from 'zod';
import { canonicalPhone } from '../words/phone.ts';
import { eraseContact, exportContact } from '../people/care-calls.ts';
import type { ContactKey } from '../people/care-calls.ts';
import { defineCommand, refused, wordsArg } from './command.ts';
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

export const contactCommands = [exportCommand, eraseCommand];

function keyOf(given: string): ContactKey | Refusal {
  const id = /^contact:(\d{1,15})$/.exec(given)?.[1];
  if (id !== undefined) return { id: Number(id) };
  const phone = canonicalPhone(given);
  return phone === null ? refused('bad_request', `contact: ${given} is neither a phone number nor contact:ID`) : { phone };
}
