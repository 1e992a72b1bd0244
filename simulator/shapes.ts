// The Baileys content shapes that Evolution puts into webhooks and answers: bytes as index objects, 64-bit numbers as
// {low, high, unsigned}, repeated fields as []. Taken from the recorded payloads.

import type { Random } from './clock.ts';
import type { Contact, Instance, Json, Key, Media, MediaKind, Row } from './types.ts';
import type { VersionRules } from './version.ts';
import { contactJid, phoneJid } from './world.ts';

/** A 1x1 PNG: what a picture is when the test gives none. */
export const TINY_PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const MIMETYPES: Record<MediaKind, string> = {
  image: 'image/jpeg',
  audio: 'audio/ogg; codecs=opus',
  video: 'video/mp4',
  document: 'application/pdf',
  sticker: 'image/webp',
};

export function defaultMimetype(kind: MediaKind): string {
  return MIMETYPES[kind];
}

/** The key of an inbound message, or of one that the owner typed on the handset, as Baileys gives it and as Evolution stores it. */
export function contactKey(rules: VersionRules, contact: Contact, id: string, fromMe: boolean): Key {
  const remoteJid = contactJid(contact);
  const addressingMode = contact.addressing === 'pn' ? 'pn' : 'lid';
  const alternative =
    contact.addressing === 'lid' ? phoneJid(contact) : contact.addressing === 'pn' && rules.keysNameBoth ? contact.lid : null;
  const named = alternative === null ? {} : { remoteJidAlt: alternative };
  return rules.keysNameBoth
    ? { remoteJid, ...named, fromMe, id, participant: '', addressingMode }
    : { remoteJid, fromMe, id, addressingMode, ...named };
}

/** The key as messages.upsert tells it: newer releases write the phone over the lid where they know it. */
function announcedKey(rules: VersionRules, key: Key): Key {
  const { remoteJid, remoteJidAlt } = key;
  if (rules.lidChats === 'untouched' || !remoteJid.endsWith('@lid') || typeof remoteJidAlt !== 'string') return key;
  if (rules.lidChats === 'phone') return { ...key, remoteJid: remoteJidAlt };
  return { ...key, remoteJid: remoteJidAlt, remoteJidAlt: remoteJid, addressingMode: 'pn' };
}

/** The part that every handset adds to a message. */
export function deviceInfo(): Json {
  return {
    messageContextInfo: {
      deviceListMetadata: { senderKeyIndexes: [], recipientKeyIndexes: [] },
      deviceListMetadataVersion: 2,
    },
  };
}

/** `contextInfo` of a message that quotes another. */
export function quoteContext(quoted: { id: string; participant: string; content: Json }): Json {
  return {
    mentionedJid: [],
    groupMentions: [],
    stanzaId: quoted.id,
    participant: quoted.participant,
    quotedMessage: quoted.content,
  };
}

/** `contextInfo` that Baileys adds to what the API sends into a direct chat. `now` in milliseconds. */
export function sendContext(now: number): Json {
  return {
    mentionedJid: [],
    groupMentions: [],
    // The setting's own age is of no interest; it lies two days back in the recordings.
    ephemeralSettingTimestamp: long(Math.floor(now / 1000) - 172_800, false),
    disappearingMode: { initiator: 0 },
  };
}

export type MediaInput = {
  kind: MediaKind;
  base64: string;
  mimetype: string;
  caption?: string | undefined;
  fileName?: string | undefined;
  seconds?: number | undefined;
  ptt?: boolean | undefined;
  /** Of a video: the little picture that a handset shows before it is played. */
  cover?: string | undefined;
};

/** `{imageMessage: {...}}` and so on. `now` in milliseconds; `context` is what Baileys adds inside a send. */
export function mediaContent(random: Random, media: MediaInput, path: string, now: number, context: Json | null = null): Json {
  const size = Math.floor((media.base64.length * 3) / 4);
  const file = {
    url: `https://mmg.whatsapp.net${path}`,
    mimetype: media.mimetype,
    fileSha256: bytes(random, 32),
    fileLength: long(size, true),
    mediaKey: bytes(random, 32),
    fileEncSha256: bytes(random, 32),
    directPath: path,
    mediaKeyTimestamp: long(Math.floor(now / 1000), false),
    ...(context === null ? {} : { contextInfo: context }),
  };
  // Only a handset measures its voice notes and titles its documents.
  const isSend = context !== null;
  const caption = media.caption === undefined ? {} : { caption: media.caption };
  switch (media.kind) {
    case 'image': {
      const lists = { interactiveAnnotations: [], scanLengths: [], annotations: [] };
      const picture = { height: 1, width: 1, jpegThumbnail: bytes(random, 64) };
      return { imageMessage: { ...lists, ...file, ...caption, ...picture } };
    }
    case 'video': {
      const lists = { interactiveAnnotations: [], annotations: [], processedVideos: [] };
      const cover = media.cover === undefined ? {} : { jpegThumbnail: Object.fromEntries(Buffer.from(media.cover, 'base64').entries()) };
      const video = { seconds: media.seconds ?? 5, gifPlayback: false, ...cover };
      return { videoMessage: { ...lists, ...file, ...caption, ...video } };
    }
    case 'audio': {
      const ptt = media.ptt ?? media.mimetype.includes('ogg');
      const wave = ptt ? { waveform: bytes(random, 64) } : {};
      const measured = isSend ? {} : { seconds: media.seconds ?? 3, ...wave };
      return { audioMessage: { ...file, ptt, ...measured } };
    }
    case 'document': {
      const fileName = media.fileName ?? 'documento.pdf';
      const title = isSend ? {} : { title: fileName };
      return { documentMessage: { ...file, ...title, fileName, ...caption } };
    }
    case 'sticker':
      return { stickerMessage: { ...file, isAnimated: false } };
  }
}

/** A pin on the map, with the little map picture that handsets add. */
export function locationContent(random: Random, place: { latitude: number; longitude: number; name?: string; address?: string }): Json {
  const { latitude, longitude, ...names } = place;
  return { locationMessage: { degreesLatitude: latitude, degreesLongitude: longitude, ...names, jpegThumbnail: bytes(random, 4) } };
}

export function messageTypeOf(content: Json): string {
  const name = Object.keys(content).find((key) => key === 'conversation' || (key.includes('Message') && key !== 'messageContextInfo'));
  return name ?? 'unknown';
}

/** What the webhook and the 201 answer show of a row: everything but the database id and its updates. */
export function publicRow(rules: VersionRules, row: Row): Json {
  const { id: _id, updates: _updates, base64: _base64, ...shown } = row;
  return { ...shown, key: announcedKey(rules, row.key), ...liftedContext(rules, row) };
}

/** What 2.4 takes for the context of a message that it did not send itself. */
function liftedContext(rules: VersionRules, row: Row): Json {
  if (!rules.losesQuotes || row.status === 'PENDING') return {};
  return { contextInfo: row.message['messageContextInfo'] ?? null };
}

/** The same row as /chat/findMessages shows it: no status, bytes as base64. */
export function storedRow(rules: VersionRules, row: Row): Json {
  return {
    id: row.id,
    key: row.key,
    pushName: row.pushName,
    messageType: row.messageType,
    message: bytesToBase64(row.message),
    messageTimestamp: row.messageTimestamp,
    instanceId: row.instanceId,
    source: row.source,
    contextInfo: row.contextInfo ?? null,
    ...liftedContext(rules, row),
    MessageUpdate: row.updates.map((update) => ({ status: update['status'] })),
  };
}

export function ownJid(instance: Instance): string {
  return `${instance.number}@s.whatsapp.net`;
}

/** The url under which the chat page gets a message's file. */
export function pageMedia(input: MediaInput, url: string): Media {
  return {
    kind: input.kind,
    url,
    mimetype: input.mimetype,
    ...(input.kind === 'audio' || input.kind === 'video' ? { seconds: input.seconds ?? 3 } : {}),
    ...(input.fileName === undefined ? {} : { fileName: input.fileName }),
  };
}

export function long(value: number, unsigned: boolean): Json {
  return { low: value | 0, high: Math.floor(value / 4294967296), unsigned };
}

function bytes(random: Random, length: number): Json {
  const shown: Json = {};
  for (let index = 0; index < length; index += 1) shown[index] = Math.floor(random.next() * 256);
  return shown;
}

function bytesToBase64(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bytesToBase64);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length > 0 && entries.every(([key], index) => key === String(index)))
    return Buffer.from(entries.map(([, byte]) => Number(byte))).toString('base64');
  return Object.fromEntries(entries.map(([key, inner]) => [key, bytesToBase64(inner)]));
}
