/** Kinds that are more than words: polls, orders, payments, events, calls, invitations. Each as a bracketed note and what was written beside it. Pure and total. */
import type { ContentType, MessageContent } from './inbound-event.ts';
import { at, countAt, isTrue, listAt, objectAt, stringAt } from '../words/json.ts';
import { readableWords } from './message-fallback.ts';
import {
  contentOf,
  inline,
  inlineAt,
  joined,
  momentAt,
  money,
  moneyOf,
  note,
  ours,
  shown,
  told,
  typed,
  withLines,
} from './message-parts.ts';

/** `[name: details]`, the remark, and whatever else is readable in the part. */
function noteOf(type: ContentType, name: string, details: string | null, remark: string | null, part: unknown): MessageContent {
  const content = contentOf(type, [ours(joined(': ', name, details) ?? name), typed(remark)]);
  return withLines(content, ...readableWords(part, content.text).map(shown));
}

export function poll(part: unknown): MessageContent {
  const options = told(listAt(part, 'options'), (option) => inlineAt(option, 'optionName'));
  const question = joined(': ', 'enquete', inlineAt(part, 'name'));
  return noteOf('poll', joined(' ', question, options.length > 0 ? `Opções: ${options.join('; ')}` : null) ?? 'enquete', null, null, part);
}

/** Evolution 2.3.7 names what was chosen where it could decrypt the vote; an empty list takes it back (contract 5.1). */
export function pollVote(part: unknown): MessageContent {
  const named = at(part, 'vote', 'selectedOptions');
  if (!Array.isArray(named)) return note('poll', 'voto em enquete, não pode ser lido');
  if (named.length === 0) return note('poll', 'retirou o voto da enquete');
  const chosen = told(
    named,
    (option) => inlineAt({ option }, 'option') ?? inlineAt(option, 'optionName') ?? inlineAt(option, 'name'),
  ).filter((name) => !IS_HASH.test(name));
  if (chosen.length === 0) return note('poll', 'voto em enquete, não pode ser lido');
  return { ...note('poll', `voto em enquete: ${chosen.join('; ')}`), typed: chosen.join('; ') };
}

/** What a vote names as long as nobody has found the option behind it: its SHA-256. */
const IS_HASH = /^(?:[\da-f]{64}|[\w+/]{43}=)$/i;

export function pollResult(part: unknown): MessageContent {
  const votes = told(listAt(part, 'pollVotes'), (vote) => {
    const count = countAt(vote, 'optionVoteCount');
    return joined(': ', inlineAt(vote, 'optionName'), count === null ? null : String(count));
  });
  return noteOf(
    'poll',
    'resultado de enquete',
    joined(' ', inlineAt(part, 'name'), votes.length > 0 ? `Votos: ${votes.join('; ')}` : null),
    null,
    part,
  );
}

export function order(part: unknown): MessageContent {
  const items = countAt(part, 'itemCount');
  const details = joined(
    ', ',
    inlineAt(part, 'orderTitle'),
    items === null ? null : `${items} ${items === 1 ? 'item' : 'itens'}`,
    money(part, 'totalAmount1000', 'totalCurrencyCode'),
  );
  return noteOf('order', 'pedido', details, stringAt(part, 'message'), part);
}

export function product(part: unknown): MessageContent {
  const shown = objectAt(part, 'product') ?? objectAt(part, 'catalog');
  const details = joined(
    ', ',
    inlineAt(shown, 'title'),
    money(shown, 'priceAmount1000', 'currencyCode'),
    money(shown, 'salePriceAmount1000', 'currencyCode'),
  );
  return noteOf('order', 'produto', details, stringAt(part, 'body'), part);
}

export function payment(name: string, part: unknown): MessageContent {
  const currency = inlineAt(part, 'currencyCodeIso4217') ?? inlineAt(part, 'currency');
  const amount =
    money(part, 'amount1000', 'currencyCodeIso4217') ??
    moneyOf(at(part, 'amount'), currency) ??
    money(at(part, 'paymentInfo'), 'amount1000', 'currency') ??
    moneyOf(at(part, 'paymentInfo', 'primaryAmount'), currency);
  return noteOf('payment', name, amount, noteText(at(part, 'noteMessage')) ?? stringAt(part, 'note'), part);
}

/** The note of a payment is a message in itself, nearly always a text. */
function noteText(message: unknown): string | null {
  return stringAt(message, 'conversation') ?? stringAt(message, 'extendedTextMessage', 'text');
}

export function event(part: unknown): MessageContent {
  const place = joined(', ', inlineAt(part, 'location', 'name'), inlineAt(part, 'location', 'address'));
  const [start, end] = [momentAt(part, 'startTime'), momentAt(part, 'endTime')];
  const details = joined(
    ', ',
    inlineAt(part, 'name'),
    place === null ? null : `em ${place}`,
    start === null ? null : `começa ${start}`,
    end === null ? null : `termina ${end}`,
    isTrue(at(part, 'isCanceled')) ? 'CANCELADO' : null,
  );
  return noteOf('event', 'evento', details, stringAt(part, 'description'), part);
}

const RSVP: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [1, 'vai'],
  ['GOING', 'vai'],
  [2, 'não vai'],
  ['NOT_GOING', 'não vai'],
  [3, 'talvez vá'],
  ['MAYBE', 'talvez vá'],
]);

export function eventResponse(part: unknown): MessageContent {
  return noteOf('event', 'resposta ao evento', RSVP.get(at(part, 'response')) ?? null, null, part);
}

const CALL_OUTCOMES: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [0, 'atendida'],
  ['CONNECTED', 'atendida'],
  [1, 'não atendida'],
  ['MISSED', 'não atendida'],
  [2, 'não completou'],
  ['FAILED', 'não completou'],
  [3, 'recusada'],
  ['REJECTED', 'recusada'],
]);

/** Null for a record that says nothing. */
export function call(part: unknown): MessageContent | null {
  const outcome = CALL_OUTCOMES.get(at(part, 'callOutcome'));
  if (outcome === undefined) return null;
  const seconds = countAt(part, 'durationSecs');
  const kind = isTrue(at(part, 'isVideo')) ? 'chamada de vídeo' : 'chamada de voz';
  return note('call', joined(', ', kind, outcome, seconds ? `${seconds} s` : null) ?? kind);
}

export function scheduledCall(part: unknown): MessageContent {
  const video = at(part, 'callType') === 2 || at(part, 'callType') === 'VIDEO';
  const details = joined(', ', inlineAt(part, 'title'), momentAt(part, 'scheduledTimestampMs'), video ? 'de vídeo' : null);
  return noteOf('call', 'chamada agendada', details, null, part);
}

export function invitation(name: string, title: string | null, part: unknown): MessageContent {
  return noteOf('invite', name, title === null ? null : inline(title), stringAt(part, 'caption'), part);
}

export function stickerPack(part: unknown): MessageContent {
  const details = joined(', ', inlineAt(part, 'name'), inlineAt(part, 'publisher'));
  // Names of its files and emojis are no words: it may have sixty.
  const shown = { packDescription: stringAt(part, 'packDescription') };
  return noteOf('sticker', 'pacote de figurinhas', details, stringAt(part, 'caption'), shown);
}
