import { settleBreakers } from '../breakers/calls.ts';
import { assessNumbers, listenNumbers, listInstances, noteGateway, setInstancePhone, setInstanceState } from '../numbers/calls.ts';
import { wakeDueLanes, wakeLanes } from '../outbox/wake.ts';
import type { CronJob } from '../schedule/job.ts';

/** Asks Evolution whether each number is connected: webhooks about it get lost and come in any order. Then looks whether its messages arrive, and whether it hears any. */
export const checkInstancesJob: CronJob = {
  name: 'check_instances',
  cron: '* * * * *',
  catchUp: 'skip',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'asks Evolution whether each number is connected',
  async run(ctx, { signal }) {
    if (ctx.whatsapp === null) return 0;
    const instances = await listInstances(ctx.db);
    if (instances.some((each) => each.version_stale)) {
      const answer = await ctx.whatsapp.version({ signal });
      if (answer.kind === 'ok') await noteGateway(ctx.db, answer.version);
    }
    let back = false;
    for (const { name, phone_doubted } of instances) {
      if (phone_doubted) {
        const owner = await ctx.whatsapp.ownPhone(name, { signal });
        if (owner.kind === 'ok') await setInstancePhone(ctx.db, name, owner.phone);
      }
      const answer = await ctx.whatsapp.connectionState(name, { signal });
      // An Evolution that does not answer says nothing about the number.
      if (answer.kind !== 'ok') continue;
      const { wakeSends } = await setInstanceState(ctx.db, name, answer.state === 'not_loaded' ? 'close' : answer.state);
      back ||= wakeSends;
      // While it was disconnected Evolution may have dropped what came in.
      if (wakeSends) await ctx.queues.wakeReconcile(name);
    }
    const released = await assessNumbers(ctx.db);
    ctx.events.numbersReleased(released);
    back ||= released.length > 0;
    await settleBreakers(ctx.db);
    const { wake, deaf, hears } = await listenNumbers(ctx.db);
    ctx.events.numbersListened(deaf, hears);
    await wakeLanes(ctx, wake);
    if (back) await wakeDueLanes(ctx);
    return instances.length;
  },
};
