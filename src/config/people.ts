/** When people are asked for help, and for how long. */
import type { Variables } from './variables.ts';

export type People = {
  /** What one contact may cost in 24 hours before a person is asked. null: neither that nor loops, floods and repeats are looked for. */
  readonly abuse: { readonly turnsPerDay: number; readonly tokensPerDay: number } | null;
  /** A handoff that nobody took is told once more. */
  readonly reminderMinutes: number;
  /** A handoff in which nobody wrote goes back to the agent; null: never. */
  readonly handoffTimeoutHours: number | null;
};

export function people(v: Variables): People {
  return {
    abuse: v.ABUSE_GATES ? { turnsPerDay: v.MAX_TURNOS_CONTATO_DIA, tokensPerDay: v.MAX_TOKENS_CONTATO_DIA } : null,
    reminderMinutes: v.HANDOFF_REMINDER_MINUTES,
    handoffTimeoutHours: v.HANDOFF_TIMEOUT_HOURS === 0 ? null : v.HANDOFF_TIMEOUT_HOURS,
  };
}
