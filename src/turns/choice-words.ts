/**
 * Choices without buttons, which do not arrive on unofficial sessions: the agent writes a numbered list, and `2`, `a segunda`, `opção dois`, `a do meio` or
 * `a última` is looked up in it here, so that the model need not count. What it comes to is a note behind the contact's words; the model decides what it means.
 * Pure. The same messages have the same notes, so a longer prompt begins with a shorter one.
 */
import { cut } from '../words/cut.ts';
import { clausesOf } from '../words/fold.ts';
import { lineForModel } from '../words/foreign-text.ts';

export type ChoiceMessage = {
  id: number;
  direction: 'in' | 'out';
  author: string;
  type: string;
  text: string | null;
  typed?: string | null;
  quoted_text: string | null;
  quoted_author?: string | null;
  status?: string;
};

/** A note for each inbound message, by its id, that chooses from a numbered list of the agent. */
export function choiceNotes(messages: readonly ChoiceMessage[]): ReadonlyMap<number, string> {
  const notes = new Map<number, string>();
  let offered: { options: string[]; ago: number } | null = null;
  let run: string[] = []; // what we said since the contact last wrote
  let wasIn = false;
  for (const message of messages) {
    if (message.type === 'reaction' || message.text === null || message.status === 'queued' || message.status === 'cancelled') continue;
    if (message.direction === 'out') {
      if (wasIn) {
        run = [];
        if (offered !== null) offered.ago += 1;
      }
      const text = cut(message.text, MOST_LIST_CHARS);
      run.push(text);
      const options = numberedList(run.join('\n'));
      // what a person or another program has listed is not ours to look up, and ours is not the last one any more
      if (message.author !== 'agent' && numberedList(text) !== null) offered = null;
      else if (options !== null && message.author === 'agent') offered = { options, ago: 0 };
    } else {
      const quoted =
        message.quoted_author === 'agent' && message.quoted_text !== null ? numberedList(cut(message.quoted_text, MOST_LIST_CHARS)) : null;
      const list = quoted === null ? offered : { options: quoted, ago: 0 };
      const note = list === null || list.ago > MOST_AGO ? null : noteOf(list, wordsOf(message));
      if (note !== null) notes.set(message.id, note);
    }
    wasIn = message.direction === 'in';
  }
  return notes;
}

/** How often we may have spoken since the list: a bare number answers the last words only, `a segunda` is still understood a little later. */
const MOST_AGO = 2;
const MOST_OPTIONS = 20;
/** An answer of the agent is not longer; what a phone sends may be. */
const MOST_LIST_CHARS = 4_000;
const OPTION_CHARS = 200;
/** Who chooses is short; a long text says itself what it means. */
const MOST_CHARS = 120;

/** `1. x`, `2) x`, `*3* - x`, `4️⃣ x`, one a line, from 1 on; of several lists the last. Null: there is none. */
export function numberedList(text: string): string[] | null {
  let list: string[] = [];
  let last: string[] | null = null;
  for (const line of text.split('\n')) {
    const [, digits, option] =
      // trimmed before, so that a run of spaces is shared out in one way only
      /^[*_]{0,2}(\d{1,2})[*_]{0,2}\uFE0F?(?:\u20E3\s*[-–—:.)]?|\s*[-–—:.)ºª]+[*_]{0,2})\s+(\S.*)$/.exec(line.trim()) ?? [];
    if (digits === undefined || option === undefined) continue;
    const number = Number(digits);
    if (number === 1) list = [];
    if (number !== list.length + 1) continue;
    list.push(option.replaceAll(/[*_]/g, ''));
    if (list.length >= 2 && list.length <= MOST_OPTIONS) last = list;
  }
  return last;
}

function wordsOf({ typed, type, text }: ChoiceMessage): string {
  return typed ?? (type === 'text' ? (text ?? '') : '');
}

function noteOf({ options, ago }: { options: readonly string[]; ago: number }, said: string): string | null {
  if (said.length > MOST_CHARS) return null;
  const count = options.length;
  const picks = clausesOf(said).flatMap((clause) => picksOf(clause, count));
  const chosen = picks.filter((pick) => (ago === 0 || !pick.bare) && (!pick.bare || pick.number <= count));
  if (chosen.length === 0) return null;
  const lines = [...new Set(chosen.map(({ number }) => number))].map((number) => {
    const option = options[number - 1];
    return option === undefined
      ? `não há opção ${number}`
      : `a opção ${number} é "${lineForModel(option, OPTION_CHARS).replaceAll('"', "'")}"`;
  });
  const day = chosen.find(({ weekday }) => weekday !== null && options.some((option) => WEEKDAY.test(option)))?.weekday;
  const doubt = day === undefined ? '' : `; "${day}" pode ser também o dia da semana: confirme`;
  return `[sistema: na sua última lista numerada, de ${count} opções, ${lines.join('; ')}${doubt}]`;
}

/** `bare`: nothing but a figure, which may as well be a quantity or an age. `weekday`: the word is one of those too. */
type Pick = { number: number; bare: boolean; weekday: string | null };

/** What a clause of folded words chooses, out of so many; [] when it says anything else beside. */
function picksOf(clause: string, count: number): Pick[] {
  const named = [...clause.matchAll(NAMED)];
  if (named.length > 0)
    return DENIAL.test(clause)
      ? []
      : named.flatMap((match) => pickOf(match[1] ?? match[2] ?? '', count, false).map((pick) => ({ ...pick, weekday: null })));
  const words = clause.replace(BEFORE, '').replace(BEHIND, '').trim();
  const parts = words.split(/ (?:e|ou|y|and) /);
  const picks = parts.map((part) => pickOf(part.replace(ARTICLE, ''), count, part === words && !ARTICLE.test(part)));
  return picks.every((each) => each.length > 0) ? picks.flat() : [];
}

const CARDINALS: readonly string[] = ['um|uma|uno|one', 'dois|duas|dos|two', 'tres|three', 'quatro|cuatro|four', 'cinco|five', 'seis|six', 'sete|siete|seven', 'oito|ocho|eight', 'nove|nueve|nine', 'dez|diez|ten']; // prettier-ignore
const ORDINALS: readonly string[] = ['primeir[oa]|primer[oa]?|first', 'segund[oa]|second', 'terceir[oa]|tercer[oa]?|third', 'quart[oa]|cuart[oa]|fourth', 'quint[oa]|fifth', 'sext[oa]|sixth', 'setim[oa]|septim[oa]', 'oitav[oa]|octav[oa]', 'non[oa]|noven[oa]', 'decim[oa]']; // prettier-ignore
const [WHOLE_CARDINALS, WHOLE_ORDINALS] = [CARDINALS, ORDINALS].map((all) => all.map((each) => new RegExp(`^(?:${each})$`))) as [
  RegExp[],
  RegExp[],
]; // two in, two out
const FIGURE = '\\d{1,2} ?[ªºao]?';
const ORDINAL = ORDINALS.join('|');
const ANY = `(?:${FIGURE}|${CARDINALS.join('|')}|${ORDINAL})`;
const NOUN = '(?:opcao|opcoes|alternativa|item|numero|opcion|option|number)';

/** `opção 2`, `segunda opção`, wherever they stand. */
const NAMED = new RegExp(
  `(?<![a-z0-9])(?:${NOUN} (?:de )?(?:numero )?(${ANY})|(\\d{1,2} ?[ªº]|${ORDINAL}|ultim[oa]|last) ${NOUN})(?![a-z0-9])`,
  'g',
);
const DENIAL = /(?<![a-z])(?:nao|nem|menos|exceto|sem|no|not)(?![a-z])/;
const ARTICLE = /^(?:a|o|la|el|the|n|nr) /;
const BEFORE =
  /^(?:(?:oi|ola|sim|isso|entao|ta|ok|beleza|bom|eu|acho que|acho|vou querer|quero|queria|gostaria|prefiro|pode ser|vou de|vou com|fico com|ficamos com|fica|escolho|seria|manda|me ve|e|quiero|prefiero|i want|i prefer|essa|esse|com)\s+)*/;
const BEHIND =
  /(?:\s+(?:por favor|pfv|pf|pfvr|mesmo|mesma|entao|obrigad[oa]|obg|please|por gentileza|ta|ok|pra mim|ai|sim|serve|melhor|e melhor|gracias))*$/;
const WEEKDAY = /segunda|ter[çc]a|quarta|quinta|sexta|lunes|martes/i;

/** The first of these names the figure. */
function pickOf(words: string, count: number, bare: boolean): Pick[] {
  const said = words.trim();
  const figure = /^(\d{1,2})( ?[ªºao])?$/.exec(said);
  if (figure !== null) return numbered(Number(figure[1]), bare && figure[2] === undefined);
  const cardinal = WHOLE_CARDINALS.findIndex((each) => each.test(said));
  if (cardinal >= 0) return numbered(cardinal + 1, bare);
  const ordinal = WHOLE_ORDINALS.findIndex((each) => each.test(said));
  if (ordinal >= 0) return numbered(ordinal + 1, false, /^(?:segunda|quarta|quinta|sexta)$/.test(said) ? said : null);
  if (/^(?:ultim[oa]|last(?: one)?)$/.test(said)) return numbered(count, false);
  if (/^penultim[oa]$/.test(said)) return numbered(count - 1, false);
  if (/^(?:do meio|de meio|meio|del medio|middle one)$/.test(said) && count % 2 === 1) return numbered((count + 1) / 2, false);
  if (count === 2 && /^de cima$/.test(said)) return numbered(1, false);
  if (count === 2 && /^de baixo$/.test(said)) return numbered(2, false);
  return [];
}

function numbered(number: number, bare: boolean, weekday: string | null = null): Pick[] {
  return number < 1 ? [] : [{ number, bare, weekday }];
}
