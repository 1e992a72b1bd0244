/** approval list, approve, refuse: calls of tools that wait for a person's yes. */
import { z } from 'zod';
import { decideApproval, listApprovals } from '../tools/calls.ts';
import type { Approval } from '../tools/calls.ts';
import { sendToolWrite } from '../tools/writes.ts';
import { oneLine, printable, shownName } from '../words/foreign-text.ts';
import { defineCommand, idArg, limitArg, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome } from './command.ts';

const list = defineCommand({
  name: 'approval list',
  summary: 'calls of tools that wait for a yes',
  details: 'The oldest first, with what would be sent, why it waits, and until when.',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: { approvals: await listApprovals(ctx.db, tenant, limit) } };
  },
  text: ({ approvals }, format) =>
    approvals.length === 0 ? 'Nothing waits for a yes.' : approvals.map((each) => block(each, format)).join('\n'),
});

type Decided = { approval: number; decided: 'approved' | 'refused'; again: boolean; write: string | null; woken: boolean };

const approve = defineCommand({
  name: 'approval approve',
  summary: 'says yes to a call of a tool: it leaves at once, once',
  details:
    'The call is the one that was asked for, whatever became of the tool since. The first answer in time counts. What came of it is told to the contact, and here. Audited.',
  args: z.object({ id: idArg.describe('id of the approval'), reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { id, reason }, actor) => decide(ctx, actor, { id, yes: true, reason: reason ?? null }),
  text: ({ approval, again, write, woken }) => {
    const said = write === null ? 'Its call is under way, or leaves when a pause ends.' : (WRITES[write] ?? write);
    return [`Approval ${approval} is given${again ? ' (you had given it already)' : ''}. ${said}`, ...(woken ? [] : [NOT_WOKEN])].join(
      '\n',
    );
  },
});

const refuse = defineCommand({
  name: 'approval refuse',
  summary: 'says no to a call of a tool: it does not leave, and the contact is told',
  details: 'In the words that the tool has for it. The first answer in time counts. Audited.',
  args: z.object({ id: idArg.describe('id of the approval'), reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { id, reason }, actor) => decide(ctx, actor, { id, yes: false, reason: reason ?? null }),
  text: ({ approval, woken }) => [`Approval ${approval} is refused: nothing leaves.`, ...(woken ? [] : [NOT_WOKEN])].join('\n'),
});

const WRITES: Readonly<Record<string, string>> = {
  done: 'It is done.',
  failed: 'The service refused it, or it never left: a person has the conversation.',
  uncertain: 'Nobody knows whether it was carried out: look in the service; a person has the conversation.',
  queued: 'The service is not reachable; it is tried again.',
};

async function decide(
  ctx: AdminContext,
  actor: Actor,
  { id, yes, reason }: { id: number; yes: boolean; reason: string | null },
): Promise<Outcome<Decided>> {
  const answer = await decideApproval(ctx.db, { tenant: actor.tenant, id, yes, actor: actor.id, reason });
  switch (answer.outcome) {
    case 'unknown':
      return refused('not_found', `there is no approval ${id} (approval list shows them)`);
    case 'expired':
      return refused('conflict', `approval ${id} was not given in time: nothing leaves`);
    case 'already':
      return refused('conflict', `approval ${id} is ${answer.status} already, by ${answer.by ?? 'somebody'}`);
    case 'approved':
    case 'refused': {
      const { outcome: decided, again, write_id: write, conversation_id: conversation } = answer;
      const sent = yes ? await sendToolWrite(ctx, write) : null;
      return {
        ok: true,
        result: { approval: id, decided, again, write: sent, woken: await woken(ctx, () => ctx.queues.wakeSend(conversation)) },
      };
    }
  }
}

function block(each: Approval, format: FormatTime): string {
  const who = shownName(each.contact) ?? 'a contact without a name';
  return [
    `approval ${each.id}  ${each.tool} (${each.class})  conversation ${each.conversation_id}, ${who} on ${each.instance}  until ${format(each.expires_at)}`,
    `  > ${printable(each.asked ?? '').replaceAll('\n', '\n  > ')}`,
    `  ${oneLine(JSON.stringify(each.input), 500)}`,
    `  ${each.request.method} ${oneLine(each.request.url, 300)}; waits because of ${each.risks.join(', ')}`,
  ].join('\n');
}

export const approvalCommands = [list, approve, refuse];
