/** What a message's words mean before any model reads them. Pure; `take_meaning` in SQL decides whether it counts (who wrote it, and what holds already). */
import { suspectsBot } from './bot-suspicion-words.ts';
import type { InboundEvent } from '../whatsapp/inbound-event.ts';
import { parseOperatorWords } from './operator-words.ts';
import type { OperatorWords } from './operator-words.ts';
import { asksToReturn, asksToStop } from './opt-out-words.ts';

/** What the words of a contact ask for. */
export type Intent = 'opt_out' | 'resubscribe' | 'bot_question';

export type Meaning = {
  intent: Intent | null;
  /** What the manager commands; from anybody else the same words are talk. */
  command: OperatorWords | null;
  /** `/bot on` and `/bot off`, typed on the phone of the number. */
  handset: 'on' | 'off' | null;
};

/** An event with what its words mean; only messages and edits have a meaning. */
export type MeantEvent = InboundEvent & { meaning?: Meaning | null };

/** Null for nearly all messages. An edit of ours means nothing: SQL takes the meaning of a contact's only. */
export function meaningOf(event: InboundEvent): Meaning | null {
  const text = event.kind === 'message' ? event.content.typed : event.kind === 'edit' ? event.typed : null;
  if (text === null || (event.kind === 'message' && event.machine === true)) return null;
  const meaning: Meaning =
    event.kind === 'message' && event.fromMe
      ? { intent: null, command: null, handset: handsetCommand(text) }
      : { intent: intentOf(text), command: parseOperatorWords(text), handset: null };
  return meaning.intent === null && meaning.command === null && meaning.handset === null ? null : meaning;
}

/** What somebody's words ask for, typed or said aloud. */
export function intentOf(text: string): Intent | null {
  if (asksToStop(text)) return 'opt_out';
  if (asksToReturn(text)) return 'resubscribe';
  return suspectsBot(text) ? 'bot_question' : null;
}

/** Exactly the command, so that a colleague may write about it. */
function handsetCommand(text: string): 'on' | 'off' | null {
  const found = /^\s*\/bot\s+(on|off)\s*$/i.exec(text)?.[1]?.toLowerCase();
  return found === 'on' || found === 'off' ? found : null;
}
