// The one lane through which what comes in on a number goes, one thing after another. Most webhooks are started in it and not waited for;
// MESSAGES_EDITED is waited for, with all of its attempts: while the receiver is unavailable the lane stands still, and what waits in it is
// neither saved nor posted. Source: messages.upsert of whatsapp.baileys.service.ts, and the queue around it.

import type { Core } from './core.ts';
import type { Instance } from './types.ts';
import { emitWebhook } from './webhooks.ts';

export type Work = () => void | Promise<void>;

/** Runs at once when nothing waits. Contract: `work` does not throw or reject. */
export function inLane(instance: Instance, work: Work): void {
  instance.lane.waiting.push(work);
  if (!instance.lane.busy) void drain(instance);
}

/** For what only newer releases put through the lane: acks, updates, presence. */
export function inFullLane(core: Core, instance: Instance, work: Work): void {
  if (core.rules.laneHoldsAll) inLane(instance, work);
  else void work();
}

/** Posts, and goes on when Evolution has done with it; an event that is not subscribed is no wait. */
export function afterAwaited(
  core: Core,
  instance: Instance,
  event: string,
  payload: unknown,
  messageId: string | null,
  goOn: () => void,
): void | Promise<void> {
  const delivery = emitWebhook(core, instance, event, payload, messageId);
  if (delivery === null) return goOn();
  return delivery.settled.then(goOn);
}

async function drain(instance: Instance): Promise<void> {
  // A reset gives the number another lane; this one is then nobody's.
  const { lane } = instance;
  lane.busy = true;
  for (let work = lane.waiting.shift(); work !== undefined && instance.lane === lane; work = lane.waiting.shift()) {
    const running = work();
    if (running !== undefined) await running;
  }
  lane.busy = false;
}
