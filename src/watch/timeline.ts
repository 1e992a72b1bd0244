/** Why a message was (not) answered, in words that need no source code. Pure: the timeline and the clock come in, sentences go out. */
import { oneLine } from '../words/foreign-text.ts';
import { because, LOOK_YOURSELF } from '../words/reasons.ts';

export type MessageEntry = {
  what: 'message';
  id: number;
  at: Date;
  direction: 'in' | 'out';
  author: 'contact' | 'agent' | 'human' | 'system' | 'automatic';
  type: string;
  status: string;
  reason: string | null;
  text: string;
  /** of ours: reply, handoff, campaign ... */
  kind: string | null;
  turn_id: number | null;
  provider_at: Date;
  attempts: number;
  goes_at: Date | null;
  claimed_at: Date | null;
  delivered_at: Date | null;
  read_at: Date | null;
  edited_at: Date | null;
  deleted_at: Date | null;
  /** What became of its file. */
  media?: { read: string; why: string | null; next_at: Date | null } | null;
};
type Tokens = {
  input_tokens: number;
  output_tokens: number;
  thinking_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
};
export type TurnEntry = {
  what: 'turn';
  /** Passages of documents that its answer says it is taken from. */
  sources?: { title: string; cited: string }[];
  id: number;
  at: Date;
  status: string;
  reason: string | null;
  model: string | null;
  /** Which rule chose it, see turns/routing-words.ts. */
  route: string | null;
  agent: string | null;
  agent_version: number | null;
  prompt_hash: string | null;
  verdict: string | null;
  ended_at: Date | null;
  cost_usd: number;
  unpriced_calls: number;
} & Tokens;
type ModelCallEntry = {
  what: 'model_call';
  id: number;
  at: Date;
  turn_id: number;
  model: string;
  outcome: string;
  ms: number;
  /** null: the model has no price. */
  cost_usd: number | null;
  estimated: boolean;
  detail: string | null;
  cache_miss: string | null;
} & Tokens;
/** For what a file shows, before any turn. */
type MediaCallEntry = Omit<ModelCallEntry, 'what' | 'turn_id' | 'cache_miss'> & { what: 'media_call'; message_id: number };
type ToolCallEntry = {
  what: 'tool_call';
  id: number;
  at: Date;
  turn_id: number;
  name: string;
  input: unknown;
  output: string;
  ok: boolean;
  ms: number;
  cost_usd: number | null;
};
type ToolWriteEntry = {
  what: 'tool_write';
  id: number;
  at: Date;
  turn_id: number;
  name: string;
  input: unknown;
  status: string;
  reason: string | null;
  risks: string[];
  answer: string | null;
  sent_at: Date | null;
  ended_at: Date | null;
  approval_id: number | null;
  decided: string | null;
  decided_by: string | null;
  decided_at: Date | null;
};
type HandoffEntry = {
  what: 'handoff';
  id: number;
  at: Date;
  turn_id: number | null;
  reason: string;
  summary: string | null;
  controls: boolean;
  status: string;
  notified_at: Date | null;
  reminded_at: Date | null;
  taken_at: Date | null;
  returned_at: Date | null;
  returned_by: string | null;
};
type OptOutEntry = { what: 'opt_out'; id: number; at: Date; source: string; revoked_at: Date | null };
type WebhookEntry = { what: 'webhook'; id: number; at: Date; event: string | null; outcome: string };
export type TimelineEntry =
  | MessageEntry
  | TurnEntry
  | ModelCallEntry
  | MediaCallEntry
  | ToolCallEntry
  | ToolWriteEntry
  | HandoffEntry
  | OptOutEntry
  | WebhookEntry;

export type ConversationState = {
  id: number;
  instance: string;
  controlled_by: string;
  escalation_reason: string | null;
  takeover_until: Date | null;
  /** scope of the pause that holds it, or null */
  paused: string | null;
  opted_out: boolean;
  /** why its turn waits, see SQL room_at, or null */
  put_off: string | null;
};

/** `entry` as it was recorded, `says` what happened, `why` the reason or the figures, or null. */
export type ExplainedEntry<Entry> = { entry: Entry; says: string; why: string | null };
export type Explanation<Entry> = { entries: ExplainedEntry<Entry>[]; conclusion: string };

/**
 * Explains a conversation, or one message of it when `focus` is its id: what does not concern that message is left out then.
 * `format` writes a moment for the reader.
 */
export function explain<Entry extends TimelineEntry>(
  conversation: ConversationState,
  entries: Entry[],
  focus: number | null,
  now: Date,
  format: (at: Date) => string,
): Explanation<Entry> {
  const message =
    focus === null
      ? (messagesOf(entries).findLast((each) => each.direction === 'in') ?? messagesOf(entries).at(-1))
      : messagesOf(entries).find((each) => each.id === focus);
  const shown = focus === null || message === undefined ? entries : entries.filter(concerns(message, entries));
  return {
    entries: shown.map((entry) => ({ entry, ...describe(entry, entries, format) })),
    conclusion: message === undefined ? 'nothing has happened in this conversation' : conclude(message, conversation, entries, now, format),
  };
}

function messagesOf(entries: readonly TimelineEntry[]): MessageEntry[] {
  return entries.filter((entry) => entry.what === 'message');
}

/** What has to do with a message: the turns that took it, all that they did, who wrote in between, and the webhooks that told of it. */
function concerns(message: MessageEntry, entries: readonly TimelineEntry[]): (entry: TimelineEntry) => boolean {
  const turns = turnsOf(message, entries);
  const ids = new Set(turns.map((turn) => turn.id));
  const end = turns.at(-1)?.ended_at ?? (message.status === 'received' ? null : message.at);
  const during = (at: Date) => at >= message.at && (end === null || at <= end);
  return (entry) => {
    switch (entry.what) {
      case 'message':
        return (
          entry.id === message.id || (entry.turn_id !== null && ids.has(entry.turn_id)) || (entry.author === 'human' && during(entry.at))
        );
      case 'turn':
        return ids.has(entry.id);
      case 'model_call':
      case 'tool_call':
      case 'tool_write':
        return ids.has(entry.turn_id);
      case 'media_call':
        return entry.message_id === message.id;
      case 'handoff':
        return entry.turn_id !== null && ids.has(entry.turn_id);
      case 'opt_out':
        return during(entry.at);
      case 'webhook':
        return true;
    }
  };
}

/** The turns that had this message before them, oldest first; an outbound one was written by one turn, or none. */
function turnsOf(message: MessageEntry, entries: readonly TimelineEntry[]): TurnEntry[] {
  const { turn_id: last } = message;
  if (last === null) return [];
  const turns = entries.filter((entry) => entry.what === 'turn');
  return turns.filter((turn) => turn.id === last || (message.direction === 'in' && turn.id < last && turn.at >= message.at));
}

function describe(
  entry: TimelineEntry,
  entries: readonly TimelineEntry[],
  format: (at: Date) => string,
): { says: string; why: string | null } {
  switch (entry.what) {
    case 'message':
      return {
        says: `message ${entry.id} ${entry.kind === 'operator' ? 'for those who run this' : entry.author === 'system' && entry.turn_id !== null ? 'of the runtime' : AUTHORS[entry.author]}: ${quote(entry.text)}`,
        why: messageState(entry, entries, format),
      };
    case 'turn':
      return { says: `turn ${entry.id} ${TURNS[entry.status] ?? entry.status}`, why: turnFigures(entry) };
    case 'model_call': {
      const end = `worked ${seconds(entry.ms)} and ${MODEL_ENDS[entry.outcome] ?? `ended with ${entry.outcome}`}`;
      return {
        says:
          entry.detail === 'summary'
            ? `the model ${entry.model} ${end}: the summary of what was said long before`
            : `the model ${entry.model} ${end}${entry.detail === null ? '' : ` (${entry.detail})`}`,
        why: `${figures(entry, moneyOf(entry))}${entry.cache_miss === null ? '' : `; the cache did not have it: ${CACHE_MISSES[entry.cache_miss] ?? entry.cache_miss}`}`,
      };
    }
    case 'media_call':
      return {
        says: `the model ${entry.model} looked at the file of message ${entry.message_id} for ${seconds(entry.ms)} and ${MODEL_ENDS[entry.outcome] ?? `ended with ${entry.outcome}`}`,
        why: figures(entry, moneyOf(entry)),
      };
    case 'tool_call':
      return {
        says: `tool ${entry.name} ${entry.ok ? 'was used' : 'refused'}`,
        why: `${quote(JSON.stringify(entry.input))} -> ${quote(entry.output)}, ${seconds(entry.ms)}${entry.cost_usd === null ? '' : `, ${entry.cost_usd} US dollars`}`,
      };
    case 'tool_write':
      return {
        says: `${entry.name} was to be done outside (${quote(JSON.stringify(entry.input))}): ${entry.status}`,
        why: writeSteps(entry, format).join('; '),
      };
    case 'handoff':
      return {
        says: `a person was ${entry.controls ? 'called' : 'told'}${entry.status === 'returned' ? ', and is done' : ''}`,
        why: [
          `because ${because(entry.reason)}${entry.summary === null ? '' : `: ${quote(entry.summary)}`}`,
          ...handoffSteps(entry, format),
        ].join('; '),
      };
    case 'opt_out':
      return {
        says: `the contact opted out (${entry.source})`,
        why: entry.revoked_at === null ? null : `taken back ${format(entry.revoked_at)}`,
      };
    case 'webhook':
      return { says: `webhook ${entry.id} (${entry.event ?? 'without a name'}): ${WEBHOOKS[entry.outcome] ?? entry.outcome}`, why: null };
  }
}

/** Each step of it, with its time. */
function writeSteps(write: ToolWriteEntry, format: (at: Date) => string): string[] {
  const { approval_id: id, decided, decided_by: by, decided_at: at, sent_at: sent, ended_at: ended } = write;
  return [
    ...(id === null ? [] : [`approval ${id} was needed because of ${write.risks.join(', ')}`]),
    ...(at === null || decided === null ? [] : [`${decided}${by === null ? '' : ` by ${by}`} ${format(at)}`]),
    ...(sent === null ? [] : [`called ${format(sent)}`]),
    ...(ended === null ? [] : [`${write.status} ${format(ended)}`]),
    ...(write.reason === null ? [] : [`because ${because(write.reason)}`]),
    ...(write.answer === null ? [] : [`answer: ${quote(write.answer)}`]),
  ];
}

function handoffSteps(handoff: HandoffEntry, format: (at: Date) => string): string[] {
  const steps: [what: string, at: Date | null][] = [
    ['people told', handoff.notified_at],
    ['reminded', handoff.reminded_at],
    ['taken on the phone', handoff.taken_at],
    [`given back by ${handoff.returned_by ?? 'somebody'}`, handoff.returned_at],
  ];
  return steps.flatMap(([what, at]) => (at === null ? [] : [`${what} ${format(at)}`]));
}

const AUTHORS: Readonly<Record<MessageEntry['author'], string>> = {
  contact: 'from the contact',
  agent: 'of the agent',
  human: 'of a person on the phone',
  automatic: 'of our number, not written by a person',
  system: 'that was ordered through the API',
};

const TURNS: Readonly<Record<string, string>> = {
  open: 'is at work',
  committed: 'answered',
  superseded: 'gave up',
  deferred: 'put it off, since the model was unavailable',
  suppressed: 'wrote an answer that was not sent',
  skipped: 'decided not to answer',
  handed_over: 'left it to a person',
  failed: 'failed and is tried again',
  expired: 'ended without a word',
};

const MODEL_ENDS: Readonly<Record<string, string>> = {
  refusal: 'declined to answer these words',
  end_turn: 'answered',
  tool_use: 'asked for a tool',
  max_tokens: 'was cut at its limit of tokens',
  ok: 'answered',
  worker_lost: 'was lost with its worker, and counts as spent',
  aborted: 'was broken off, since its answer was not wanted any more',
};

const CACHE_MISSES: Readonly<Record<string, string>> = {
  below_floor: 'the prompt is shorter than what this model caches',
  first: 'it was the first of this conversation',
  expired: 'the last answer was more than five minutes before',
  evicted: 'nothing had changed',
  model_changed: 'the answer before was of another model',
  system_changed: 'the rules of the agent have changed',
  tools_changed: 'the tools have changed',
  messages_changed: 'the history begins later now, or some of it has changed',
};

const WEBHOOKS: Readonly<Record<string, string>> = {
  stored: 'stored the message',
  duplicate: 'a repeat, dropped',
  echo: 'told us that our own message is on its way',
  takeover: 'stored words of a person on the phone, and the agent keeps quiet',
  returned: 'a person on the phone gave the conversation back to the agent',
  command: 'stored a command of the manager',
  context: 'stored for the history',
  ack: 'told us how far it got',
  edit: 'changed its text',
  delete: 'deleted it',
};

function messageState(message: MessageEntry, entries: readonly TimelineEntry[], format: (at: Date) => string): string {
  const extra = [
    mediaState(message, format),
    message.edited_at === null ? null : `edited ${format(message.edited_at)}`,
    message.deleted_at === null ? null : `deleted ${format(message.deleted_at)}`,
  ].filter((each) => each !== null);
  return [stateOf(message, entries, format), ...extra].join('; ');
}

function mediaState({ media }: MessageEntry, format: (at: Date) => string): string | null {
  if (media == null) return null;
  if (media.read === 'words') return 'its file was read';
  if (media.read === 'silent') return 'nothing is said in it';
  const again = media.next_at === null ? 'not tried again' : `tried again ${format(media.next_at)}`;
  return `its file was not read because ${because(media.why)}, ${again}`;
}

function isRefusedCommand({ reason }: MessageEntry): boolean {
  return reason?.startsWith('command_') === true;
}

function stateOf(message: MessageEntry, entries: readonly TimelineEntry[], format: (at: Date) => string): string {
  switch (message.status) {
    case 'received':
      return waitsForModel(message, entries) ? 'stored, waits for the model' : 'stored, not answered yet';
    case 'answered': {
      if (message.reason === 'command') return 'stored, a command of the manager, carried out and answered';
      if (isRefusedCommand(message)) return `stored, not carried out because ${because(message.reason)}`;
      const others = messagesOf(entries).filter(
        (each) => each.direction === 'in' && each.turn_id === message.turn_id && each.id !== message.id,
      );
      const together = others.length === 0 ? '' : `, together with message ${others.map((each) => each.id).join(', ')}`;
      return `stored, and answered by turn ${message.turn_id ?? '?'}${together}`;
    }
    case 'skipped':
      return `stored, not answered because ${because(message.reason)}`;
    case 'handed_over':
      return `stored, left to a person because ${because(message.reason)}`;
    case 'draft':
      return 'a draft: it waits for a yes (npm run admin -- draft list)';
    case 'queued':
      return message.reason === null ? 'waits for its turn' : held(message, format);
    case 'sending':
      return `leaving since ${format(message.claimed_at ?? message.at)}`;
    case 'sent':
      return message.author === 'human'
        ? 'sent'
        : message.author === 'automatic'
          ? `sent; the agent goes on, because ${because(message.reason)}`
          : `sent ${format(sentAt(message))}${attempts(message)}, not confirmed by the contact's phone yet`;
    case 'delivered':
    case 'read': {
      const delivered = message.delivered_at === null ? '' : `, delivered ${format(message.delivered_at)}`;
      const read = message.read_at === null ? '' : `, read ${format(message.read_at)}`;
      return `sent ${format(sentAt(message))}${attempts(message)}${delivered}${read}`;
    }
    case 'uncertain':
    case 'unproven':
      return `may have left: ${because(message.reason)}`;
    default:
      return `${message.status} because ${because(message.reason)}`;
  }
}

function held(message: MessageEntry, format: (at: Date) => string): string {
  const goes = message.goes_at === null || message.reason?.startsWith('paused_') === true ? '' : `, goes ${format(message.goes_at)}`;
  return `held because ${because(message.reason)}${goes}`;
}

function attempts(message: MessageEntry): string {
  return message.attempts > 1 ? ` at attempt ${message.attempts}` : '';
}

/** The provider tells whole seconds, so our own clock counts where it is later. */
function sentAt(message: MessageEntry): Date {
  const claimed = message.claimed_at ?? message.at;
  return claimed > message.provider_at ? claimed : message.provider_at;
}

function waitsForModel(message: MessageEntry, entries: readonly TimelineEntry[]): boolean {
  return turnsOf(message, entries).at(-1)?.status === 'deferred';
}

function turnFigures(turn: TurnEntry): string {
  const why = turn.reason === null ? [] : [`because ${because(turn.reason)}`];
  const took = turn.ended_at === null ? [] : [`took ${seconds(turn.ended_at.getTime() - turn.at.getTime())}`];
  const unpriced = turn.unpriced_calls === 0 ? '' : `, and ${turn.unpriced_calls} calls of a model without a price`;
  const used = turn.model === null ? [] : [figures(turn, `${dollars(turn.cost_usd)}${unpriced}`)];
  const sources = (turn.sources ?? []).map(({ title, cited }) => `taken from ${oneLine(title, 100)}: ${quote(cited)}`);
  return [...why, ...took, ...routeWords(turn), ...wordsOf(turn), ...checkOf(turn), ...used, ...sources].join('; ');
}

/** Why the turn went to the model that it went to. */
function routeWords({ route, model }: TurnEntry): string[] {
  const because = ROUTES[route ?? ''];
  if (because === undefined || model === null) return [];
  return [because === null ? `${model}, as for any ordinary message` : `${model}; the complex model was chosen because ${because}`];
}

const ROUTES: Readonly<Record<string, string | null>> = {
  plain: null,
  sentiment: 'the contact is unhappy (sentiment)',
  objection: 'the contact objects or doubts (objection)',
  negotiation: 'the contact haggles (negotiation)',
  long_talk: 'the talk has more than 5 turns (long_talk)',
};

/** Whose words the model read; the hash tells apart what the version does not, such as the company's name. */
function wordsOf({ agent, agent_version: version, prompt_hash: hash }: TurnEntry): string[] {
  if (agent === null || version === null || hash === null) return [];
  return [`words of ${oneLine(agent, MOST_NAME_CHARS)}, version ${version} (${hash})`];
}

function checkOf({ verdict }: TurnEntry): string[] {
  const [outcome = '', rules = ''] = (verdict ?? '').split(':');
  const what = rules.replaceAll('_', ' ').replaceAll(',', ', ');
  if (outcome === 'again') return [`its first words had faults (${what}) and were written again`];
  if (outcome === 'refused') return [`its words had faults (${what}) and were not sent`];
  return outcome === 'repaired' ? ['its writing was made WhatsApp’s'] : [];
}

const MOST_NAME_CHARS = 60;

function figures(used: Tokens, money: string): string {
  const { cache_read_tokens: read, cache_write_tokens: written, thinking_tokens: thought } = used;
  const parts = [
    ...(read === 0 ? [] : [`${read} read from the cache`]),
    ...(written === 0 ? [] : [`${written} written to the cache`]),
    ...(thought === 0 ? [] : [`${thought} of the output thinking`]),
  ];
  const told = `${used.input_tokens + read + written} tokens in, ${used.output_tokens} out, ${money}`;
  return parts.length === 0 ? told : `${told} (${parts.join(', ')})`;
}

function moneyOf({ cost_usd: cost, estimated }: Pick<ModelCallEntry, 'cost_usd' | 'estimated'>): string {
  if (cost === null) return 'no price is known for this model';
  return estimated ? `about ${dollars(cost)} for what it had been given` : dollars(cost);
}

function dollars(cost: number): string {
  return `US$ ${cost.toFixed(6)}`;
}

const SENT: ReadonlySet<string> = new Set(['sent', 'delivered', 'read']);

function conclude(
  message: MessageEntry,
  conversation: ConversationState,
  entries: readonly TimelineEntry[],
  now: Date,
  format: (at: Date) => string,
): string {
  if (message.direction === 'out') return concludeOutbound(message, conversation, now, format);
  switch (message.status) {
    case 'received':
      return concludeWaiting(message, conversation, entries, now);
    case 'answered': {
      if (message.reason === 'command') return 'a command of the manager, carried out and answered';
      if (isRefusedCommand(message)) return `not carried out because ${because(message.reason)}`;
      const parts = messagesOf(entries).filter((each) => each.direction === 'out' && each.turn_id === message.turn_id);
      const first = parts[0];
      if (first === undefined) return `settled by turn ${message.turn_id ?? '?'} without a message to the contact`;
      const stuck = parts.find((part) => !SENT.has(part.status));
      const declined = turnsOf(message, entries).at(-1)?.reason === 'declined';
      if (stuck !== undefined) return `an answer is written: message ${stuck.id} is ${concludeOutbound(stuck, conversation, now, format)}`;
      const took = seconds(sentAt(first).getTime() - message.at.getTime());
      return declined ? `not answered because ${because('declined')} (after ${took})` : `answered in ${took}`;
    }
    case 'handed_over':
      return `not answered by the agent because ${because(message.reason)}; a person has it (npm run admin -- handoff list)`;
    default:
      return `not answered because ${because(message.reason)}`;
  }
}

function concludeWaiting(message: MessageEntry, conversation: ConversationState, entries: readonly TimelineEntry[], now: Date): string {
  const since = seconds(now.getTime() - message.at.getTime());
  const turn = turnsOf(message, entries).at(-1);
  if (conversation.paused !== null) return `not answered yet, after ${since}, because ${because(`paused_${conversation.paused}`)}`;
  if (turn?.status === 'open') return `being answered: turn ${turn.id} is at work for ${seconds(now.getTime() - turn.at.getTime())}`;
  if (conversation.put_off !== null)
    return `not answered yet, after ${since}, because ${because(conversation.put_off)}; that comes by itself`;
  if (turn !== undefined) return `not answered yet, after ${since}, because ${because(turn.reason)}; the next attempt comes by itself`;
  return `not answered yet, after ${since}: it waits for the contact to finish, or for a worker (npm run admin -- status)`;
}

function concludeOutbound(message: MessageEntry, conversation: ConversationState, now: Date, format: (at: Date) => string): string {
  switch (message.status) {
    case 'queued': {
      const pause = conversation.paused === null ? message.reason : `paused_${conversation.paused}`;
      const reason = pause ?? (message.goes_at !== null && message.goes_at > now ? 'scheduled' : null);
      return reason === null ? 'waiting for its turn' : held({ ...message, reason }, format);
    }
    case 'draft':
      return 'a draft: it waits for a yes (npm run admin -- draft list)';
    case 'sending':
      return 'leaving now';
    case 'sent':
    case 'delivered':
    case 'read':
      if (message.author === 'human') return 'written by a person on the phone';
      if (message.author === 'automatic') return `not written by a person: ${because(message.reason)}`;
      return `sent in ${seconds(sentAt(message).getTime() - message.at.getTime())}, ${message.status === 'sent' ? 'not delivered yet' : message.status}`;
    case 'uncertain':
      return `in doubt for a moment: ${because(message.reason)}`;
    case 'unproven':
      return `in doubt: ${because(message.reason)}. ${LOOK_YOURSELF} (npm run admin -- dlq show ${message.id})`;
    case 'failed':
      return `not sent because ${because(message.reason)} (npm run admin -- dlq retry ${message.id} tries it again)`;
    default:
      return `not sent because ${because(message.reason)}`;
  }
}

/** `0.4 s`, `12 s`, `7 min`, `3 h`. */
function seconds(ms: number): string {
  const all = Math.max(0, ms) / 1000;
  if (all < 10) return `${Math.round(all * 10) / 10} s`;
  if (all < 120) return `${Math.round(all)} s`;
  if (all < 7_200) return `${Math.round(all / 60)} min`;
  return `${Math.round(all / 3_600)} h`;
}

/** The first line of a text, at most 120 characters, in quotes. */
function quote(text: string): string {
  return `"${oneLine(text, 120)}"`;
}
