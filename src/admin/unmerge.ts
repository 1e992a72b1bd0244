/** contact unmerge: two people who were taken for one. */
import { z } from 'zod';
import { unmergeContact } from '../db/numbers.ts';
import { defineCommand, idArg, refused } from './command.ts';

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

export const unmergeCommands = [unmerge];
