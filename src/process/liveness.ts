/** Who is alive: each process says so every few seconds (its heartbeat). SQL says the same with `is_heard` and `is_there`. Pure. */

export const MODES = ['api', 'worker', 'scheduler'] as const;

/** After so long what a process said of its breakers holds no more, and another one probes. Some heartbeats, so that none dies of a slow moment. Seconds. */
const HEARD_SECONDS = 15;
/** After so long a process is gone, and people are told. Longer, since a process that is replaced is silent for a while. Seconds. */
export const GONE_SECONDS = 60;

/** What it says of its breakers holds. `seconds`: since its last sign of life. */
export function isHeard(seconds: number): boolean {
  return seconds < HEARD_SECONDS;
}

/** It is there. `seconds`: since its last sign of life. */
export function isThere(seconds: number): boolean {
  return seconds < GONE_SECONDS;
}

/** The modes of which a process is there. */
export function modesThere(processes: readonly { mode: string; seen_seconds: number }[]): Set<string> {
  return new Set(processes.filter((each) => isThere(each.seen_seconds)).map(({ mode }) => mode));
}

/** The modes of which none is. */
export function missingModes(processes: readonly { mode: string; seen_seconds: number }[]): (typeof MODES)[number][] {
  const there = modesThere(processes);
  return MODES.filter((mode) => !there.has(mode));
}
