// Back to a fresh simulator without a new port: what tests do between two cases.

import type { Core } from './core.ts';
import { clearWebhookLog } from './webhooks.ts';

/** Forgets messages, wire, faults, script, prompt cache, planned acks and retries. Webhooks and instances stay. */
export function resetCore(core: Core, keep: string[]): void {
  core.clock.clear();
  for (const end of core.hung) end();
  core.faults.clear();
  core.world.clear(keep.includes('contacts'));
  for (const list of Object.values(core.wire)) list.length = 0;
  for (const known of Object.values(core.orders)) known.clear();
  core.google.clear();
  clearWebhookLog(core.webhookLog);
  Object.assign(core.claude, { mode: core.claude.baseMode, turns: [], refused: [] });
  for (const known of [core.claude.cache, core.claude.answers, core.claude.fingerprints]) known.clear();
  for (const instance of core.world.instances.values()) {
    instance.held = [];
    instance.knownJids.clear();
    instance.subscribed.clear();
    instance.loggedOut = false;
    instance.disconnection = null;
    instance.trouble = null;
    instance.lane = { busy: false, waiting: [] };
    instance.loggingOut = false;
    if (instance.connectedOnce) instance.state = 'open';
  }
  core.bus.emit({ type: 'reset' });
}
