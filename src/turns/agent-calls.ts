/** The agents of the installation. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

export type DefaultAgent = { name: string; tone: string; instructions: string; promises: string };

/** SQL ensure_setup: the number and the agent without which nothing runs. Idempotent. Errors: DatabaseRefused WA003, another project's database. */
export async function ensureSetup(
  db: Door,
  setup: { instance: string | null; project_ref: string | null; agent: DefaultAgent },
): Promise<void> {
  await db.call('ensure_setup', { p_setup: setup });
}

const agentRow = z.object({
  tenant_id: z.string(),
  slug: z.string(),
  name: z.string(),
  tone: z.string(),
  instructions: z.string(),
  promises: z.string(),
  model: z.string().nullable(),
  model_complex: z.string().nullable(),
  tools: z.array(z.string()),
});

/** SQL list_agents: the agents that answer, as they are now. */
export async function listAgents(db: Door): Promise<z.infer<typeof agentRow>[]> {
  return z.array(agentRow).parse(await db.call('list_agents', {}));
}
