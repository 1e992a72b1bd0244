/** subscription add, list, test, replay, rotate, remove: programs that are posted what happens. */
import { randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { EVENT_TYPES } from '../feed/event-words.ts';
import type { EventType } from '../feed/event-words.ts';
import { addSubscription, listSubscriptions, removeSubscription, replaySubscription, rotateSubscription } from '../feed/push-calls.ts';
import type { Subscription } from '../feed/push-calls.ts';
import { newSecret, post, secretsOf } from '../feed/push.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { sealSecret } from '../process/secrets.ts';
import { secretOwner } from '../tools/client.ts';
import { defineCommand, idArg, refused, wordsArg } from './command.ts';

/** Of a tenant: each costs a post an event. */
const MOST = 20;
/** For so long a secret that was replaced signs too. Milliseconds. */
const OVERLAP_MS = 24 * 3_600_000;

const NO_KEY = 'SECRETS_KEY is not set: without it no secret can be kept';
const idOf = idArg.describe('id of the subscription');
const unknown = (id: number) => refused('not_found', `there is no subscription ${id}`);

const add = defineCommand({
  name: 'subscription add',
  summary: 'a program is posted events from now on',
  details:
    'Each event as one post, in order, signed as Standard Webhooks has it; see docs/events.md. The secret is shown here and never again. https only, and private addresses are refused unless HTTP_ALLOW_PRIVATE names them. Audited.',
  args: z.object({
    url: wordsArg.max(2_000).describe('where to'),
    types: wordsArg.optional().describe(`comma separated, of ${EVENT_TYPES.join(', ')}; left out: all`),
  }),
  positional: ['url'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { url, types }, { tenant, id: actor }) {
    const { secrets } = ctx.config;
    if (secrets === null) return refused('conflict', NO_KEY);
    const wanted = types === undefined ? { success: true as const, data: null } : z.array(z.enum(EVENT_TYPES)).safeParse(types.split(','));
    if (!wanted.success) return refused('bad_request', `types: must be some of ${EVENT_TYPES.join(', ')}`);
    const parsed = URL.parse(url);
    if (parsed !== null && (parsed.username !== '' || parsed.password !== '')) return refused('bad_request', 'url: must hold no password');
    const fault = await ctx.tools.client.outside.fault(url);
    if (parsed === null || fault !== null) return refused('bad_request', `url: ${fault}`);
    const name = `SUBSCRIPTION_${randomBytes(6).toString('hex').toUpperCase()}`;
    const secret = newSecret();
    const sealed = sealSecret(secrets, secret, secretOwner(tenant, name));
    const chosen: readonly EventType[] | null = wanted.data;
    const id = await addSubscription(ctx.db, tenant, { url: parsed.href, types: chosen, secret: name, sealed }, MOST, actor);
    if (id === null) return refused('conflict', `there are ${MOST} subscriptions already: subscription remove takes one away`);
    return { ok: true, result: { id, url: parsed.href, types: chosen, secret } };
  },
  text: ({ id, url, secret }) =>
    `Subscription ${id}: ${url}\nIts secret, which is not shown again: ${secret}\nTry it: subscription test ${id}`,
});

const list = defineCommand({
  name: 'subscription list',
  summary: 'the programs that are posted events, and how that goes',
  details: 'With what waits for each, and what was wrong last.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _args, { tenant }) {
    const all = await listSubscriptions(ctx.db, tenant, null);
    return { ok: true, result: { subscriptions: all.map(shown) } };
  },
  text: ({ subscriptions: all }, format) =>
    all.length === 0
      ? 'There is none: subscription add URL.'
      : all
          .map(
            ({ id, url, types, status, waiting, failures, failing_since: since, last_fault: fault }) =>
              `${id}  ${status}  ${url}  ${types?.join(',') ?? 'all types'}\n  ${waiting} wait${since === null ? '' : `; failing since ${format(since)}, ${failures} times: ${fault}`}`,
          )
          .join('\n'),
});

const test = defineCommand({
  name: 'subscription test',
  summary: 'posts one event of the type subscription.test, now',
  details: 'Signed like any other; it is no event, and changes nothing of what waits. Audited.',
  args: z.object({ id: idOf }),
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id }, { tenant, id: actor }) {
    const found = await one(ctx, tenant, id);
    if (found === null) return unknown(id);
    const previous = found.previous_until !== null && found.previous_until.getTime() > Date.now();
    const secrets = await secretsOf(ctx, { tenant, secret: found.secret_name, previous });
    const event = {
      id: randomUUID(),
      type: 'subscription.test',
      version: 1,
      occurred_at: new Date().toISOString(),
      company_id: tenant,
      source: 'whats-agents',
      correlation_id: null,
      causation_id: null,
      payload: {},
    };
    await recordAudit(ctx.db, { tenant, actor, action: 'subscription.test', subject: String(id), details: {} });
    const fault = await post(ctx.tools.client.outside.call, found.url, { id: event.id, body: JSON.stringify(event), secrets });
    return { ok: true, result: { id, url: found.url, arrived: fault === null, fault } };
  },
  text: ({ url, fault }) => (fault === null ? `${url} took it.` : `${url} did not take it: ${fault}.`),
});

const replay = defineCommand({
  name: 'subscription replay',
  summary: 'posts again what came after a cursor, with the same ids; what was disabled is in force again',
  details:
    'Without --after: from where it stands. Cursors are those of GET /api/events; 0 is the oldest while nothing is deleted. Audited.',
  args: z.object({
    id: idOf,
    after: z
      .string()
      .regex(/^\d{1,15}$/, 'must be a cursor')
      .optional()
      .describe('a cursor'),
  }),
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id, after }, { tenant, id: actor }) {
    const done = await replaySubscription(ctx.db, tenant, id, after === undefined ? null : Number(after), actor);
    if (done.outcome === 'unknown') return unknown(id);
    if (done.outcome === 'gone')
      return refused('bad_request', `after: events of then are gone, or it is no cursor: the oldest is ${done.cursor}`);
    return { ok: true, result: { id, cursor: done.cursor } };
  },
  text: ({ id, cursor }) => `Subscription ${id} is posted what came after ${cursor}, within a minute.`,
});

const rotate = defineCommand({
  name: 'subscription rotate',
  summary: 'a new secret; the one before signs too for 24 hours',
  details: 'The new secret is shown here and never again. Until the overlap is over each post has two signatures. Audited.',
  args: z.object({ id: idOf }),
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id }, { tenant, id: actor }) {
    const { secrets } = ctx.config;
    if (secrets === null) return refused('conflict', NO_KEY);
    const found = await one(ctx, tenant, id);
    if (found === null) return unknown(id);
    const name = found.secret_name;
    const [old] = await secretsOf(ctx, { tenant, secret: name, previous: false });
    const secret = newSecret();
    const until = new Date(Date.now() + OVERLAP_MS);
    const sealed = sealSecret(secrets, secret, secretOwner(tenant, name));
    const previous = sealSecret(secrets, old ?? secret, secretOwner(tenant, `${name}_OLD`));
    if (!(await rotateSubscription(ctx.db, tenant, id, { sealed, previous, until }, actor))) return unknown(id);
    return { ok: true, result: { id, secret, previous_until: until } };
  },
  text: ({ id, secret, previous_until: until }, format) =>
    `Subscription ${id} has a new secret, which is not shown again: ${secret}\nThe one before signs too until ${format(until)}.`,
});

const remove = defineCommand({
  name: 'subscription remove',
  summary: 'a program is posted nothing more',
  details: 'Its secret goes too. Audited.',
  args: z.object({ id: idOf }),
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { id }, { tenant, id: actor }) {
    return (await removeSubscription(ctx.db, tenant, id, actor)) ? { ok: true, result: { id, removed: true } } : unknown(id);
  },
  text: ({ id }) => `Subscription ${id} is removed.`,
});

/** Without where its secret is kept. */
function shown({
  id,
  url,
  types,
  status,
  cursor,
  waiting,
  failures,
  failing_since,
  last_fault,
  delivered_at,
  previous_until,
}: Subscription) {
  return { id, url, types, status, cursor, waiting, failures, failing_since, last_fault, delivered_at, previous_until };
}

async function one({ db }: Parameters<typeof secretsOf>[0], tenant: string, id: number): Promise<Subscription | null> {
  return (await listSubscriptions(db, tenant, id))[0] ?? null;
}

export const subscriptionCommands = [add, list, test, replay, rotate, remove];
