/** What a restored database is told about itself. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const restored = z.object({ uncertain: z.number(), scheduled: z.number(), unanswered: z.number(), instances: z.array(z.string()) });

export type Restored = z.infer<typeof restored>;

/** SQL mark_restored: once, after a restore and before anything starts: what may have left since the backup is looked up, not sent again. */
export async function markRestored(db: Door, backupAt: Date, actor: string): Promise<Restored> {
  return restored.parse(await db.call('mark_restored', { p_backup_at: backupAt.toISOString(), p_actor: actor }));
}
