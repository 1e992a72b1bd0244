/** token: a token for /api and /admin. Not over HTTP: whoever has an admin's token for an hour must not make one for years of it. */
import { z } from 'zod';
import { loadConfig } from '../config.ts';
import { TOKEN_ROLES } from '../routes/auth.ts';
import { defineLocalCommand, idArg, refused, wordsArg } from './command.ts';

const DAY_SECONDS = 86_400;
const MAX_DAYS = 3_650;

const token = defineLocalCommand({
  name: 'token',
  summary: 'makes a token for /api and /admin',
  details:
    'Signed with JWT_SECRET_KEY; nothing is stored, so a token ends by its time or with its key (JWT_SECRET_KEY_PREVIOUS during a rotation). A sender posts ' +
    'messages and asks for them, an operator runs what is for operators too, an admin everything.',
  args: z.object({
    role: z.enum(TOKEN_ROLES, `must be one of ${TOKEN_ROLES.join(', ')}`).describe(TOKEN_ROLES.join(', ')),
    sub: wordsArg.describe('who it is for: a person or a system; the audit names it'),
    days: idArg
      .pipe(z.number().max(MAX_DAYS, `must be at most ${MAX_DAYS}`))
      .default(1)
      .describe('how long it is valid; 1 when left out'),
    tenant: wordsArg.default('default').describe('the tenant it is for; default when left out'),
  }),
  positional: ['role'],
  async run(env, { role, sub, days, tenant }) {
    const loaded = loadConfig(env, { mode: 'admin' });
    if (!loaded.ok) return refused('conflict', loaded.problems.join('\n'));
    const { jwtSecret } = loaded.config.auth;
    if (jwtSecret === null) return refused('conflict', 'JWT_SECRET_KEY: must be set to that of the installation');
    const { SignJWT } = await import('jose');
    const ends = Math.floor(Date.now() / 1000) + days * DAY_SECONDS;
    const jwt = new SignJWT({ role, tenant }).setProtectedHeader({ alg: 'HS256' }).setSubject(sub).setIssuedAt().setExpirationTime(ends);
    return {
      ok: true,
      result: { token: await jwt.sign(new TextEncoder().encode(jwtSecret)), role, tenant, expires_at: new Date(ends * 1000).toISOString() },
    };
  },
  text: (result) => result.token,
});

export const tokenCommands = [token];
