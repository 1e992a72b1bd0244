/** Who uses the console: users, their passwords and sessions in the database. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

/** Each may do what those before it may; as the roles of tokens. */
export const USER_ROLES = ['sender', 'operator', 'admin'] as const;

export type UserRole = (typeof USER_ROLES)[number];

/** SQL create_user: `hash` of a first password; audited. */
export async function createUser(
  db: Door,
  user: { tenant: string; email: string; role: UserRole; hash: string; actor: string },
): Promise<'created' | 'exists' | 'unknown_tenant'> {
  return z.object({ outcome: z.enum(['created', 'exists', 'unknown_tenant']) }).parse(
    await db.call('create_user', {
      p_tenant: user.tenant,
      p_email: user.email,
      p_role: user.role,
      p_hash: user.hash,
      p_actor: user.actor,
    }),
  ).outcome;
}

const reset = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('reset'), role: z.string() }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL reset_user: a new first password; all sessions end, and who was locked out or disabled may come in again. Audited. */
export async function resetUser(
  db: Door,
  change: { tenant: string; email: string; hash: string; actor: string; reason: string | null },
): Promise<z.infer<typeof reset>> {
  return reset.parse(
    await db.call('reset_user', {
      p_tenant: change.tenant,
      p_email: change.email,
      p_hash: change.hash,
      p_actor: change.actor,
      p_reason: change.reason,
    }),
  );
}

const disabled = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('disabled'), sessions: z.number() }),
  z.object({ outcome: z.enum(['already', 'unknown']) }),
]);

/** SQL disable_user: nobody comes in with this e-mail, and who is in is out. Audited. */
export async function disableUser(
  db: Door,
  change: { tenant: string; email: string; actor: string; reason: string | null },
): Promise<z.infer<typeof disabled>> {
  return disabled.parse(
    await db.call('disable_user', { p_tenant: change.tenant, p_email: change.email, p_actor: change.actor, p_reason: change.reason }),
  );
}

const listed = z.object({
  email: z.string(),
  role: z.string(),
  created_at: time,
  created_by: z.string(),
  logged_in_at: time.nullable(),
  /** Too many wrong passwords: none is right until then. */
  locked_until: time.nullable(),
  disabled_at: time.nullable(),
  disabled_by: z.string().nullable(),
  /** It has the password that it was given, and has not come in yet. */
  must_change: z.boolean(),
  sessions: z.number(),
  /** The newest first. */
  passwords: z.array(z.object({ at: time, asked_by: z.string(), temporary: z.boolean() })),
});

export type ListedUser = z.infer<typeof listed>;

/** SQL list_users: who may use the console, and who asked for which password. */
export async function listUsers(db: Door, tenant: string, limit: number): Promise<ListedUser[]> {
  return z.array(listed).parse(await db.call('list_users', { p_tenant: tenant, p_limit: limit }));
}

/** SQL has_users: whether anybody may use the console yet. */
export async function hasUsers(db: Door): Promise<boolean> {
  return z.object({ any: z.boolean() }).parse(await db.call('has_users', {})).any;
}

const begun = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('check'), user_id: z.number(), password_id: z.number(), hash: z.string() }),
  z.object({ outcome: z.literal('no') }),
]);

/** SQL begin_login: counts the attempt, and gives what to compare the password with; `no` of who is unknown, disabled or locked out. */
export async function beginLogin(db: Door, email: string): Promise<z.infer<typeof begun>> {
  return begun.parse(await db.call('begin_login', { p_email: email }));
}

/** SQL wrong_password: the attempt that was counted had the wrong one; audited when it was the tenth. */
export async function wrongPassword(db: Door, user: number): Promise<void> {
  await db.call('wrong_password', { p_user: user });
}

/** SQL open_session: the password was right. `session`: digest of the token. False: disabled, or another password, meanwhile. Audited. */
export async function openSession(db: Door, user: number, password: number, session: string): Promise<boolean> {
  const answer = await db.call('open_session', { p_user: user, p_password: password, p_session: session });
  return z.object({ outcome: z.enum(['open', 'no']) }).parse(answer).outcome === 'open';
}

const used = z
  .object({ user_id: z.number(), email: z.string(), role: z.string(), tenant: z.string(), must_change: z.boolean() })
  .nullable();

export type SessionUser = NonNullable<z.infer<typeof used>>;

/** SQL use_session: whose session it is; null when it is over. */
export async function useSession(db: Door, session: string): Promise<SessionUser | null> {
  return used.parse(await db.call('use_session', { p_session: session }));
}

/** SQL close_session: the person leaves. */
export async function closeSession(db: Door, session: string): Promise<void> {
  await db.call('close_session', { p_session: session });
}

/** SQL change_password: all sessions end, and `session` begins. False: disabled, or another password, meanwhile. Audited. */
export async function changePassword(
  db: Door,
  change: { user: number; password: number; hash: string; session: string },
): Promise<boolean> {
  const answer = await db.call('change_password', {
    p_user: change.user,
    p_password: change.password,
    p_hash: change.hash,
    p_session: change.session,
  });
  return z.object({ outcome: z.enum(['changed', 'no']) }).parse(answer).outcome === 'changed';
}
