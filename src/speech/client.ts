/**
 * Speech to text over HTTP, as OpenAI, Groq and self-hosted whisper servers have it: `POST {base}/audio/transcriptions`, multipart. Sources: docs/media.md.
 * Expected failures are values, never thrown. Nothing is retried here but a form that a server does not know.
 */
import { z } from 'zod';
import { cut } from '../words/cut.ts';
import { spoken } from './spoken-words.ts';

export type Speech = {
  /** For the record of who has read a file. */
  model: string;
  /** One paid call. Contract: never rejects; ends when the signal aborts. Any number at once. */
  transcribe(audio: { bytes: Buffer; kind: AudioKind }, signal: AbortSignal): Promise<Transcript>;
};

/** `silent`: nobody says anything in it. `retryable`: it may go well later, without a change of the file. */
export type Transcript =
  | { kind: 'words'; text: string }
  | { kind: 'silent' }
  | { kind: 'failed'; reason: SpeechFailure; retryable: boolean; detail: string };

export type SpeechFailure = 'speech_unreachable' | 'speech_timeout' | 'speech_refused' | 'speech_key' | 'speech_answer';

/** By the first bytes: the name that a sender gives a file says nothing. */
export type AudioKind = 'ogg' | 'mp3' | 'm4a' | 'wav' | 'flac' | 'webm';

export type SpeechOptions = { baseUrl: string; apiKey: string | null; model: string; language: string };

/** A transcript is a message; nobody speaks longer in one. */
const MAX_CHARS = 20_000;

export function createSpeech({ baseUrl, apiKey, model, language }: SpeechOptions): Speech {
  /** Some servers and models know only the plain form, which does not say how sure they are. */
  let form: 'verbose_json' | 'json' = 'verbose_json';
  const ask = async ({ bytes, kind }: { bytes: Buffer; kind: AudioKind }, signal: AbortSignal): Promise<Transcript> => {
    const body = new FormData();
    body.set('file', new Blob([new Uint8Array(bytes)], { type: TYPES[kind] }), `audio.${kind}`);
    body.set('model', model);
    body.set('language', language);
    body.set('temperature', '0');
    body.set('response_format', form);
    const response = await fetch(`${baseUrl}/audio/transcriptions`, {
      method: 'POST',
      headers: apiKey === null ? {} : { authorization: `Bearer ${apiKey}` },
      body,
      signal,
      redirect: 'error', // a key goes to its own address only
    });
    const text = await response.text();
    return response.status === 200 ? read(text) : refusal(response.status, text);
  };
  return {
    model,
    async transcribe(audio, signal) {
      try {
        const first = await ask(audio, signal);
        if (first.kind !== 'failed' || form === 'json' || !/response_format/i.test(first.detail)) return first;
        form = 'json';
        return await ask(audio, signal);
      } catch (error) {
        const reason = signal.aborted ? 'speech_timeout' : 'speech_unreachable';
        const cause = error instanceof Error ? (error.cause ?? error) : error;
        return { kind: 'failed', reason, retryable: true, detail: cut(String(cause), 300) };
      }
    },
  };
}

const TYPES: Readonly<Record<AudioKind, string>> = {
  ogg: 'audio/ogg',
  mp3: 'audio/mpeg',
  m4a: 'audio/mp4',
  wav: 'audio/wav',
  flac: 'audio/flac',
  webm: 'audio/webm',
};

/** The kind of an audio file that these services take; null: it is none, whatever it is called. */
export function audioKind(bytes: Buffer): AudioKind | null {
  const head = bytes.subarray(0, 12).toString('latin1');
  if (head.startsWith('OggS')) return 'ogg';
  if (head.startsWith('ID3') || (bytes[0] === 0xff && ((bytes[1] ?? 0) & 0xe6) === 0xe2)) return 'mp3';
  if (head.startsWith('ftyp', 4)) return 'm4a';
  if (head.startsWith('RIFF') && head.startsWith('WAVE', 8)) return 'wav';
  if (head.startsWith('fLaC')) return 'flac';
  if (head.startsWith('\x1a\x45\xdf\xa3')) return 'webm';
  return null;
}

const answer = z.object({
  text: z.string(),
  segments: z
    .array(
      z.object({
        text: z.string().catch(''),
        no_speech_prob: z.number().nullish(),
        avg_logprob: z.number().nullish(),
        compression_ratio: z.number().nullish(),
      }),
    )
    .nullish()
    .catch(null),
});

function read(text: string): Transcript {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = null;
  }
  const parsed = answer.safeParse(body);
  if (!parsed.success) return { kind: 'failed', reason: 'speech_answer', retryable: true, detail: `not a transcript: ${cut(text, 200)}` };
  const words = spoken(parsed.data);
  return words === null ? { kind: 'silent' } : { kind: 'words', text: cut(words, MAX_CHARS) };
}

/** A wrong key or no credit is a mistake of the installation, which somebody may be mending; a file that is refused stays refused. */
function refusal(status: number, text: string): Transcript {
  const detail = `${status}: ${cut(text, 300)}`;
  if (status === 401 || status === 402 || status === 403 || status === 404)
    return { kind: 'failed', reason: 'speech_key', retryable: true, detail };
  const isFile = status === 400 || status === 413 || status === 415 || status === 422;
  return { kind: 'failed', reason: isFile ? 'speech_refused' : 'speech_unreachable', retryable: !isFile, detail };
}
