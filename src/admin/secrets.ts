/** instance key, secrets rotate: secrets that are kept in the database, sealed. */
import { z } from 'zod';
import { listSealedSecrets, setInstanceKey, swapSecret } from '../numbers/secret-calls.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { ownerOf } from '../numbers/keys.ts';
import { listTenantSecrets, swapTenantSecret } from '../tools/calls.ts';
import { secretOwner } from '../tools/client.ts';
import { openSecret, sealSecret } from '../process/secrets.ts';
import { webhookSecretOf } from '../numbers/webhook-secrets.ts';
import { defineCommand, noSecretsKey, refused, wordsArg } from './command.ts';
import { nameArg } from './instances.ts';

const key = defineCommand({
  name: 'instance key',
  summary: 'gives a number a key of its own at Evolution',
  details:
    "Evolution's token of the instance, used in place of EVOLUTION_API_KEY for this number; without KEY it is taken away. Stored sealed with SECRETS_KEY; each process uses it within half a minute. " +
    'Making new numbers still needs EVOLUTION_API_KEY. Audited without the key.',
  args: z.object({ name: nameArg, key: wordsArg.optional().describe("the instance's token") }),
  positional: ['name', 'key'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name, key }, actor) {
    const { secrets } = ctx.config;
    if (secrets === null) return noSecretsKey();
    const sealed = key === undefined ? null : sealSecret(secrets, key, ownerOf(name));
    if (!(await setInstanceKey(ctx.db, actor.tenant, name, sealed, actor.id))) return refused('not_found', `there is no number ${name}`);
    return { ok: true, result: { name, own_key: sealed !== null } };
  },
  text: ({ name, own_key: own }) => (own ? `${name} has a key of its own.` : `${name} uses EVOLUTION_API_KEY.`),
});

/** Of a webhook, as against a key. */
const SECRET = 'webhook secret';
const TOOL_SECRET = 'tool secret';

const rotate = defineCommand({
  name: 'secrets rotate',
  summary: 'seals all stored secrets with the current SECRETS_KEY',
  details:
    'After SECRETS_KEY was changed and SECRETS_KEY_PREVIOUS set to the old one, in all processes. When it says that none is left, SECRETS_KEY_PREVIOUS can go. May be repeated, and run ' +
    'while everything works. Keys and webhook secrets of all numbers, and secrets of tools, for the tenant default; its own for another tenant.',
  args: z.object({}),
  readOnly: false,
  role: 'admin',
  async run(ctx, _args, actor) {
    const { secrets } = ctx.config;
    if (secrets === null) return noSecretsKey();
    const result = { rotated: 0, current: 0, unreadable: [] as string[] };
    for (const { name, kind, sealed } of await listSealedSecrets(ctx.db, actor.tenant === 'default' ? null : actor.tenant)) {
      const owner = kind === 'evolution_key' ? ownerOf(name) : webhookSecretOf(name);
      const opened = openSecret(secrets, sealed, owner);
      if (opened === null) result.unreadable.push(kind === 'evolution_key' ? name : `${name} (${SECRET})`);
      else if (opened.current) result.current++;
      // Somebody may have set another one meanwhile: that one stays.
      else if (await swapSecret(ctx.db, name, sealed, sealSecret(secrets, opened.text, owner))) result.rotated++;
    }
    for (const { tenant, name, sealed } of await listTenantSecrets(ctx.db, actor.tenant === 'default' ? null : actor.tenant)) {
      const owner = secretOwner(tenant, name);
      const opened = openSecret(secrets, sealed, owner);
      if (opened === null) result.unreadable.push(`${name} (${TOOL_SECRET}, ${tenant})`);
      else if (opened.current) result.current++;
      else if (await swapTenantSecret(ctx.db, { tenant, name, old: sealed }, sealSecret(secrets, opened.text, owner))) result.rotated++;
    }
    await recordAudit(ctx.db, { tenant: actor.tenant, actor: actor.id, action: 'secrets.rotate', subject: 'instances', details: result });
    return { ok: true, result };
  },
  text: ({ rotated, current, unreadable }) =>
    [
      `${rotated} secrets are sealed anew, ${current} were already.`,
      ...(unreadable.length === 0
        ? ['None is left of the previous key.']
        : [
            `Of neither key, so they must be set again (instance key${unreadable.some((each) => each.includes(SECRET)) ? ', instance secret' : ''}): ${unreadable.join(', ')}`,
          ]),
    ].join('\n'),
});

export const secretCommands = [key, rotate];
