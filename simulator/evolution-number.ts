// Evolution's check of a `number` before a send or a presence: its memory of numbers first, then WhatsApp.
//
// WhatsApp knows each mobile of Brazil, Mexico and Argentina in one of two writings and answers with that one, whichever it is asked
// for. Evolution recognises the answer under the other writing only when the caller gave bare digits; an address that it made itself
// or was given must be WhatsApp's own, unless it remembers the number. Source: whatsappNumber and onWhatsappCache of 2.3.6 to 2.4.

import type { Core } from './core.ts';
import { EvolutionError } from './evolution-http.ts';
import { createJid, digitsOf, isOnWhatsapp, isPhoneJid, registeredWriting, writingsOf } from './jid.ts';
import type { Instance } from './types.ts';
import { KNOWN_GROUP, phoneJid } from './world.ts';

export type NumberCheck = { jid: string; exists: boolean; number: string; name?: string; lid?: string };

/** Whether the socket takes what is sent; a zombie says open. */
export function isConnected(instance: Instance): boolean {
  return instance.state === 'open' && instance.trouble !== 'zombie';
}

/** The verified address of a send. Throws what Evolution answers. */
export function checkNumber(core: Core, instance: Instance, number: string): string {
  const { jid, exists, ...check } = lookUpNumber(core, instance, number);
  if (!exists) throw new EvolutionError(400, [{ jid, exists, ...check }]);
  return jid;
}

/** Throws when WhatsApp must be asked and the socket is down, for a group that the number is not in, and before the first connect. */
export function lookUpNumber(core: Core, instance: Instance, number: string): NumberCheck {
  const jid = createJid(number);
  if (!instance.connectedOnce) throw new EvolutionError(500, "Cannot read properties of undefined (reading 'onWhatsApp')");
  if (jid.endsWith('@g.us')) {
    if (isConnected(instance) && jid !== KNOWN_GROUP) throw new EvolutionError(400, ['[object Object]']);
    return { jid, exists: true, number };
  }
  const contact = core.world.findContact(jid);
  if (contact?.refuses.includes(jid.endsWith('@lid') ? 'lid' : 'pn') === true) return { jid, exists: false, number };
  const name = contact ? { name: contact.name } : {};
  const remembered = instance.knownJids.get(jid);
  if (remembered !== undefined) return { jid: remembered, exists: true, number, ...name };
  if (jid.endsWith('@lid')) return { jid, exists: true, number, ...name, lid: 'lid' };
  if (!isPhoneJid(jid)) return { jid, exists: true, number };
  if (!isConnected(instance)) throw new EvolutionError(500, 'Connection Closed');
  const registered = contact ? phoneJid(contact) : `${registeredWriting(digitsOf(jid))}@s.whatsapp.net`;
  const recognised = registered === jid || writingsOf(number).includes(digitsOf(registered));
  if (!recognised || !isOnWhatsapp(digitsOf(registered))) return { jid, exists: false, number };
  rememberNumber(instance, registered, null);
  return { jid: registered, exists: true, number, ...name };
}

/** IsOnWhatsapp keeps both writings of a number, and the lid when the key named it as the other address. */
export function rememberNumber(instance: Instance, jid: string, alternative: string | null): void {
  for (const digits of writingsOf(digitsOf(jid))) instance.knownJids.set(`${digits}@s.whatsapp.net`, jid);
  if (alternative?.endsWith('@lid') === true) instance.knownJids.set(alternative, jid);
}
