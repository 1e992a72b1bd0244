/** Who is alive: each process says so every few seconds (its heartbeat). SQL says the same with `is_heard` and `is_there`. Pure. */

export const MODES = ['api', 'worker', 'scheduler'] as const;

/** What a process may be started as: one of the modes, or all of them in one. */
export const RUN_MODES = [...MODES, 'all'] as const;

/** Whether a process that was started as `as` does what this mode does. */
export function runs(as: string, mode: (typeof MODES)[number]): boolean {
  return as === mode || as === 'all';
}

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
  const there = processes.filter((each) => isThere(each.seen_seconds));
  return new Set(MODES.filter((mode) => there.some((each) => runs(each.mode, mode))));
}

/** The modes of which none is. */
export function missingModes(processes: readonly { mode: string; seen_seconds: number }[]): (typeof MODES)[number][] {
  const there = modesThere(processes);
  return MODES.filter((mode) => !there.has(mode));
}
