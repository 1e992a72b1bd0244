/** What is promised (uptime 99.5 %, replies generated within 5 s, errors below 1 %), what came of it, and how fast the allowance is used up. Pure. */

export type SlaFigures = {
  minutes: number;
  up_minutes: number;
  turns: number;
  slow_turns: number;
  failed_turns: number;
  sends: number;
  failed_sends: number;
};

export type Objective = {
  name: 'uptime' | 'latency' | 'errors';
  /** Share of what must be good, 0..1. */
  target: number;
  /** Null: nothing to judge by yet. */
  actual: number | null;
  met: boolean;
};

/** At most 5 % of the replies may take longer than 5 s to be generated. */
const TARGETS = { uptime: 0.995, latency: 0.95, errors: 0.99 } as const;

export function objectives(figures: SlaFigures): Objective[] {
  const all = figures.turns + figures.failed_turns + figures.sends + figures.failed_sends;
  const actual = {
    uptime: figures.minutes <= 0 ? null : Math.min(1, figures.up_minutes / figures.minutes),
    latency: figures.turns === 0 ? null : 1 - figures.slow_turns / figures.turns,
    errors: all === 0 ? null : 1 - (figures.failed_turns + figures.failed_sends) / all,
  };
  return (['uptime', 'latency', 'errors'] as const).map((name) => ({
    name,
    target: TARGETS[name],
    actual: actual[name],
    met: actual[name] === null || actual[name] >= TARGETS[name],
  }));
}

/** At this rate the allowance of 30 days is gone in two days, as in Google's SRE workbook: worth waking somebody. */
const FAST_BURN = 14.4;
/** Fewer than these say nothing. */
const LEAST = { minutes: 10, events: 20 };

/** Objectives whose allowance burns so fast within the last hour that a month's is soon gone, or is gone already and still burns. */
export function burning(hour: SlaFigures, month: SlaFigures): { objective: Objective['name']; text: string }[] {
  const now = objectives(hour);
  const whole = objectives(month);
  return now.flatMap(({ name, target, actual }, index) => {
    const judged =
      name === 'uptime' ? hour.minutes >= LEAST.minutes : hour.turns + hour.failed_turns + hour.sends + hour.failed_sends >= LEAST.events;
    if (actual === null || !judged) return [];
    const burn = (1 - actual) / (1 - target);
    const gone = whole[index]?.met === false;
    if (burn < FAST_BURN && !(gone && burn > 1)) return [];
    const text = `${WORDS[name]} em ${share(actual)} na última hora (meta ${share(target)}), ${burn.toFixed(1).replace('.', ',')} vezes o consumo permitido${gone ? '; a meta de 30 dias já foi perdida' : ''}.`;
    return [{ objective: name, text }];
  });
}

export const WORDS: Readonly<Record<Objective['name'], string>> = {
  uptime: 'disponibilidade',
  latency: 'respostas geradas em até 5 s',
  errors: 'respostas e envios sem erro',
};

export function share(value: number): string {
  return `${(value * 100).toFixed(2).replace('.', ',')} %`;
}
