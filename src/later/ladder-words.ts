/** A ladder of follow-ups as a person writes it: a line a step, how long after the one before, then the words. Pure. */

/** Counted from the answer, or from the step before. */
export type Step = { after_minutes: number; text: string };

const MINUTES: Readonly<Record<string, number>> = { min: 1, m: 1, h: 60, d: 1_440 };
/** An answer is typed within it. */
const SOONEST = 30;
/** Whoever is silent for longer has gone. */
const LATEST = 30 * 1_440;
const MOST_STEPS = 5;
const LONGEST = 1_000;
const PLACES = ['{nome}', '{loja}'];

/** The steps, or what is wrong with them, with the line. */
export function ladderOf(written: string): { ok: true; steps: Step[] } | { ok: false; fault: string } {
  const lines = written.split(/\r?\n| \/\/ /).flatMap((line, index) => (line.trim() === '' ? [] : [{ line: line.trim(), at: index + 1 }]));
  if (lines.length === 0) return { ok: false, fault: 'a ladder has at least one step: "1d Oi {nome}, ainda posso ajudar?"' };
  if (lines.length > MOST_STEPS) return { ok: false, fault: `a ladder has at most ${MOST_STEPS} steps` };
  const steps: Step[] = [];
  for (const { line, at } of lines) {
    const step = stepOf(line);
    if (typeof step === 'string') return { ok: false, fault: `step ${at}: ${step}` };
    steps.push(step);
  }
  return { ok: true, steps };
}

function stepOf(line: string): Step | string {
  const [, count, unit = '', text = ''] = /^(\d{1,5})\s?(min|m|h|d)\s+(\S.*)$/.exec(line) ?? [];
  if (count === undefined) return 'begin with how long after the one before (90min, 4h, 2d), then the words';
  const minutes = Number(count) * (MINUTES[unit] ?? 1);
  if (minutes < SOONEST || minutes > LATEST) return `the time must be between ${SOONEST} minutes and 30 days`;
  if (text.length > LONGEST) return `the words must have at most ${LONGEST} characters`;
  const unknown = (text.match(/\{[^}]*\}?/g) ?? []).find((place) => !PLACES.includes(place));
  return unknown === undefined ? { after_minutes: minutes, text } : `${unknown} is no place that is known: ${PLACES.join(', ')}`;
}

/** The same, to read and to give again. */
export function ladderLines(steps: readonly Step[]): string[] {
  return steps.map(({ after_minutes: minutes, text }) => {
    const unit = minutes % 1_440 === 0 ? 'd' : minutes % 60 === 0 ? 'h' : 'min';
    return `${minutes / (MINUTES[unit] ?? 1)}${unit} ${text}`;
  });
}
