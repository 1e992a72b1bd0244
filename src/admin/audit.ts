/** audit list: who did what. */
import { z } from 'zod';
import { oneLine } from '../words/foreign-text.ts';
import { listAudit } from '../people/audit-calls.ts';
import { defineCommand, idArg, limitArg } from './command.ts';

const list = defineCommand({
  name: 'audit list',
  summary: 'who did what: every change that a person made, the newest first',
  details: 'Commands here, over HTTP, by Slack and by WhatsApp write it; nothing but the owner of the database can change or delete it.',
  args: z.object({
    limit: limitArg.default(50).describe('at most so many'),
    before: idArg.optional().describe('only what is older than this id of the list'),
  }),
  readOnly: true,
  role: 'admin',
  async run(ctx, { limit, before }, { tenant }) {
    return { ok: true, result: { entries: await listAudit(ctx.db, tenant, limit, before ?? null) } };
  },
  text({ entries }, format) {
    if (entries.length === 0) return 'Nobody has changed anything.';
    return entries
      .map(
        ({ id, at, actor, action, subject, details }) =>
          `${id}  ${format(at)}  ${oneLine(actor, 200)}  ${action} ${oneLine(subject ?? '', 200)}  ${JSON.stringify(details)}`,
      )
      .join('\n');
  },
});

export const auditCommands = [list];
