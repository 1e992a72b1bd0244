/** What becomes of a voice note: how large it may be, when it is tried again, and what it is called until it is heard. Pure. */
import type { SpeechFailure } from '../../speech/client.ts';

/** Nothing larger is fetched or paid for. Bytes. */
export const MOST_BYTES = 16 * 1_048_576;

/** So often it is tried again. */
const MOST_TRIES = 5;
const FIRST_MS = 60_000;
const LONGEST_MS = 30 * 60_000;

export type MediaFailure = SpeechFailure | 'media_too_large' | 'media_not_there' | 'media_no_audio' | 'gateway_unreachable' | 'being_read';

/** `attempts`: how often it has failed before. Null: never again. */
export function retryMs(attempts: number): number | null {
  return attempts >= MOST_TRIES ? null : Math.min(LONGEST_MS, FIRST_MS * 2 ** attempts);
}

/** `[áudio de voz, 12 s]` as the model reads it when nobody could hear it. */
export function unheardText(text: string, failure: MediaFailure): string {
  return bareText(text).replace(']', `, ${FINAL[failure] ?? NOT_YET}]`);
}

/** Without what was said of it while it could not be heard. */
export function bareText(text: string): string {
  return text.replace(MARK, ']');
}

const NOT_YET = 'ainda não ouvido';
/** Of what no other try will change. */
const FINAL: Readonly<Partial<Record<MediaFailure, string>>> = {
  media_too_large: 'grande demais para ser ouvido',
  media_no_audio: 'não pôde ser ouvido: o arquivo não é um áudio',
  speech_refused: 'não pôde ser ouvido',
};
const MARK = /, (ainda não ouvido|grande demais para ser ouvido|não pôde ser ouvido[^\]]*)\]/;
