/**
 * What a webhook of the Evolution API means, in the product's own words. Pure and total: any JSON value has a meaning, at worst
 * `ignored` with a reason. `whatsapp/payload.ts` makes these events, `record_inbound` in SQL stores them.
 */

/** The person on the other side of a direct chat. Digits only; `pn` is canonical (see words/phone.ts). At least one is set. */
export type ChatAddress = { pn: string | null; lid: string | null };

export type ContentType =
  | 'text'
  | 'image'
  | 'video'
  | 'audio'
  | 'document'
  | 'sticker'
  | 'location'
  | 'contact'
  | 'poll'
  | 'button'
  | 'list'
  | 'order'
  | 'payment'
  | 'event'
  | 'call'
  | 'invite'
  | 'unsupported';

export type MediaInfo = {
  mimetype: string | null;
  fileName: string | null;
  /** Length of audio and video in seconds. */
  seconds: number | null;
  /** Size in bytes as the sender says. */
  bytes: number | null;
  /** A voice note rather than an audio file. */
  voice: boolean;
};

export type MessageContent = {
  type: ContentType;
  /** What the model and the history show; never empty. Media is told as a bracketed Portuguese note, e.g. `[áudio de voz, 12 s]`, followed by the caption. */
  text: string;
  /** What the person typed (text, caption, chosen button), or null. */
  typed: string | null;
  media: MediaInfo | null;
  /** It came without its words, which may still come under the same id: WhatsApp shows "waiting for this message" meanwhile. */
  wordless?: true;
};

type From = {
  chat: ChatAddress;
  /** The jid the message came from, without the device: where an answer is sent. */
  jid: string;
  /** Written with our number: by us, by a person on the phone, or by another user of the API. */
  fromMe: boolean;
  /** It came as `send.message`: somebody called the API (most often us). */
  viaApi: boolean;
  /**
   * With fromMe: the other address that the key names, when it is not the one of our own number. It is the contact's or our own under another name, so the contact
   * is looked for under it and nothing is learned from it.
   */
  alt?: ChatAddress;
  /** With fromMe: its id has the form of a library's, so a program wrote it. */
  program?: true;
  /** The other side is a machine of WhatsApp's own: stored, never answered. */
  machine?: true;
  pushName: string | null;
  /** ISO time made of `messageTimestamp`; the time of arrival when the payload has none. */
  sentAt: string;
};

/** About a message that is known by its id. An id is unique in its chat only; `chat` is null where the news does not name one. */
type News = { providerId: string; chat: ChatAddress | null };

/** News that changes a message: only its author can make it. */
type Change = News & {
  /** Who says so: our number, or (false) the other side of the chat. Absent: what told it does not prove who says it, so it may change a contact's words only. */
  fromMe?: boolean;
};

export type InboundEvent = {
  /** Name of the instance (the number) at Evolution. */
  instance: string;
  /** Evolution's uuid of the instance, when the payload has it. */
  instanceId: string | null;
} & (
  | ({
      kind: 'message';
      providerId: string;
      content: MessageContent;
      quoted: { providerId: string; text: string | null } | null;
      /** It came as the newer form of a message: one that is known under this id and has other words is edited. */
      revised?: true;
    } & From)
  | ({ kind: 'reaction'; providerId: string; targetId: string; /** null: removed */ emoji: string | null } & From)
  | (Change & {
      kind: 'edit';
      text: string;
      /** What of the text was typed. */
      typed: string | null;
      /** ISO time of the change, or of its arrival where nothing tells it. */
      changedAt: string;
      /** The new words could not be read: `text` says so. The same edit may be told with its words, before or after. */
      unsure?: true;
    })
  | (Change & {
      kind: 'delete';
      /** It may be an edit, whose words are told by other news, before or after. */ unsure?: true;
      changedAt?: string;
    })
  | (News & { kind: 'ack'; status: 'sent' | 'delivered' | 'read' | 'failed' })
  | { kind: 'connection'; state: 'open' | 'connecting' | 'close' | 'refused'; reason: number | null; ownerPn: string | null }
  | { kind: 'presence'; chat: ChatAddress; presence: 'composing' | 'recording' | 'paused' | 'available' | 'unavailable' }
  | {
      kind: 'ignored';
      reason: string;
      /** It leaves an entry for a week; else it is counted only. */
      kept?: true;
      /** Of the message that was put aside, where it has one. */
      providerId?: string;
      /** A message that anybody can forge: in which chat it claims to be, and when it says that it was sent. */
      forged?: { chats: readonly ChatAddress[]; stamp: string | null };
    }
);
