import { tellAlerts } from '../watch/alerts.ts';
import { listNumberHealth } from '../numbers/calls.ts';
import { webhookFaultsOf } from '../numbers/webhook-check.ts';
import type { CronJob } from '../schedule/job.ts';

const CONDITION = 'webhook_wrong';

/** Compares each number with what Evolution knows of it: one whose webhook was changed there is silent, and people are told, once. */
export const syncNumbersJob: CronJob = {
  name: 'sync_numbers',
  cron: '*/5 * * * *',
  cadence: '5 minutes',
  catchUp: 'skip',
  timeoutSeconds: 240,
  summary: 'compares the webhook of each number at Evolution with what it should be',
  async run(ctx, { signal }) {
    const { whatsapp, config } = ctx;
    if (whatsapp === null || config.evolution === null)
      return { skipped: 'not configured: EVOLUTION_API_URL and its siblings are not set' };
    const own = config.evolution.instance;
    const numbers = (await listNumberHealth(ctx.db, null)).filter((each) => each.proactive || each.instance === own);
    const holds = [];
    for (const { instance } of numbers) {
      const faults = await webhookFaultsOf({ whatsapp, config, db: ctx.db }, instance, signal);
      // An Evolution that does not answer says nothing about the webhook: nothing fires, and nothing is over.
      if (faults === null) return { skipped: 'Evolution does not answer' };
      if (faults.length === 0) continue;
      holds.push({
        key: `${CONDITION}:${instance}`,
        name: CONDITION,
        subject: instance,
        urgent: true,
        about: instance,
        text: `O webhook do número ${instance} na Evolution está errado, e as mensagens dele não chegam: ${faults.join('; ')}. Conserte com npm run admin -- instance connect ${instance}.`,
        recovery: `Resolvido: o webhook do número ${instance} está certo.`,
        for_seconds: 0,
        cooldown_seconds: 3_600,
      });
    }
    await tellAlerts(ctx, holds, [CONDITION]);
    return numbers.length;
  },
};
