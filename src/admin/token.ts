/** token: a token for /api and /admin. Not over HTTP: who has an admin's token for an hour must not make one for months of it. */
import { z } from 'zod';
import { loadConfig } from '../config.ts';
import type { Config } from '../config.ts';
import type { Environment } from '../config/environment.ts';
import { addToken, TOKEN_ROLES } from '../people/token-calls.ts';
import type { SignedToken } from '../people/token-calls.ts';
import { toError } from '../process/errors.ts';
import { createLogger } from '../process/log.ts';
import { actorOf, defineLocalCommand, idArg, refused, wordsArg } from './command.ts';
import type { Refusal } from './command.ts';

const DAY_SECONDS = 86_400;

const token = defineLocalCommand({
  name: 'token',
  summary: 'makes a token for /api and /admin',
  details:
    'Signed with JWT_SECRET_KEY and written down without the token itself, so that token list shows it and token revoke ends it. It also ends by its time (TOKEN_MAX_DAYS at ' +
    'most) and with its key (JWT_SECRET_KEY_PREVIOUS during a rotation). A sender posts messages and asks for them, an operator runs what is for operators too, an admin everything.',
  args: z.object({
    role: z.enum(TOKEN_ROLES, `must be one of ${TOKEN_ROLES.join(', ')}`).describe(TOKEN_ROLES.join(', ')),
    sub: wordsArg.describe('who it is for: a person or a system; the audit names it'),
    days: idArg.default(1).describe('how long it is valid; 1 when left out, TOKEN_MAX_DAYS at most'),
    tenant: wordsArg.default('default').describe('the tenant it is for; default when left out'),
  }),
  positional: ['role'],
  async run(env, { role, sub, days, tenant }) {
    const loaded = loadConfig(env, { mode: 'admin' });
    if (!loaded.ok) return refused('conflict', loaded.problems.join('\n'));
    const { config } = loaded;
    const { jwtSecret, maxTokenDays } = config.auth;
    if (jwtSecret === null) return refused('conflict', 'JWT_SECRET_KEY: must be set to that of the installation');
    if (days > maxTokenDays)
      return refused('bad_request', `days: must be at most ${maxTokenDays} (TOKEN_MAX_DAYS); a longer one would be refused`);
    const id = crypto.randomUUID();
    const now = Math.floor(Date.now() / 1000);
    const expiresAt = new Date((now + days * DAY_SECONDS) * 1000);
    const trouble = await writeDown(config, env, { id, tenant, sub, role, expiresAt });
    if (trouble !== null) return trouble;
    const { SignJWT } = await import('jose');
    const jwt = new SignJWT({ role, tenant })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(sub)
      .setJti(id)
      .setIssuedAt(now)
      .setExpirationTime(expiresAt);
    const signed = await jwt.sign(new TextEncoder().encode(jwtSecret));
    return { ok: true, result: { token: signed, id, role, tenant, expires_at: expiresAt.toISOString() } };
  },
  text: (result) => result.token,
});

export const tokenCommands = [token];

/** Before it exists: a token that nobody can list must not. Without a database of its own (./scripts/dev from outside) its first use writes it down. */
async function writeDown(config: Config, env: Environment, signed: SignedToken): Promise<Refusal | null> {
  if (config.database.kind === 'embedded') return null;
  const log = createLogger({
    level: 'ERROR',
    service: config.app.service,
    pretty: false,
    secrets: config.log.secrets,
    destination: process.stderr,
  });
  try {
    // Loaded here: help and mistakes need none of it.
    const { openAdminContext } = await import('../context.ts');
    await using ctx = await openAdminContext(config, log);
    if (await addToken(ctx.db, signed, actorOf(env))) return null;
    return refused('not_found', `there is no tenant ${signed.tenant}`);
  } catch (error) {
    return refused('unavailable', `the token could not be written down, so there is none: ${toError(error).message}`);
  }
}
