/** contact merge, contact unmerge, instance unlearn: one person who was taken for two, and two who were taken for one. */
import { z } from 'zod';
import { mergeByHand, unlearnLids, unmergeContact } from '../people/merge-calls.ts';
import { defineCommand, idArg, refused, wordsArg } from './command.ts';
import { nameArg, unknown } from './instances.ts';

const unmerge = defineCommand({
  name: 'contact unmerge',
  summary: 'takes the merge of two contacts back',
  details:
    'WhatsApp said that a hidden address (lid) and a phone number are one person, and the two contacts became one. Both get back what they had at that moment: ' +
    'messages, turns, addresses, opt-outs, pauses and handoffs. What came since stays with the one that was kept. `audit_log` has the merges (contact.merge).',
  args: z.object({
    id: idArg.describe('the contact that was kept'),
    merged: idArg.optional().describe('the contact that went into it; nothing: the last one'),
  }),
  positional: ['id', 'merged'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id, merged }, actor) {
    const answer = await unmergeContact(ctx.db, actor.tenant, actor.id, id, merged ?? null);
    switch (answer.outcome) {
      case 'no_merge':
        return refused('not_found', `nothing was merged into contact ${id} that could be taken back`);
      case 'later_merge':
        return refused(
          'conflict',
          `contact ${answer.merged} was merged in after that: take it back first (contact unmerge ${id} ${answer.merged})`,
        );
      case 'unmerged':
        return { ok: true, result: { kept: id, merged: answer.merged } };
    }
  },
  text: ({ kept, merged }) => `Contact ${merged} is a person of its own again, beside contact ${kept}.`,
});

const merge = defineCommand({
  name: 'contact merge',
  summary: 'makes two contacts one person',
  details:
    'Another WhatsApp account under a known phone number is somebody new, who sees nothing of the one before: numbers are given to other people. When it is the same person after all ' +
    '(a deleted account, a mistake), this makes the two one again; `contact unmerge` takes it back. `audit_log` has the moves (contact.phone_moved).',
  args: z.object({
    id: idArg.describe('one of them'),
    other: idArg.describe('the other one'),
    reason: wordsArg.describe('how it is known'),
  }),
  positional: ['id', 'other'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id, other, reason }, actor) {
    const answer = await mergeByHand(ctx.db, actor.tenant, actor.id, id, other, reason);
    switch (answer.outcome) {
      case 'same':
        return refused('bad_request', 'a contact cannot be merged with itself');
      case 'unknown':
        return refused('not_found', `contacts ${id} and ${other} are not both there`);
      case 'merged':
        return { ok: true, result: { kept: answer.kept } };
    }
  },
  text: ({ kept }) => `They are one now: contact ${kept}.`,
});

const unlearn = defineCommand({
  name: 'instance unlearn',
  summary: 'takes back which hidden addresses (lids) a number said are whose',
  details:
    'For after the webhook secret of a number was in wrong hands: whoever has it can say that a stranger is a person whom you know, and the stranger goes on being taken for that person there. ' +
    'First end that secret: instance secret NAME, twice, since the one before counts for an hour, and wait half a minute. The true lids are learned again, each from the next message of its person. ' +
    'What waits for people at these lids is cancelled; a stranger’s messages stay where they were put. Audited.',
  args: z.object({
    name: nameArg,
    since: z.iso.datetime({ offset: true }).optional().describe('only those that were learned from then on; nothing: all'),
  }),
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name, since }, actor) {
    const lids = await unlearnLids(ctx.db, actor.tenant, actor.id, name, since === undefined ? null : new Date(since));
    return lids === null ? unknown(name) : { ok: true, result: { name, lids } };
  },
  text: ({ name, lids }) => `${name} says of ${lids} ${lids === 1 ? 'lid' : 'lids'} no more whose it is.`,
});

export const mergeCommands = [merge, unmerge, unlearn];
