// The life of an instance's socket: open, drop, log out, and the events that Evolution sends for each.

import type { Core } from './core.ts';
import { afterAwaited } from './lane.ts';
import { ownJid } from './shapes.ts';
import type { ConnectionState, Instance, Trouble } from './types.ts';
import { emitWebhook } from './webhooks.ts';

/** What WhatsApp says for the closes that Evolution does not fix by itself; every other reason shows as `connecting` only. */
const REASON_TEXTS = new Map([
  [401, 'Intentional Logout'],
  [402, 'Payment Required'],
  [403, 'Forbidden'],
  [406, 'Not Acceptable'],
  [408, 'Connection was lost'],
]);
/** Closes after which Evolution removes the session: it must be paired again. */
const LOGS_OUT = [401, 408];

/**
 * Puts the socket into a state. A close for a reason that reconnects (428, 515, 440, before 2.4 also 408) sends no `close` event: the
 * state becomes `connecting`. Reason defaults to 401, the log-out.
 */
export function setConnection(core: Core, instance: Instance, state: ConnectionState, reason?: number): void {
  switch (state) {
    case 'open':
      openSocket(core, instance);
      return;
    case 'connecting':
      announce(core, instance, 'connecting', 200);
      return;
    case 'close':
      if (core.rules.finalReasons.includes(reason ?? 401)) closeSocket(core, instance, reason ?? 401);
      else announce(core, instance, 'connecting', 200);
  }
}

/** From now on the number is ill while Evolution says otherwise; null: it is well again, and what WhatsApp has kept is handed over. */
export function setTrouble(core: Core, instance: Instance, trouble: Trouble | null): void {
  if (trouble === null) {
    healTrouble(core, instance);
    return;
  }
  instance.trouble = trouble.kind;
  instance.healsBy = trouble.heals;
  if (trouble.kind === 'stuck') announce(core, instance, 'connecting', 200);
}

export function healTrouble(core: Core, instance: Instance): void {
  const was = instance.trouble;
  instance.trouble = null;
  if (was === 'stuck') setConnection(core, instance, 'open');
  else if (instance.state === 'open') for (const deliver of instance.held.splice(0)) deliver();
}

function openSocket(core: Core, instance: Instance): void {
  const wasLoggedOut = instance.loggedOut && instance.connectedOnce;
  if (instance.healsBy === 'reconnect' || instance.trouble === 'stuck') instance.trouble = null;
  if (wasLoggedOut && core.rules.deafAfterLogout) Object.assign(instance, { trouble: 'deaf', healsBy: 'never' });
  instance.connectedOnce = true;
  instance.loggedOut = false;
  instance.disconnection = null;
  // Evolution reads the webhook's base64 flag only here.
  instance.base64 = instance.webhook?.base64 ?? false;
  announce(core, instance, 'open', 200);
  for (const deliver of instance.held.splice(0)) deliver();
}

function closeSocket(core: Core, instance: Instance, code: number): void {
  const message = REASON_TEXTS.get(code) ?? 'Connection Failure';
  const at = new Date(core.clock.now()).toISOString();
  const payload = { statusCode: code, error: code === 401 ? 'Unauthorized' : message, message };
  const boom = { data: null, isBoom: true, isServer: false, output: { statusCode: code, payload, headers: {} } };
  instance.disconnection = { code, at, object: JSON.stringify({ error: boom, date: at }) };
  instance.loggedOut = LOGS_OUT.includes(code);
  if (instance.loggedOut) {
    instance.loggingOut = true;
    void afterAwaited(core, instance, 'logout.instance', null, null, () => void (instance.loggingOut = false));
  }
  emitWebhook(core, instance, 'status.instance', {
    instance: instance.name,
    status: 'closed',
    disconnectionAt: at,
    disconnectionReasonCode: code,
    disconnectionObject: instance.disconnection.object,
  });
  announce(core, instance, 'close', code);
}

function announce(core: Core, instance: Instance, state: ConnectionState, statusReason: number): void {
  instance.state = state;
  core.bus.emit({ type: 'connection', instance: instance.name, state });
  const identity = { instance: instance.name };
  const profile = state === 'open' ? { wuid: ownJid(instance), profileName: instance.profileName } : {};
  emitWebhook(core, instance, 'connection.update', { ...identity, ...profile, state, statusReason });
}
