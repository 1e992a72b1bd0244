// The simulator's words: what a contact, a message, an instance, a fault and a wire record are.
// The shapes that /sim/* shows are described in README.md; the Evolution shapes follow the recorded payloads.

import type { EvolutionVersion } from './version.ts';

export type Json = Record<string, unknown>;

/** A field of a foreign body as text; anything but a string is empty. */
export function textField(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export type ConnectionState = 'open' | 'connecting' | 'close';
/** How WhatsApp addresses a contact: by number, by @lid with the number beside it, or by @lid alone. */
export type Addressing = 'pn' | 'lid' | 'lid-hidden';
export type MessageStatus = 'PENDING' | 'SERVER_ACK' | 'DELIVERY_ACK' | 'READ' | 'ERROR';
export type MediaKind = 'image' | 'audio' | 'video' | 'document' | 'sticker';

export type Contact = {
  id: string;
  name: string;
  /** Digits, in the writing under which WhatsApp knows this person. */
  phone: string;
  lid: string;
  addressing: Addressing;
  /** Addresses for which Evolution's check says `exists: false`. */
  refuses: ('pn' | 'lid')[];
};

/**
 * What ails a number while Evolution says otherwise. `zombie`: says open, the socket is closed. `deaf`: says open, inbound is neither
 * saved nor posted. `stuck`: says connecting, for ever.
 */
export type Trouble = { kind: 'zombie' | 'deaf' | 'stuck'; /** what ends it beside the test */ heals: 'restart' | 'reconnect' | 'never' };

export type Media = {
  kind: MediaKind;
  url: string;
  mimetype: string;
  seconds?: number;
  fileName?: string;
};

/** What a person sees in the chat. `id` is WhatsApp's id (`key.id`); `at` is milliseconds. */
export type Message = {
  id: string;
  instance: string;
  contactId: string;
  fromMe: boolean;
  author: 'contact' | 'api' | 'owner';
  kind: string;
  text: string;
  caption?: string;
  media?: Media;
  quotedId?: string;
  at: number;
  status: MessageStatus;
  edited?: boolean;
  deleted?: boolean;
  reactions: { from: 'contact' | 'api'; emoji: string }[];
};

export type Key = { remoteJid: string; fromMe: boolean; id: string; [extra: string]: unknown };

/** A row of Evolution's Message table, with its MessageUpdate rows. */
export type Row = {
  id: string;
  key: Key;
  pushName: string | null;
  status: string;
  message: Json;
  contextInfo?: Json | null;
  messageType: string;
  /** Seconds. */
  messageTimestamp: number;
  instanceId: string;
  source: string;
  updates: Json[];
  /** Decrypted media for getBase64FromMediaMessage; absent for text. */
  base64?: string;
};

export type WebhookTarget = {
  id: string;
  enabled: boolean;
  url: string;
  headers: Record<string, string> | null;
  events: string[];
  byEvents: boolean;
  base64: boolean;
  createdAt: string;
  updatedAt: string;
};

export type Instance = {
  id: string;
  name: string;
  token: string;
  number: string;
  profileName: string;
  integration: string;
  state: ConnectionState;
  /** False until the first connect of this process: sends then fail with the `onWhatsApp` TypeError. */
  connectedOnce: boolean;
  /** True before the first pairing and after a 401 close: the next connect asks for a QR code. */
  loggedOut: boolean;
  disconnection: { code: number; at: string; object: string } | null;
  webhook: WebhookTarget | null;
  /** Loaded from the webhook row at connect only, as in Evolution: a later change waits for a reconnect. */
  base64: boolean;
  settings: Json;
  createdAt: string;
  /** Evolution's memory of checked numbers: what it may be asked for, and the address that it sends to. Decides which error a send gets while the socket is down. */
  knownJids: Map<string, string>;
  /** Chats whose presence the instance has subscribed to. */
  subscribed: Set<string>;
  /** Inbound that arrived while the socket was down; handed over at the next open, with its old timestamp. */
  held: (() => void)[];
  trouble: Trouble['kind'] | null;
  healsBy: Trouble['heals'];
  /** What comes in waits here while an awaited webhook of the number is out. */
  lane: { busy: boolean; waiting: (() => void | Promise<void>)[] };
  /** The awaited webhook of a log-out is out: the session is still there, and no code is given. */
  loggingOut: boolean;
};

export type FaultTarget =
  | 'send'
  | 'presence'
  | 'find'
  | 'state'
  | 'instance'
  | 'webhook'
  | 'claude'
  | 'slack'
  | 'speech'
  | 'voyage'
  | 'orders'
  | 'google'
  | 'media';
export type FaultInput = {
  target: FaultTarget;
  kind: string;
  /** How many matching calls it hits; null hits all until it is removed. Default 1. */
  times?: number | null;
  /** For so many milliseconds from now on, every matching call is hit. */
  forMs?: number;
  match?: { text?: string; instance?: string; event?: string; model?: string };
  /** Only in this process, for `send` and `claude`: the call is held until then, and then hit. Must not reject. */
  until?: Promise<void>;
  [argument: string]: unknown;
};
export type Fault = FaultInput & { id: string; times: number | null; endsAt: number | null };

export type WireSend = {
  at: number;
  /** When the message left for WhatsApp; null when it never did. */
  sentAt: number | null;
  answeredAt: number | null;
  instance: string;
  number: string;
  jid: string | null;
  kind: 'text' | 'reaction' | 'media';
  text: string;
  /** The WhatsApp id; null when nothing left. */
  id: string | null;
  /** The id that the caller wished for, whether or not this Evolution takes it. */
  messageId?: string;
  /** `unconfirmed`: it left, and the caller got an error or nothing. */
  outcome: 'pending' | 'sent' | 'unconfirmed' | 'rejected' | 'refused';
  status: number | null;
  /** The target of a reaction. */
  targetId?: string;
};
export type WirePresence = { at: number; instance: string; jid: string; presence: string; delay: number };
export type WireClaude = {
  at: number;
  ms: number;
  model: string;
  request: Json;
  response: unknown;
  status: number | null;
  /** What the real API would bill, in US dollars. */
  usd: number;
};
export type WireWebhook = {
  at: number;
  instance: string;
  event: string;
  messageId: string | null;
  attempt: number;
  status: number | null;
  ms: number;
  error: string | null;
};
/** A post to the Slack look-alike; `taken` false: it was refused or got no answer. */
export type WireSlack = { at: number; via: 'webhook' | 'bot'; channel: string | null; text: string; taken: boolean };
/** A call of the speech service: what the file says, and the form that was asked for. */
export type WireSpeech = { at: number; sha256: string; said: string; format: string };
/** A call for vectors. */
export type WireVoyage = { at: number; texts: string[]; type: string };
/** A call of the order service; `status` 0: it got no answer of its own. */
export type WireOrder = {
  at: number;
  method: string;
  path: string;
  query: Record<string, string>;
  body: Json | null;
  key: string | null;
  status: number;
};
/** A call of Google: its path, without the query, and what was answered. */
export type WireGoogle = { at: number; path: string; status: number };
export type Wire = {
  sends: WireSend[];
  presences: WirePresence[];
  claude: WireClaude[];
  webhooks: WireWebhook[];
  slack: WireSlack[];
  speech: WireSpeech[];
  voyage: WireVoyage[];
  orders: WireOrder[];
  google: WireGoogle[];
};

export type SimulatorEvent =
  | { type: 'message'; message: Message }
  | { type: 'orders'; path: string }
  | {
      type: 'message-update';
      id: string;
      status?: MessageStatus;
      text?: string;
      edited?: boolean;
      deleted?: boolean;
      reaction?: { from: string; emoji: string };
    }
  | { type: 'typing'; instance: string; contactId: string; on: boolean; recording: boolean }
  | { type: 'connection'; instance: string; state: ConnectionState }
  | { type: 'contact'; contact: Contact }
  | {
      type: 'webhook';
      id: string;
      instance: string;
      event: string;
      attempt: number;
      status: number | null;
      messageId: string | null;
      error: string | null;
    }
  | { type: 'claude'; model: string; status: number | null; ms: number; usage: unknown }
  | { type: 'slack'; text: string; taken: boolean }
  | { type: 'speech'; said: string }
  | { type: 'faults'; faults: Fault[] }
  | { type: 'send'; send: WireSend }
  | { type: 'presence'; presence: WirePresence }
  | { type: 'reset' };

export type ScriptTurn = {
  /** Taken only when the newest user text contains this, in any case; without it the turn fits any text. */
  match?: string;
  text?: string;
  tools?: { name: string; input: Json }[];
  delayMs?: number;
  /** An HTTP error instead of an answer. */
  status?: number;
  stop_reason?: string;
  /** Instead of what the model would think by its settings; 0: it answers at once. Not more than the settings allow: `disabled` stays so. */
  thinkTokens?: number;
  /** The thought comes back encrypted as a whole. */
  redactedThinking?: boolean;
  /** True: only for a request that brings the results of tools; false: only for one that does not. */
  afterTools?: boolean;
  /** Not used up when taken: for loads that want the same answer every time. */
  repeat?: boolean;
};

export type ClaudeMode = 'persona' | 'script' | 'proxy';

/** What stands behind the webhooks, for the chat page: its api with an operator's token, and who answers there. */
export type Product = { url: string; token: string; agent: string; company: string | null };

export type SimulatorOptions = {
  product?: Product | undefined;
  /** Which Evolution this is. Default: the one that docker-compose.prod.yml runs. */
  version?: EvolutionVersion | undefined;
  /** False: a 2.4 whose licence nobody has activated. Default true. */
  licensed?: boolean | undefined;
  /** 0 (default) takes a free port. */
  port?: number;
  /** Names; each is connected from the start with the token `NAME-token`. Default `julia-dev`. */
  instances?: string[];
  /** Where webhooks go, the `jwt_key` that signs them, and which events: all unless some are named. */
  webhook?: { url: string; secret?: string | undefined; base64?: boolean; events?: readonly string[] } | undefined;
  /** Evolution's global key. Default `simulator-key`. */
  apiKey?: string | undefined;
  /** Divides Evolution's own waits: the blocking `delay` of sends and presences and the webhook retry schedule. Default 1. */
  timeScale?: number | undefined;
  /** From a send to its DELIVERY_ACK, in ms and not scaled; null sends none. Default 300. */
  ackMs?: number | null | undefined;
  /** False leaves out the contacts.* and chats.* events around a message. Default true. */
  noise?: boolean | undefined;
  /** Seeds ids, jitter and the race of `send.message`. Without it the chances are the same in each run, the ids are not. */
  seed?: number | undefined;
  /** When `send.message` goes relative to the HTTP answer. Default `race`: a seeded coin. */
  echo?: 'race' | 'first' | 'late' | undefined;
  /** `proxy` passes model calls on to the real API with `claudeApiKey`. Default `persona`. */
  claude?: 'persona' | 'proxy' | undefined;
  claudeApiKey?: string | undefined;
  /** The real API, for the proxy. */
  claudeBaseUrl?: string | undefined;
  /** A prefix shorter than this is not cached. Default: what the model asks for. */
  cacheMinTokens?: number | undefined;
  webhookTimeoutMs?: number | undefined;
  /** A new number opens without a code to scan, as the one whose answers were recorded did. Default false. */
  autoPair?: boolean | undefined;
};
