/** Looks at each start whether Evolution posts to us as it should: a number whose webhook is wrong is silent, and nobody would know why. */
import type { Context } from '../context.ts';
import { webhookFaults } from '../whatsapp/webhook-setting.ts';
import { listNumberHealth } from './calls.ts';
import { secretsOf } from './webhook-secrets.ts';
import type { Failure, Webhook } from '../whatsapp/client.ts';

/** Says in words what is wrong with each number that we may write from, and the command that fixes it. Changes nothing, never rejects for what Evolution says. */
export async function checkWebhooks(ctx: Pick<Context, 'config' | 'db' | 'log' | 'whatsapp'>): Promise<void> {
  const { whatsapp, config } = ctx;
  if (whatsapp === null || config.evolution === null) return;
  const { instance: own } = config.evolution;
  const numbers = await listNumberHealth(ctx.db, null);
  for (const { instance } of numbers.filter((each) => each.proactive || each.instance === own)) {
    for (const fault of await faultsOf({ whatsapp, config, db: ctx.db }, instance))
      ctx.log.warning({ instance, hint: `npm run admin -- instance connect ${instance}` }, `The number ${instance}: ${fault}`);
  }
}

type Checked = { whatsapp: NonNullable<Context['whatsapp']>; config: Context['config']; db: Context['db'] };

/** What is wrong with the webhook of one number, in sentences. Throws what the database throws. */
export async function faultsOf(ctx: Checked, instance: string): Promise<string[]> {
  const found = await ctx.whatsapp.findWebhook(instance);
  if (found.kind === 'failed') return [failureInWords(found)];
  return faultsIn(ctx, instance, found.webhook);
}

/** As faultsOf, but null when Evolution does not say anything about the webhook. */
export async function webhookFaultsOf(ctx: Checked, instance: string, signal: AbortSignal): Promise<string[] | null> {
  const found = await ctx.whatsapp.findWebhook(instance, { signal });
  return found.kind === 'failed' ? null : faultsIn(ctx, instance, found.webhook);
}

async function faultsIn({ db, config }: Checked, instance: string, webhook: Webhook | null): Promise<string[]> {
  const { own, secrets } = await secretsOf(db, config, instance);
  if (own && secrets.length === 0)
    return ['its webhook secret cannot be opened: SECRETS_KEY is another one (instance secret gives it a new one)'];
  return webhookFaults(webhook, secrets, own ? 'its own' : 'EVOLUTION_WEBHOOK_SECRET');
}

/** What a person can do about an answer of Evolution. */
export function failureInWords(failure: Failure): string {
  switch (failure.class) {
    case 'unknown_instance':
      return 'Evolution does not know it yet';
    case 'unauthorized':
      return 'Evolution refuses EVOLUTION_API_KEY';
    case 'unlicensed':
      return `Evolution wants its licence to be activated (${failure.detail})`;
    case 'unavailable':
      return 'Evolution does not answer at EVOLUTION_API_URL';
    default:
      return `Evolution answered: ${failure.detail}`;
  }
}
