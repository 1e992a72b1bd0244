/**
 * Whether a command that came by WhatsApp counts. An address proves nothing there (docs/security.md, "The gateway has a hole"), so a word is sent to the manager's
 * phone and must come back. The word is good once, for this command, within five minutes. Pure.
 */
import type { OperatorWords } from '../inbox/operator-words.ts';

/** What waits for its word. */
export type AskedCommand = { message_id: number; command: OperatorWords | null; word: string };

/** What came from the manager's address within the last hour, by how it ended. */
export type RecentCommands = { asked: number; wrong: number; locked: number; answers: number };

export type Verdict =
  /** Carry it out; `proved`: the message whose word this was. `quiet`: without an answer, there were enough. */
  | { kind: 'run'; words: OperatorWords; proved: number | null; quiet: boolean }
  | { kind: 'ask' }
  | { kind: 'wrong' }
  /** No word counts for now; `told`: that was said already. */
  | { kind: 'locked'; told: boolean }
  | { kind: 'edited' };

/** With words of eight digits, three of them valid at once, somebody who guesses for a year is right with a chance of 1 in 700. */
const MOST_WRONG = 5;
/** Words that were asked for and never came: somebody else is asking. */
const MOST_ASKED = 20;
/** No more answers in an hour: who forges commands does not flood the manager's phone. */
const MOST_ANSWERS = 60;

/** `freeStop`: a pause needs no word (GESTOR_PAUSAR_SEM_CODIGO). */
export function judgeCommand(words: OperatorWords, asked: readonly AskedCommand[], recent: RecentCommands, freeStop: boolean): Verdict {
  const quiet = recent.answers >= MOST_ANSWERS;
  if (words.kind === 'help' || (words.kind === 'command' && words.command === 'pause' && freeStop))
    return { kind: 'run', words, proved: null, quiet };
  if (words.kind === 'edited') return { kind: 'edited' };
  if (quiet || recent.wrong >= MOST_WRONG || recent.asked >= MOST_ASKED) return { kind: 'locked', told: recent.locked > 0 };
  if (words.kind === 'command') return { kind: 'ask' };
  const meant = words.word === null ? undefined : asked.find(({ word }) => word === words.word);
  return meant?.command == null ? { kind: 'wrong' } : { kind: 'run', words: meant.command, proved: meant.message_id, quiet };
}
