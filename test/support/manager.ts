/** Commands by WhatsApp as the manager gives them: written, and repeated with the word that the manager's phone was told. */
import type { System } from './system.ts';

/** What the phone of a contact shows of ours. */
export function shown(system: System, contact: string): string[] {
  return system.simulator.messages(contact).flatMap((message) => (message.fromMe ? [message.text ?? ''] : []));
}

/** Writes, and resolves with the next answer on that phone. */
export async function ask(system: System, contact: string, words: string): Promise<string> {
  const before = shown(system, contact).length;
  system.simulator.inbound({ contactId: contact, text: words });
  return system.until(() => shown(system, contact)[before], `an answer to ${words}`);
}

/** Writes a command, repeats the word that comes back, and resolves with the answer to that. */
export async function command(system: System, contact: string, words: string): Promise<string> {
  return ask(system, contact, `confirmar ${wordIn(await ask(system, contact, words))}`);
}

/** The word that an answer tells; it is no word of the product's when there is none. */
export function wordIn(answer: string): string {
  const word = /\*confirmar (\d{8})\*/.exec(answer)?.[1];
  if (word === undefined) throw new Error(`no word in: ${answer}`);
  return word;
}
