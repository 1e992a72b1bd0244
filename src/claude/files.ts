/**
 * Files that a model reads as blocks: pictures and PDF, by their first bytes, since the name and the type that a sender gives say nothing. Limits of the API and
 * their pages: docs/claude.md. Pure.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { imageSize } from 'image-size';
import { traitsOf } from './models.ts';

export type FileKind = 'jpeg' | 'png' | 'gif' | 'webp' | 'pdf';

/** A file as a request brings it. */
export type ModelFile = {
  block: Anthropic.ImageBlockParam | Anthropic.DocumentBlockParam;
  /** Of a picture none. */
  pages: number;
  /** At most, whatever it shows. */
  tokens: number;
};

/** Null: it is none of those that a model reads. */
export function fileKind(bytes: Buffer): FileKind | null {
  const head = bytes.subarray(0, 12).toString('latin1');
  if (head.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'gif';
  if (head.startsWith('RIFF') && head.startsWith('WEBP', 8)) return 'webp';
  return head.startsWith('%PDF-') ? 'pdf' : null;
}

/** Of one picture: characters in base64, and pixels of an edge. */
const MOST_PICTURE_CHARS = 10 * 1_048_576;
const MOST_EDGE = 8_000;
/** More pictures than this in one request must be smaller, so a request has no more. */
const MOST_PICTURES = 20;
/** Of one request, of the 32 MB that it may have: characters in base64. */
const MOST_CHARS = 24 * 1_048_576;
/** Pages of one request, whatever the model would take. */
export const MOST_PAGES = 100;

/** A picture costs no more tokens than this; a page has its text (1,500 to 3,000) and its picture (2,000). */
const PICTURE_TOKENS = 4_784;
const PAGE_TOKENS = 5_000;
/** Of what the model reads at once, so much is for files. */
const SHARE = 0.6;

/** Why a picture would be refused; null: it would not be. */
export function pictureFault(bytes: Buffer): 'too_large' | 'broken' | null {
  if (base64Chars(bytes) > MOST_PICTURE_CHARS) return 'too_large';
  try {
    const { width, height } = imageSize(bytes);
    if (!(width > 0 && height > 0)) return 'broken';
    return Math.max(width, height) > MOST_EDGE ? 'too_large' : null;
  } catch {
    return 'broken';
  }
}

/** `pages`: of a PDF. */
export function modelFile(bytes: Buffer, kind: FileKind, pages: number): ModelFile {
  const data = bytes.toString('base64');
  if (kind === 'pdf') {
    const source = { type: 'base64', media_type: 'application/pdf', data } as const;
    return { block: { type: 'document', source }, pages, tokens: pages * PAGE_TOKENS };
  }
  const source = { type: 'base64', media_type: `image/${kind}`, data } as const;
  return { block: { type: 'image', source }, pages: 0, tokens: PICTURE_TOKENS };
}

/** Which of them fit into one request to this model: the newest of them, when not all do. */
export function filesThatFit(files: readonly ModelFile[], model: string): ReadonlySet<ModelFile> {
  const kept = new Set<ModelFile>();
  const left = { chars: MOST_CHARS, pictures: MOST_PICTURES, pages: MOST_PAGES, tokens: traitsOf(model).context * SHARE };
  for (const file of files.toReversed()) {
    const needed = { chars: charsOf(file), pictures: file.pages === 0 ? 1 : 0, pages: file.pages, tokens: file.tokens };
    const names = ['chars', 'pictures', 'pages', 'tokens'] as const;
    if (names.some((name) => needed[name] > left[name])) continue;
    for (const name of names) left[name] -= needed[name];
    kept.add(file);
  }
  return kept;
}

function charsOf({ block: { source } }: ModelFile): number {
  return source.type === 'base64' ? source.data.length : 0;
}

function base64Chars(bytes: Buffer): number {
  return 4 * Math.ceil(bytes.length / 3);
}
