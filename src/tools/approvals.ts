/** People are asked for a yes. */
import { approvalTold, listApprovals } from './calls.ts';
import { sendNotice } from '../notices/notices.ts';
import type { NoticeContext } from '../notices/notices.ts';
import { approvalText } from './tool-texts.ts';

/** Tells of an approval that waits; nothing when it is over. May be repeated: the notice's key lets one through. */
export async function tellOfApproval(ctx: NoticeContext, tenant: string, id: number): Promise<void> {
  for (const approval of await listApprovals(ctx.db, tenant, 1, id)) {
    if (approval.status !== 'waiting') continue;
    const expires = new Intl.DateTimeFormat('pt-BR', { timeZone: ctx.config.app.timeZone, dateStyle: 'short', timeStyle: 'short' }).format(
      approval.expires_at,
    );
    await sendNotice(ctx, { tenant, key: `approval-${id}`, kind: 'approval', text: approvalText(approval, expires), urgent: true });
    await approvalTold(ctx.db, id);
  }
}
