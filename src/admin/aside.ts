/** instance unknown, adopt, forget: who posted webhooks and may not, and what a person says of it. */
import { z } from 'zod';
import { adoptAside, asideWebhooks, endAside, forgetAside, listAside } from '../numbers/aside-calls.ts';
import type { Aside } from '../numbers/aside-calls.ts';
import { store } from '../inbox/receive.ts';
import { onlyInstance } from '../config.ts';
import { because } from '../words/reasons.ts';
import { defineCommand, limitArg, refused, wordsArg } from './command.ts';
import type { AdminContext } from './command.ts';
import { eventsOf } from './replay.ts';

/** What one call replays; the next one goes on. Some seconds of work. */
const AT_ONCE = 500;
const keyArg = wordsArg.describe('the name, or aside:ID as instance unknown shows it');

const unknown = defineCommand({
  name: 'instance unknown',
  summary: 'who posted webhooks and may not: unknown names, foreign copies, secrets of other numbers; with what to do',
  details:
    'Nothing of these is answered. What came is kept as long as webhooks are (RETENTION_WEBHOOKS_DAYS), and replayed by instance adopt. Only for the tenant default.',
  args: z.object({ limit: limitArg.default(100).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    if (tenant !== 'default') return refused('forbidden', NOT_YOURS);
    return { ok: true, result: { unknown: await listAside(ctx.db, limit) } };
  },
  text: ({ unknown: all }, format) =>
    all.length === 0
      ? 'Nothing is set aside: everything that was posted names a number of ours.'
      : all.map((each) => asideLines(each, format(each.first_at), format(each.last_at))).join('\n'),
});

const adopt = defineCommand({
  name: 'instance adopt',
  summary: 'makes a number of what was set aside: it is known from now on, and what it posted is replayed',
  details:
    `An unknown name becomes a number of the tenant default, or of --for; one whose uuid belongs to a number of ours is that number renamed; a known name with another uuid has it from now on. ` +
    `What was set aside goes through the inbound path, ${AT_ONCE} webhooks a call; what is older than MAX_MESSAGE_AGE_MINUTES is listed to a person. A number of another tenant needs a webhook ` +
    'secret of its own afterwards: instance secret NAME --tenant T. Another tenant than default adopts only what the secret of a number of its own posted in the name of one. Audited.',
  args: z.object({ name: keyArg, for: wordsArg.optional().describe('the tenant that it is for; that of the caller when left out') }),
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name: key, for: owner }, actor) {
    const tenant = owner ?? actor.tenant;
    const answer = await adoptAside(ctx.db, actor.tenant, key, tenant, actor.id);
    switch (answer.outcome) {
      case 'unknown':
        return refused('not_found', `nothing of ${key} is set aside; instance unknown shows what is`);
      case 'no_name':
        return refused('conflict', `what is set aside as ${key} has no name that a number can have: instance forget drops it`);
      case 'other_tenant':
        return refused('conflict', `a number of this name or uuid belongs to another tenant than ${tenant}`);
      case 'unknown_tenant':
        return refused('not_found', `there is no tenant ${tenant}`);
      case 'ambiguous':
        return refused(
          'conflict',
          `several instances of Evolution, or secrets of several tenants, posted as ${key}: name one as aside:ID; instance unknown shows them`,
        );
      case 'adopted': {
        const only = onlyInstance(ctx.config);
        if (only !== null && only !== answer.name)
          return refused(
            'conflict',
            `${answer.name} is known now, but MULTI_CHIP_ENABLED=false serves ${only} only: set it to true, then run this again`,
          );
        const { replayed, left } = await replayAside(ctx, answer.aside, answer.name);
        return { ok: true, result: { name: answer.name, tenant, renamed: answer.renamed, replayed, left } };
      }
    }
  },
  text: ({ name, tenant, renamed, replayed, left }) =>
    [
      renamed === null
        ? `${name} is a number of the tenant ${tenant}.`
        : `${renamed} is called ${name} from now on; a key or secret of its own must be set again.`,
      `${replayed} webhooks are replayed.${left === 0 ? '' : ` ${left} wait: run it again.`}`,
    ].join('\n'),
});

const forget = defineCommand({
  name: 'instance forget',
  summary: 'drops what was set aside of a name, and hears nothing more of it',
  details:
    'What it posted is deleted; what it posts from now on is counted and not kept, and nobody is told. instance adopt takes it back. A number that is registered stays. Audited.',
  args: z.object({ name: keyArg }),
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name: key }, actor) {
    const answer = await forgetAside(ctx.db, actor.tenant, key, actor.id);
    switch (answer.outcome) {
      case 'unknown':
        return refused('not_found', `nothing of ${key} is set aside; instance unknown shows what is`);
      case 'not_yours':
        return refused('forbidden', NOT_YOURS);
      case 'forgotten':
        return { ok: true, result: { name: answer.name, webhooks: answer.webhooks } };
    }
  },
  text: ({ name, webhooks }) => `${name} is forgotten; ${webhooks} webhooks of it are deleted.`,
});

export const asideCommands = [unknown, adopt, forget];

const NOT_YOURS = 'what is set aside belongs to the installation: only the tenant default may do this';

function asideLines(
  { id, tenant, name, provider_id, reason, webhooks, kept, forgotten_at, same_as }: Aside,
  first: string,
  last: string,
): string {
  // A name comes from outside: on one line, and in a command only when a shell takes it as it is.
  const shown = JSON.stringify(name);
  const key = /^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/.test(name) ? name : `aside:${id}`;
  const forgotten = forgotten_at !== null;
  return [
    `aside:${id}  ${shown}${provider_id === null ? '' : ` (${JSON.stringify(provider_id)}${same_as === null ? '' : `, which is ${same_as}`})`}: ${because(reason)}${tenant === 'default' ? '' : `, with a secret of the tenant ${tenant}`}`,
    `  ${webhooks} webhooks from ${first} to ${last}, ${kept} kept${forgotten ? '; forgotten' : ''}`,
    forgotten
      ? `  to have it back: instance adopt ${key}`
      : reason === 'secret_of_another'
        ? `  to mend its webhook: instance connect ${key}; to drop it: instance forget ${key}`
        : `  if it is yours: instance adopt ${key}; if not: instance forget ${key}`,
  ].join('\n');
}

/** In the order in which they came. A webhook that a person adopted is told by that person: it goes in as if we had asked for it. */
async function replayAside(ctx: AdminContext, aside: number[], name: string): Promise<{ replayed: number; left: number }> {
  const waiting = await asideWebhooks(ctx.db, aside, AT_ONCE);
  for (const { id, event, body, received_at } of waiting) {
    // Edits too: nothing of this number has been stored since.
    const waited = { id, instance: name, event, body, ignored: null, received_at };
    const events = eventsOf(waited, { edits: true }).filter(({ instance }) => instance === name);
    if (events.length > 0)
      await store(ctx, {
        requestId: `adopt-${id}-${crypto.randomUUID()}`,
        instance: name,
        event,
        raw: body,
        from: { ourselves: true },
        events,
      });
  }
  const { left } = await endAside(
    ctx.db,
    aside,
    waiting.map(({ id }) => id),
  );
  return { replayed: waiting.length, left };
}
