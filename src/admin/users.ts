/** user create, reset, disable, list: who may use the console. */
import { z } from 'zod';
import { hashPassword, randomPassword } from '../people/passwords.ts';
import { createUser, disableUser, listUsers, resetUser, USER_ROLES } from '../people/user-calls.ts';
import { defineCommand, limitArg, refused, wordsArg } from './command.ts';
import type { Outcome } from './command.ts';

export const emailArg = wordsArg
  .max(200, 'must have at most 200 characters')
  .transform((given) => given.toLowerCase())
  .refine((given) => /^[^\s@,;<>"']+@[^\s@,;<>"']+$/.test(given), 'must be an e-mail address');

const emailOf = emailArg.describe('e-mail of the person');

const create = defineCommand({
  name: 'user create',
  summary: 'lets somebody use the console',
  details:
    'Prints a first password once, which is changed at the first login; of it a digest is stored. A sender comes in and changes the password, an operator works with conversations, ' +
    'numbers and alerts, an admin with users, limits and erasures too. Audited without the password.',
  args: z.object({
    email: emailOf,
    role: z.enum(USER_ROLES, `must be one of ${USER_ROLES.join(', ')}`).describe(USER_ROLES.join(', ')),
  }),
  positional: ['email'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { email, role }, actor): Promise<Outcome<Given>> {
    const password = randomPassword();
    const outcome = await createUser(ctx.db, { tenant: actor.tenant, email, role, hash: await hashPassword(password), actor: actor.id });
    switch (outcome) {
      case 'exists':
        return refused('conflict', `somebody has the e-mail ${email} already (user list; user reset gives a new password)`);
      case 'unknown_tenant':
        return refused('not_found', `there is no tenant ${actor.tenant}`);
      case 'created':
        return { ok: true, result: { email, role, password, console: consoleOf(ctx.config.app.baseUrl) } };
    }
  },
  text: given,
});

const reset = defineCommand({
  name: 'user reset',
  summary: 'gives a user of the console a new first password',
  details: 'All sessions of the user end. Who was locked out by wrong passwords, or disabled, may come in again with it. Audited.',
  args: z.object({ email: emailOf, reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['email'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { email, reason }, actor): Promise<Outcome<Given>> {
    const password = randomPassword();
    const hash = await hashPassword(password);
    const answer = await resetUser(ctx.db, { tenant: actor.tenant, email, hash, actor: actor.id, reason: reason ?? null });
    if (answer.outcome === 'unknown') return refused('not_found', `there is no user ${email} (user list shows them)`);
    return { ok: true, result: { email, role: answer.role, password, console: consoleOf(ctx.config.app.baseUrl) } };
  },
  text: given,
});

const disable = defineCommand({
  name: 'user disable',
  summary: 'nobody comes into the console with this e-mail any more, and who is in is out at once',
  details: 'Every process asks at each request, so it holds with the next one. user reset lets the person in again. Audited.',
  args: z.object({ email: emailOf, reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['email'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { email, reason }, actor): Promise<Outcome<{ email: string; sessions: number }>> {
    const answer = await disableUser(ctx.db, { tenant: actor.tenant, email, actor: actor.id, reason: reason ?? null });
    switch (answer.outcome) {
      case 'unknown':
        return refused('not_found', `there is no user ${email} (user list shows them)`);
      case 'already':
        return refused('conflict', `user ${email} is disabled already; nothing was changed`);
      case 'disabled':
        return { ok: true, result: { email, sessions: answer.sessions } };
    }
  },
  text: ({ email, sessions }) => `User ${email} is disabled; ${sessions} session${sessions === 1 ? '' : 's'} ended.`,
});

const list = defineCommand({
  name: 'user list',
  summary: 'who may use the console, and who asked for which password',
  details:
    'With role, last login, whether the first password was changed yet, locks, and the history of passwords: when and by whom, never what.',
  args: z.object({ limit: limitArg.default(100).describe('at most so many') }),
  readOnly: true,
  role: 'admin',
  run: async (ctx, { limit }, { tenant }) => ({ ok: true, result: { users: await listUsers(ctx.db, tenant, limit) } }),
  text({ users }, format) {
    if (users.length === 0) return 'Nobody may use the console yet. To let somebody in: user create EMAIL --role admin.';
    return users
      .map((each) => {
        const state =
          each.disabled_at !== null
            ? `DISABLED ${format(each.disabled_at)} by ${each.disabled_by ?? 'somebody'}`
            : each.locked_until !== null
              ? `locked out until ${format(each.locked_until)} (too many wrong passwords; user reset ends it)`
              : each.must_change
                ? 'has not changed the first password yet'
                : `last login ${each.logged_in_at === null ? 'never' : format(each.logged_in_at)}, ${each.sessions} open session${each.sessions === 1 ? '' : 's'}`;
        const passwords = each.passwords.map(
          ({ at, asked_by, temporary }) =>
            `  ${format(at)}  ${temporary ? 'a first password' : 'a password of their own'}, asked for by ${asked_by}`,
        );
        return [`${each.email}  ${each.role}, made by ${each.created_by}: ${state}`, ...passwords].join('\n');
      })
      .join('\n');
  },
});

export const userCommands = [create, reset, disable, list];

type Given = { email: string; role: string; password: string; console: string };

function given({ email, role, password, console: address }: Given): string {
  return `${email} (${role}) comes into ${address} with this password, which is shown this once and must be changed there:\n${password}`;
}

function consoleOf(baseUrl: string | null): string {
  return `${baseUrl ?? ''}/console`;
}
