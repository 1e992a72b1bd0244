/** The people of a cell: who writes what, and what the scripted model answers. Every answer is a text that occurs once, so that a second one shows. */
import type { Simulator } from '../simulator/index.ts';
import type { ScriptTurn } from '../simulator/types.ts';
import { POINTS, type Cell } from './cells.ts';

/** Messages that one contact writes at most in a cell. */
const MOST_MESSAGES = 3;

/** What a contact wrote: its WhatsApp id, what only this text contains, and what the scripted model answers to it. */
export type Written = { id: string; tag: string; answer: string };

/** A contact, as the judge needs to know it. */
export type Writer = {
  instance: string;
  jid: string;
  /** In the order of writing. */
  written: Written[];
};

export type Conversation = Writer & {
  /** Writes the next message. */
  write(): string;
  /** What the contact's message number `index` (from 0) contains; nobody else's does. */
  tag: (index: number) => string;
  /** The first part of the answer to message number `index`. */
  answer: (index: number) => string;
};

/** WhatsApp number of a cell. */
export function instanceOf(cell: Cell): string {
  return `chaos-${cell.fault}-${cell.point}`;
}

export function openConversations(simulator: Simulator, cell: Cell, n: number): Conversation[] {
  const instance = instanceOf(cell);
  const code = `p${POINTS.indexOf(cell.point)}${cell.fault.replaceAll(/[^a-z0-9]/g, '')}`;
  return Array.from({ length: n }, (_, index) => {
    const phone = fakePhone(cell, index);
    const contact = simulator.addContact({ name: `Contato ${index + 1}`, phone });
    const tag = (message: number): string => `${code}c${String(index).padStart(3, '0')}m${message};`;
    const written: Written[] = [];
    return {
      instance,
      jid: `${phone}@s.whatsapp.net`,
      written,
      write() {
        const own = tag(written.length);
        const { id } = simulator.inbound({ instance, contactId: contact.id, text: `Pergunta ${own}` });
        written.push({ id, tag: own, answer: partsOf(cell, own).join('\n\n') });
        return id;
      },
      tag,
      answer: (message) => partsOf(cell, tag(message))[0] ?? '',
    };
  });
}

let phones = 0;
const prefixes = new Map<string, number>();

/** 5511 9 and eight digits; another block of a thousand for each cell. */
function fakePhone(cell: Cell, index: number): string {
  const key = JSON.stringify(cell);
  const block = prefixes.get(key) ?? phones++;
  prefixes.set(key, block);
  return `55119${80_000_000 + block * 1_000 + index}`;
}

/** Short enough that typing takes some 3 s. The two parts are cut at the paragraph by splitAnswer. */
function partsOf(cell: Cell, tag: string): string[] {
  const first = `Resposta ${tag} Recebi a sua pergunta e já estou olhando.`;
  const filler = (length: number, word: string): string => `${word} `.repeat(Math.ceil(length / (word.length + 1))).trim();
  if (cell.point !== 'between-parts') return [first];
  return [`${first} ${filler(90, 'um')}.`, `Continuação ${tag} ${filler(250, 'dois')}.`];
}

/** The model's lines for these cells. A burst is answered by its newest message, so later messages stand first. */
export function scriptOf(cells: readonly Cell[], conversations: ReadonlyMap<Cell, readonly Conversation[]>): ScriptTurn[] {
  const turns: ScriptTurn[] = [];
  for (const cell of cells) {
    for (const conversation of conversations.get(cell) ?? []) {
      for (let message = MOST_MESSAGES - 1; message >= 0; message--) {
        const match = conversation.tag(message);
        const answer: ScriptTurn = { match, text: partsOf(cell, match).join('\n\n'), repeat: true };
        if (cell.point !== 'tool-running') turns.push(answer);
        else {
          const fact = `Perguntou sobre ${match}`;
          turns.push(
            { ...answer, afterTools: true },
            { match, afterTools: false, tools: [{ name: 'remember', input: { fact } }], repeat: true },
          );
        }
      }
    }
  }
  return turns;
}
