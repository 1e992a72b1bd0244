/** suspicion list, dismiss; identity: contacts who ask whether they talk with a machine, and what they get. */
import { oneLine } from '../words/foreign-text.ts';
import { z } from 'zod';
import { botSuspicion, dismissSuspicion, IDENTITIES, listSuspicions, setIdentity } from '../people/suspicion-calls.ts';
import { defineCommand, idArg, limitArg, refused, wordsArg } from './command.ts';

const list = defineCommand({
  name: 'suspicion list',
  summary: 'contacts who asked whether they talk with a machine, and their share in 7 days',
  details: 'The newest first. The share counts conversations, and leaves out what was dismissed.',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: { figure: await botSuspicion(ctx.db, tenant), suspicions: await listSuspicions(ctx.db, tenant, limit) } };
  },
  text({ figure: { flagged, conversations, share }, suspicions }, format) {
    const lines = suspicions.map((each) => {
      const dismissed = each.false_positive_at === null ? '' : `  (dismissed by ${each.marked_by ?? 'somebody'})`;
      return `${each.id}  ${format(each.created_at)}  conversation ${each.conversation_id}: ${oneLine(each.text, 400)}${dismissed}`;
    });
    return [`${flagged} of ${conversations} conversations in 7 days (${(share * 100).toFixed(1)} %).`, ...lines].join('\n');
  },
});

const dismiss = defineCommand({
  name: 'suspicion dismiss',
  summary: 'it was no such question: it is not counted',
  details: 'For a false positive. It stays in the list, marked.',
  args: z.object({ id: idArg.describe('id of the entry'), reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { id, reason }, actor) {
    const outcome = await dismissSuspicion(ctx.db, actor.tenant, id, actor.id, reason ?? null);
    if (outcome === 'unknown') return refused('not_found', `there is no entry ${id} (suspicion list shows them)`);
    return outcome === 'already' ? refused('conflict', `entry ${id} is dismissed already`) : { ok: true, result: { dismissed: id } };
  },
  text: ({ dismissed }) => `Entry ${dismissed} is not counted any more.`,
});

const identity = defineCommand({
  name: 'identity',
  summary: 'what a contact gets who asks whether it talks with a machine',
  details:
    'answer: the truth and the offer of a person (the default). handoff: the truth, and a person is called at once. There is no setting in which the agent denies what it is.',
  args: z.object({
    setting: z.enum(IDENTITIES, `must be one of ${IDENTITIES.join(', ')}`).describe(IDENTITIES.join(', ')),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['setting'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { setting, reason }, actor) {
    const answer = await setIdentity(ctx.db, { tenant: actor.tenant, identity: setting, actor: actor.id, reason: reason ?? null });
    return answer.outcome === 'unknown'
      ? refused('not_found', `there is no tenant ${actor.tenant}`)
      : { ok: true, result: { setting, was: answer.was } };
  },
  text: ({ setting, was }) => `Identity: ${setting}${setting === was ? ' (it was already)' : ` (it was ${was})`}.`,
});

export const suspicionCommands = [list, dismiss, identity];
