// Evolution's media routes: sendMedia, sendWhatsAppAudio and getBase64FromMediaMessage.

import { extname } from 'node:path';
import type { Hono } from 'hono';
import type { Core } from './core.ts';
import { check, EvolutionError, guard, json, plainFault, readBody, type Env } from './evolution-http.ts';
import { contextFor, send, SEND_RULES, type SendInput } from './evolution-send.ts';
import { defaultMimetype, mediaContent, pageMedia, type MediaInput } from './shapes.ts';
import { textField, type Json, type MediaKind, type Row } from './types.ts';

const MEDIA_TYPES = ['image', 'document', 'video', 'audio'];
const BY_EXTENSION: Record<string, string> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.pdf': 'application/pdf',
  '.mp3': 'audio/mpeg',
  '.mp4': 'video/mp4',
};
const WRAPPERS = ['ephemeralMessage', 'viewOnceMessage', 'viewOnceMessageV2', 'documentWithCaptionMessage'];

export function addMediaRoutes(core: Core, app: Hono<Env>): void {
  app.post('/message/sendMedia/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    check(body, { ...SEND_RULES, mediatype: { type: 'string', values: MEDIA_TYPES } }, ['number', 'mediatype']);
    const kind = String(body['mediatype']) as MediaKind;
    const media = textField(body['media']);
    if (!isUrl(media) && !isBase64(media)) throw new EvolutionError(400, ['Owned media must be a url or base64']);
    if (kind === 'document' && isBase64(media) && body['fileName'] === undefined) {
      throw new EvolutionError(400, ['For base64 the file name must be informed.']);
    }
    const base64 = isUrl(media) ? await download(media) : media;
    if (kind === 'image' && isBase64(media) && !isPicture(base64)) {
      throw new EvolutionError(500, ['Error: Input buffer contains unsupported image format']);
    }
    const caption = optional(body['caption']);
    const fileName = optional(body['fileName']);
    // Evolution believes the file name before the mimetype of the request.
    const mimetype = BY_EXTENSION[extname(fileName ?? '')] ?? optional(body['mimetype']) ?? defaultMimetype(kind);
    return await send(core, c, instance, mediaSend(core, body, { kind, base64, mimetype, caption, fileName }));
  });

  app.post('/message/sendWhatsAppAudio/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    check(body, SEND_RULES, ['number', 'audio']);
    const audio = String(body['audio']);
    if (!isUrl(audio) && !isBase64(audio)) throw new EvolutionError(400, ['Owned media must be a url or base64']);
    const base64 = isUrl(audio) ? await download(audio) : audio;
    const media: MediaInput = { kind: 'audio', base64, mimetype: defaultMimetype('audio'), ptt: true };
    return await send(core, c, instance, { ...mediaSend(core, body, media), presence: 'recording' });
  });

  app.post('/chat/getBase64FromMediaMessage/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    const answer = await plainFault(core, c, core.faults.take('media', { instance: instance.name }));
    if (answer) return answer;
    const wanted = body['message'] as { key?: { id?: string } } | undefined;
    if (wanted === undefined) {
      throw new EvolutionError(400, ["TypeError: Cannot read properties of undefined (reading 'key')"]);
    }
    const row = core.world.row(instance.name, String(wanted.key?.id));
    if (!row) throw new EvolutionError(400, ['Message not found']);
    return json(201, mediaOf(row));
  });
}

function mediaSend(core: Core, body: Json, media: MediaInput): SendInput {
  return {
    number: String(body['number']),
    kind: 'media',
    text: media.caption ?? '',
    delay: Number(body['delay'] ?? 0),
    presence: 'composing',
    build: (jid, id) => {
      const contextInfo = contextFor(core, jid);
      const content = mediaContent(core.random, media, `/fake/up${id}`, core.clock.now(), contextInfo ?? {});
      return { content, contextInfo, base64: media.base64 };
    },
    view: (row) => ({
      kind: media.kind,
      media: pageMedia(media, `/sim/media/${row.key.id}`),
      ...(media.caption === undefined ? {} : { caption: media.caption }),
    }),
  };
}

function mediaOf(row: Row): Json {
  const found = unwrap(row.message);
  if (!found) {
    // What Evolution really answers for a text, instead of "The message is not of the media type".
    throw new EvolutionError(400, ["TypeError: Cannot read properties of null (reading 'ephemeralMessage')"]);
  }
  const { type, content } = found;
  const mimetype = String(content['mimetype']);
  const extension = (mimetype.split(';')[0] ?? '').split('/')[1] ?? 'bin';
  return {
    mediaType: type,
    fileName: content['fileName'] ?? `${row.key.id}.${extension}`,
    caption: content['caption'],
    size: { fileLength: content['fileLength'], height: content['height'], width: content['width'] },
    mimetype,
    base64: row.base64 ?? '',
    buffer: null,
  };
}

function unwrap(message: Json): { type: string; content: Json } | null {
  for (const [type, content] of Object.entries(message)) {
    if (typeof content !== 'object' || content === null) continue;
    if (WRAPPERS.includes(type)) return unwrap((content as { message: Json }).message);
    if ('mediaKey' in content) return { type, content };
  }
  return null;
}

/** class-validator's isURL as Evolution uses it: a host needs a dot and a top-level domain, or is an IP. */
function isUrl(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const host = new URL(text).hostname;
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) || /\.[a-z]{2,}$/i.test(host);
}

function isBase64(text: string): boolean {
  return text !== '' && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

function isPicture(base64: string): boolean {
  const head = Buffer.from(base64.slice(0, 24), 'base64').toString('latin1');
  return /^(\x89PNG|\xff\xd8\xff|GIF8|RIFF)/.test(head);
}

/** Only loopback addresses are fetched; for the rest of the internet an empty file stands in. */
async function download(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  if (hostname !== '127.0.0.1') return '';
  try {
    const response = await fetch(url);
    return Buffer.from(await response.arrayBuffer()).toString('base64');
  } catch {
    throw new EvolutionError(500, [`Error: connect ECONNREFUSED ${hostname}:${port || '80'}`]);
  }
}

function optional(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
