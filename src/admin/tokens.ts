/** token list, token revoke: who has a token for /api and /admin, and taking one away. */
import { z } from 'zod';
import { listTokens, revokeToken } from '../people/token-calls.ts';
import { defineCommand, flagArg, limitArg, refused, wordsArg } from './command.ts';

const list = defineCommand({
  name: 'token list',
  summary: 'the tokens that count: for whom, with which role, until when, last used',
  details:
    'A token is in this list when it was made by `token`, and one that was signed elsewhere with JWT_SECRET_KEY from its first use on. The token itself is stored nowhere.',
  args: z.object({
    all: flagArg.describe('also those that have expired or were revoked'),
    limit: limitArg.default(100).describe('at most so many'),
  }),
  flags: ['all'],
  readOnly: true,
  role: 'admin',
  run: async (ctx, { all, limit }, { tenant }) => ({ ok: true, result: { tokens: await listTokens(ctx.db, tenant, all, limit) } }),
  text({ tokens }, format) {
    if (tokens.length === 0) return 'There is no token. To make one: token operator --sub NAME.';
    return tokens
      .map((each) => {
        const used = each.used_at === null ? 'never used' : `last used ${format(each.used_at)}`;
        const over = each.revoked_at === null ? '' : `; REVOKED ${format(each.revoked_at)} by ${each.revoked_by ?? 'somebody'}`;
        return `${each.id}  ${each.role} ${each.sub}, until ${format(each.expires_at)}, ${used}${each.issued_by === null ? ', signed elsewhere' : `, made by ${each.issued_by}`}${over}`;
      })
      .join('\n');
  },
});

const revoke = defineCommand({
  name: 'token revoke',
  summary: 'takes a token away: from the next request on it is refused, by every process',
  details:
    'ID as token list shows it. Audited. It cannot be taken back: make a new one. Example: token revoke 5f0c7b0e-1d1c-4b53-9a53-2f1d5f3a9c11.',
  args: z.object({ id: wordsArg.describe('id of the token'), reason: wordsArg.optional().describe('why; the audit names it') }),
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id, reason }, actor) {
    const answer = await revokeToken(ctx.db, actor.tenant, id, actor.id, reason ?? null);
    switch (answer.outcome) {
      case 'unknown':
        return refused('not_found', `there is no token ${id}; token list shows them`);
      case 'already':
        return refused('conflict', `the token ${id} was revoked before`);
      case 'revoked':
        return { ok: true, result: { id, sub: answer.sub, role: answer.role } };
    }
  },
  text: ({ id, sub, role }) => `The token ${id} (${role} ${sub}) counts no more.`,
});

export const tokenListCommands = [list, revoke];
