/** What becomes of media: how large it may be, when it is tried again, and what it is called in the history. Pure. */
import type { ModelFailureKind } from '../../claude/model-failure.ts';
import type { SpeechFailure } from '../../speech/client.ts';
import { inline, ours } from '../../whatsapp/message-parts.ts';

/** Nothing larger is fetched or paid for. Bytes. */
export const MOST_BYTES = 16 * 1_048_576;

/** So often it is tried again. */
const MOST_TRIES = 5;
const FIRST_MS = 60_000;
const LONGEST_MS = 30 * 60_000;

export type MediaFailure =
  | SpeechFailure
  | `model_${ModelFailureKind}`
  | 'media_too_large'
  | 'media_too_long'
  | 'media_many'
  | 'media_locked'
  | 'media_not_there'
  | 'media_no_audio'
  | 'media_no_reader'
  | 'media_unknown_kind'
  | 'media_broken'
  | 'media_slow'
  | 'gateway_unreachable'
  | 'being_read';

/** `attempts`: how often it has failed before. `counts` false: nobody's fault, so the tries have no end. Null: never again. */
export function retryMs(attempts: number, counts = true): number | null {
  if (!counts) return FIRST_MS;
  return attempts >= MOST_TRIES ? null : Math.min(LONGEST_MS, FIRST_MS * 2 ** attempts);
}

export type MediaType = 'audio' | 'image' | 'document';

/** `[áudio de voz, 12 s]` as the model reads it when nobody could hear it. `text`: of the message; its first line is the note. */
export function unreadNote(type: MediaType, text: string, failure: MediaFailure): string {
  const words = WORDS[type];
  return bareNote(text).replace(/\]$/, `, ${words[failure] ?? words.later}]`);
}

/** The note without what was said of it while it could not be read. */
export function bareNote(text: string): string {
  const [note = ''] = text.split('\n');
  return note.replace(MARK, ']');
}

/** `[imagem: um bolo]`, `[documento contrato.pdf, 3 páginas: ...]`: what it shows, in one line. `pages` 0: it is a picture, whatever it was sent as. */
export function describedNote({ name, pages, words }: { name: string | null; pages: number; words: string }): string {
  const what = inline(words, MOST_WORDS);
  if (pages === 0) return ours(`imagem: ${what}`).text;
  const named = name === null ? '' : ` ${inline(name)}`;
  return ours(`documento${named}, ${pages} ${pages === 1 ? 'página' : 'páginas'}: ${what}`).text;
}

/** `[vídeo, 8 s, do vídeo só a capa foi vista: um gato]`. */
export function coverNote(text: string, words: string): string {
  return bareNote(text).replace(/\]$/, () => `, do vídeo só a capa foi vista: ${inline(words, MOST_WORDS)}]`);
}

/** A description is a line of the history, not a copy of the document. Characters. */
export const MOST_WORDS = 1_500;

type Words = Readonly<Partial<Record<MediaFailure, string>>> & { later: string };

const TOO_BIG = { image: 'grande demais para ser vista', document: 'grande demais para ser lido' } as const;

/** `later`: of what another try may change. */
const WORDS: Readonly<Record<MediaType, Words>> = {
  audio: {
    later: 'ainda não ouvido',
    media_too_large: 'grande demais para ser ouvido',
    media_many: 'não pôde ser ouvido: já foram arquivos demais neste dia',
    media_no_audio: 'não pôde ser ouvido: o arquivo não é um áudio',
    media_no_reader: 'não pôde ser ouvido',
    speech_refused: 'não pôde ser ouvido',
  },
  image: {
    later: 'ainda não vista',
    media_too_large: TOO_BIG.image,
    media_too_long: TOO_BIG.image,
    media_many: 'não pôde ser vista: já foram arquivos demais neste dia',
    media_locked: 'não pôde ser vista: o arquivo tem senha',
    media_unknown_kind: 'não pôde ser vista: o arquivo não é uma imagem',
    media_broken: 'não pôde ser vista: o arquivo está com defeito',
    media_no_reader: 'não pôde ser vista',
    model_refused: 'não pôde ser vista',
    model_refusal: 'não pôde ser vista',
    model_context_exceeded: TOO_BIG.image,
  },
  document: {
    later: 'ainda não lido',
    media_too_large: TOO_BIG.document,
    media_too_long: 'longo demais para ser lido: tem mais páginas do que se lê aqui',
    media_many: 'não pôde ser lido: já foram arquivos demais neste dia',
    media_locked: 'não pôde ser lido: o arquivo tem senha',
    media_unknown_kind: 'não pôde ser lido: só PDF e imagens são lidos aqui',
    media_broken: 'não pôde ser lido: o arquivo está com defeito',
    media_no_reader: 'não pôde ser lido',
    model_refused: 'não pôde ser lido',
    model_refusal: 'não pôde ser lido',
    model_context_exceeded: TOO_BIG.document,
  },
};
const MARK = /, (?:ainda não (?:ouvido|vista|lido)|(?:grande|longo) demais para ser [^\]]*|não pôde ser [^\]]*)\]$/;
