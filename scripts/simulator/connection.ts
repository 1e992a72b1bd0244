// The life of an instance's socket: open, drop, log out, and the events that Evolution sends for each.

import type { Core } from './core.ts';
import { ownJid } from './shapes.ts';
import type { ConnectionState, Instance } from './types.ts';
import { emitWebhook } from './webhooks.ts';

/** Closes that Evolution does not mend by itself; every other reason shows as `connecting` only. */
const FINAL_REASONS = new Map([
  [401, 'Intentional Logout'],
  [402, 'Payment Required'],
  [403, 'Forbidden'],
  [406, 'Not Acceptable'],
]);

/**
 * Puts the socket into a state. A close for a reason that reconnects (428, 408, 515, 440) sends no `close` event: the
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
      if (FINAL_REASONS.has(reason ?? 401)) closeSocket(core, instance, reason ?? 401);
      else announce(core, instance, 'connecting', 200);
  }
}

function openSocket(core: Core, instance: Instance): void {
  instance.connectedOnce = true;
  instance.loggedOut = false;
  instance.disconnection = null;
  // Evolution reads the webhook's base64 flag only here.
  instance.base64 = instance.webhook?.base64 ?? false;
  announce(core, instance, 'open', 200);
  for (const deliver of instance.held.splice(0)) deliver();
}

function closeSocket(core: Core, instance: Instance, code: number): void {
  const message = FINAL_REASONS.get(code) ?? 'Connection Failure';
  const at = new Date(core.clock.now()).toISOString();
  const payload = { statusCode: code, error: code === 401 ? 'Unauthorized' : message, message };
  const boom = { data: null, isBoom: true, isServer: false, output: { statusCode: code, payload, headers: {} } };
  instance.disconnection = { code, at, object: JSON.stringify({ error: boom, date: at }) };
  instance.loggedOut = code === 401;
  emitWebhook(core, instance, 'status.instance', {
    instance: instance.name,
    status: 'closed',
    disconnectionAt: at,
    disconnectionReasonCode: code,
    disconnectionObject: instance.disconnection.object,
  });
  if (code === 401) emitWebhook(core, instance, 'logout.instance', null);
  announce(core, instance, 'close', code);
}

function announce(core: Core, instance: Instance, state: ConnectionState, statusReason: number): void {
  instance.state = state;
  core.bus.emit({ type: 'connection', instance: instance.name, state });
  const identity = { instance: instance.name };
  const profile = state === 'open' ? { wuid: ownJid(instance), profileName: instance.profileName } : {};
  emitWebhook(core, instance, 'connection.update', { ...identity, ...profile, state, statusReason });
}
