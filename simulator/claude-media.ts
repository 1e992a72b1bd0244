// Images and documents in a request: what they cost in tokens, and which are refused. Sources in docs/claude.md.

import type { ApiMessage, Block } from './claude-check.ts';
import type { ClaudeModel } from './claude-models.ts';
import { textField, type Json } from './types.ts';

const MEDIA_TYPES = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'];
/** Of one image: bytes in base64, pixels of an edge, and pixels of an edge when a request holds more than `MANY_IMAGES`. */
const MAX_IMAGE_BYTES = 10 * 1024 * 1024;
const MAX_EDGE = 8_000;
const MANY_IMAGES = 20;
const MAX_EDGE_OF_MANY = 2_000;
/** Pixels of an edge of what one visual token sees. */
const PATCH = 28;
/** Tokens of the text of a page, in the middle of the 1,500 to 3,000 that the page names; its picture comes on top. */
const PAGE_TEXT_TOKENS = 2_000;
const PAGE_SIZE = { width: 1_092, height: 1_413 };

type Refuse = (message: string) => never;

/** Calls `refuse` with what the API would say. */
export function checkMedia(messages: ApiMessage[], model: ClaudeModel, refuse: Refuse): void {
  const media = messages.flatMap((message, index) =>
    typeof message.content === 'string' ? [] : mediaOf(message.content, `messages.${index}.content`),
  );
  const most = model.context < 1_000_000 ? 100 : 600;
  const images = media.filter(({ block }) => block.type === 'image');
  if (images.length > most) refuse(`messages: too many images: ${images.length} > ${most}`);
  let pages = 0;
  for (const { block, place } of media) {
    const source = block['source'] as Json | undefined;
    if (source === undefined) refuse(`${place}.${block.type}.source: Field required`);
    checkSource(source, `${place}.${block.type}.source`, block.type, refuse);
    if (block.type === 'image') checkImage(source, place, images.length > MANY_IMAGES ? MAX_EDGE_OF_MANY : MAX_EDGE, refuse);
    else pages += checkDocument(source, place, refuse);
  }
  if (pages > most) refuse(`A maximum of ${most} PDF pages may be provided.`);
}

/** Null for a block that is neither. */
export function mediaTokens(block: Block, model: ClaudeModel): number | null {
  const source = (block['source'] ?? {}) as Json;
  if (block.type === 'image') {
    const size = imageSize(Buffer.from(textField(source['data']), 'base64')) ?? { width: MAX_EDGE, height: MAX_EDGE };
    return imageTokens(size, model);
  }
  if (block.type !== 'document') return null;
  if (source['type'] === 'text') return Math.ceil(textField(source['data']).length / model.charsPerToken);
  return pagesOf(textField(source['data'])) * (PAGE_TEXT_TOKENS + imageTokens(PAGE_SIZE, model));
}

function mediaOf(blocks: Block[], path: string): { block: Block; place: string }[] {
  return blocks.flatMap((block, at) => {
    const place = `${path}.${at}`;
    if (block.type === 'tool_result' && Array.isArray(block['content']))
      return mediaOf(block['content'] as Block[], `${place}.tool_result.content`);
    return block.type === 'image' || block.type === 'document' ? [{ block, place }] : [];
  });
}

const SOURCE_FIELDS: Record<string, readonly string[]> = {
  base64: ['type', 'media_type', 'data'],
  text: ['type', 'media_type', 'data'],
  url: ['type', 'url'],
  file: ['type', 'file_id'],
  content: ['type', 'content'],
};

function checkSource(source: Json, place: string, kind: string, refuse: Refuse): void {
  const type = textField(source['type']);
  const fields = kind === 'image' && (type === 'text' || type === 'content') ? undefined : SOURCE_FIELDS[type];
  if (fields === undefined) return refuse(`${place}: Input tag '${type}' found using 'type' does not match any of the expected tags`);
  for (const field of fields) if (source[field] === undefined) refuse(`${place}.${type}.${field}: Field required`);
  for (const field of Object.keys(source)) if (!fields.includes(field)) refuse(`${place}.${type}.${field}: Extra inputs are not permitted`);
  const data = textField(source['data']);
  if (type !== 'base64') return;
  if (data === '') refuse(`${place}.base64.data: ${kind} cannot be empty`);
  if (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(data.slice(-64))) refuse(`${place}.base64.data: Invalid base64 data`);
}

function checkImage(source: Json, place: string, maxEdge: number, refuse: Refuse): void {
  if (source['type'] !== 'base64') return;
  const data = textField(source['data']);
  const mediaType = textField(source['media_type']);
  const path = `${place}.image.source.base64`;
  if (!MEDIA_TYPES.includes(mediaType))
    refuse(`${path}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'`);
  if (data.length > MAX_IMAGE_BYTES) refuse(`${path}: image exceeds 10 MB maximum: ${data.length} bytes > ${MAX_IMAGE_BYTES} bytes`);
  const bytes = Buffer.from(data, 'base64');
  const kind = kindOf(bytes);
  if (kind === null) refuse('Could not process image');
  if (kind !== mediaType) refuse(`${path}.data: Image does not match the provided media type ${mediaType}`);
  const size = imageSize(bytes);
  if (size === null) refuse('Could not process image');
  if (Math.max(size.width, size.height) > maxEdge) {
    const rule = maxEdge === MAX_EDGE ? '' : ' for many-image requests';
    refuse(`${path}.data: At least one of the image dimensions exceed max allowed size${rule}: ${maxEdge} pixels`);
  }
}

/** The number of pages of a PDF; text has none. */
function checkDocument(source: Json, place: string, refuse: Refuse): number {
  const data = textField(source['data']);
  if (source['type'] === 'text') {
    if (source['media_type'] !== 'text/plain') refuse(`${place}.document.source.text.media_type: Input should be 'text/plain'`);
    if (data.trim() === '') refuse(`${place}.document.source.text.data: String should have at least 1 character`);
    return 0;
  }
  if (source['type'] !== 'base64') return 0;
  if (source['media_type'] !== 'application/pdf') refuse(`${place}.document.source.base64.media_type: Input should be 'application/pdf'`);
  // The API's own word for it is "pdf" where the request says "document".
  if (isLocked(data)) refuse(`${place}.pdf.source.base64.data: The PDF specified is password protected.`);
  const pages = pagesOf(data);
  if (pages === 0) refuse(`${place}.document.source.base64.data: The PDF specified was not valid.`);
  return pages;
}

function isLocked(base64: string): boolean {
  const text = Buffer.from(base64, 'base64').toString('latin1');
  return text.startsWith('%PDF-') && /\/Encrypt\b/.test(text);
}

function pagesOf(base64: string): number {
  const text = Buffer.from(base64, 'base64').toString('latin1');
  if (!text.startsWith('%PDF-')) return 0;
  return Math.max(1, text.match(/\/Type\s*\/Page(?![s\w])/g)?.length ?? 0);
}

/** One token for each patch of 28 by 28 pixels, after the image is made as small as the model wants it. */
function imageTokens({ width, height }: { width: number; height: number }, model: ClaudeModel): number {
  const [edge, most] = model.largeImages ? [2_576, 4_784] : [1_568, 1_568];
  const scale = Math.min(1, edge / Math.max(width, height));
  return Math.min(most, Math.ceil((width * scale) / PATCH) * Math.ceil((height * scale) / PATCH));
}

function kindOf(bytes: Buffer): string | null {
  if (bytes.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))) return 'image/jpeg';
  if (bytes.subarray(0, 4).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47]))) return 'image/png';
  const head = bytes.subarray(0, 4).toString('latin1');
  if (head === 'GIF8') return 'image/gif';
  return head === 'RIFF' && bytes.subarray(8, 12).toString('latin1') === 'WEBP' ? 'image/webp' : null;
}

/** Null when the bytes do not tell. */
function imageSize(bytes: Buffer): { width: number; height: number } | null {
  switch (kindOf(bytes)) {
    case 'image/png':
      return bytes.length < 24 ? null : { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
    case 'image/gif':
      return bytes.length < 10 ? null : { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
    case 'image/webp':
      return webpSize(bytes);
    case 'image/jpeg':
      return jpegSize(bytes);
    default:
      return null;
  }
}

function webpSize(bytes: Buffer): { width: number; height: number } | null {
  if (bytes.length < 30) return null;
  const chunk = bytes.subarray(12, 16).toString('latin1');
  if (chunk === 'VP8X') return { width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
  if (chunk === 'VP8 ') return { width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
  const bits = bytes.readUInt32LE(21);
  return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
}

/** Walks the segments to the first frame header (SOF0 to SOF15 without the tables among them). */
function jpegSize(bytes: Buffer): { width: number; height: number } | null {
  let at = 2;
  while (at + 9 < bytes.length) {
    const marker = bytes[at + 1] ?? 0;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    }
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return null;
}
