/** contact merge, contact unmerge: one person who was taken for two, and two who were taken for one. */
import { z } from 'zod';
import { mergeByHand, unmergeContact } from '../people/merge-calls.ts';
import { defineCommand, idArg, refused, wordsArg } from './command.ts';

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

export const mergeCommands = [merge, unmerge];
