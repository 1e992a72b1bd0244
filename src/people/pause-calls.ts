/** The stop button in the database. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

export const PAUSE_SCOPES = ['all', 'tenant', 'instance', 'campaign', 'conversation'] as const;

export type PauseScope = (typeof PAUSE_SCOPES)[number];

export const pause = z.object({
  scope: z.enum(PAUSE_SCOPES),
  target: z.string(),
  motivo: z.string().nullable(),
  alterado_via: z.string().nullable(),
  since: time,
});

export type Pause = z.infer<typeof pause>;

const switched = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('done'), was: z.enum(['pausado', 'ativo']), still: z.array(pause) }),
  z.object({ outcome: z.literal('unknown_target') }),
  z.object({ outcome: z.literal('not_yours') }),
]);

export type PauseRequest = {
  tenant: string;
  actor: string;
  status: 'pausado' | 'ativo';
  scope: PauseScope;
  /** '' for all */
  target: string;
  reason: string | null;
};

/** SQL pauses: what is paused now, the newest first. */
export async function listPauses(db: Door, tenant: string): Promise<Pause[]> {
  return z.array(pause).parse(await db.call('pauses', { p_tenant: tenant }));
}

/** SQL set_pause: stops or starts again everything or a part of it; audited. */
export async function setPause(db: Door, request: PauseRequest): Promise<z.infer<typeof switched>> {
  return switched.parse(
    await db.call('set_pause', {
      p_tenant: request.tenant,
      p_actor: request.actor,
      p_status: request.status,
      p_scope: request.scope,
      p_target: request.target,
      p_reason: request.reason,
    }),
  );
}
