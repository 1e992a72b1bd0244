/** tenant create, list, show, audit: the tenants of the installation, for its own admins. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { hashPassword, randomPassword } from '../people/passwords.ts';
import { sealSecret } from '../process/secrets.ts';
import { auditTenants, createTenant, listTenants } from '../tenants/calls.ts';
import type { ListedTenant } from '../tenants/calls.ts';
import { secretOwner } from '../tools/client.ts';
import { defaultAgent } from '../turns/default-agent.ts';
import { defineCommand, noSecretsKey, refused, wordsArg } from './command.ts';
import type { Actor, Outcome, Refusal } from './command.ts';
import { emailArg } from './users.ts';

/** Of its own, and of nobody else: what an installation or a program of this tenant is configured with. */
const SECRETS = ['JWT_SECRET', 'WHATSAPP_WEBHOOK_API_KEY'] as const;

const slugArg = z
  .string()
  .trim()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be small letters, digits and hyphens, at most 40')
  .describe('short name of the tenant');

function strangerTo({ tenant }: Actor): Refusal | null {
  return tenant === 'default' ? null : refused('forbidden', 'tenants belong to the installation: only the tenant default may do this');
}

type Created = { slug: string; created: boolean; email?: string; password?: string; secret?: Record<string, string> };

const create = defineCommand({
  name: 'tenant create',
  summary: 'makes a tenant with its agent, its secrets and its first admin',
  details:
    'Prints the secrets and the first password once. With the same slug again it says that the tenant is there, changes nothing and prints none. All or nothing; of many at once one makes it. ' +
    'Secrets are stored sealed with SECRETS_KEY. Audited without them.',
  args: z.object({
    slug: slugArg,
    name: wordsArg.describe('what people call it'),
    'owner-name': wordsArg.describe('who answers for it'),
    'owner-email': emailArg.describe('e-mail of the owner, who becomes its first admin'),
    squad: wordsArg.optional().describe('team that looks after it'),
    sla: wordsArg.optional().describe('what was agreed'),
  }),
  positional: ['slug'],
  readOnly: false,
  role: 'admin',
  async run(ctx, args, actor): Promise<Outcome<Created>> {
    const stranger = strangerTo(actor);
    if (stranger !== null) return stranger;
    const { slug, name, squad, sla } = args;
    const { secrets } = ctx.config;
    if (secrets === null) return noSecretsKey();
    const owner = { name: args['owner-name'], email: args['owner-email'] };
    const secret = Object.fromEntries(SECRETS.map((each) => [each, randomBytes(32).toString('hex')]));
    const password = randomPassword();
    const outcome = await createTenant(ctx.db, {
      slug,
      name,
      settings: { createdBy: owner, owner, ...(squad === undefined ? {} : { squad }), ...(sla === undefined ? {} : { sla }) },
      agent: defaultAgent,
      secrets: Object.fromEntries(Object.entries(secret).map(([each, text]) => [each, sealSecret(secrets, text, secretOwner(slug, each))])),
      email: owner.email,
      hash: await hashPassword(password),
      actor: actor.id,
    });
    switch (outcome) {
      case 'exists':
        return { ok: true, result: { slug, created: false } };
      case 'email_taken':
        return refused('conflict', `somebody has the e-mail ${owner.email} already (an e-mail belongs to one tenant); nothing was made`);
      case 'created':
        return { ok: true, result: { slug, created: true, email: owner.email, password, secret } };
    }
  },
  text({ slug, created, email, password, secret }) {
    if (!created) return `Tenant ${slug} is there already; nothing was changed, and its secrets are not shown again.`;
    const secrets = Object.entries(secret ?? {}).map(([name, text]) => `${name}=${text}`);
    return [
      `Tenant ${slug} is made. What follows is shown this once.`,
      ...secrets,
      `${email ?? ''} comes into the console with this password, and must change it there:`,
      password ?? '',
    ].join('\n');
  },
});

const list = defineCommand({
  name: 'tenant list',
  summary: 'the tenants of the installation',
  details: 'With how many numbers and users each has.',
  args: z.object({}),
  readOnly: true,
  role: 'admin',
  run: async (ctx, _args, actor): Promise<Outcome<{ tenants: ListedTenant[] }>> =>
    strangerTo(actor) ?? { ok: true, result: { tenants: await listTenants(ctx.db, null) } },
  text: ({ tenants }, format) =>
    tenants
      .map((each) => `${each.slug}  ${each.name}, since ${format(each.created_at)}: numbers ${each.numbers}, users ${each.users}`)
      .join('\n'),
});

const show = defineCommand({
  name: 'tenant show',
  summary: 'one tenant with its settings',
  details: 'Who made it, its owner, its squad and what was agreed stand in the settings. No secret is shown.',
  args: z.object({ slug: slugArg }),
  positional: ['slug'],
  readOnly: true,
  role: 'admin',
  async run(ctx, { slug }, actor): Promise<Outcome<ListedTenant>> {
    const stranger = strangerTo(actor);
    if (stranger !== null) return stranger;
    const [found] = await listTenants(ctx.db, slug);
    return found === undefined ? refused('not_found', `there is no tenant ${slug} (tenant list shows them)`) : { ok: true, result: found };
  },
  text: (each, format) =>
    `${each.slug}  ${each.name}, since ${format(each.created_at)}: numbers ${each.numbers}, users ${each.users}\n${JSON.stringify(each.settings, null, 2)}`,
});

const audit = defineCommand({
  name: 'tenant audit',
  summary: 'counts rows that point at a row of another tenant; there must be none',
  details: 'Each foreign key between two tables that both have a tenant, as the catalog of the database lists them. Reads whole tables.',
  args: z.object({}),
  readOnly: true,
  role: 'admin',
  async run(ctx, _args, actor): Promise<Outcome<{ rows: number; relations: number; crossing: { relation: string; rows: number }[] }>> {
    const stranger = strangerTo(actor);
    if (stranger !== null) return stranger;
    const found = await auditTenants(ctx.db);
    return { ok: true, result: { rows: found.crossing.reduce((sum, { rows }) => sum + rows, 0), ...found } };
  },
  text: ({ rows, relations, crossing }) =>
    [`${rows} rows cross tenants, in ${relations} relations.`, ...crossing.map((each) => `${each.relation}: ${each.rows}`)].join('\n'),
});

export const tenantCommands = [create, list, show, audit];
