// The speech look-alike: `POST /speech/audio/transcriptions`, multipart. It hears what `voiceNote` has written into a file, and nothing else.
// Rules and their sources: docs/media.md. What it does not do: hear real audio, `text`, `srt` and `vtt` answers, timestamps of words, rate limits by themselves.

import { createHash } from 'node:crypto';
import type { Hono } from 'hono';
import { remember, type Core } from './core.ts';
import { dropSocket, hang, type Env } from './evolution-http.ts';
import { faultNumber } from './faults.ts';
import { textField } from './types.ts';

const MARK = '\u0000fala:';
const EXTENSIONS = ['flac', 'mp3', 'mp4', 'mpeg', 'mpga', 'm4a', 'ogg', 'opus', 'wav', 'webm'];
const MOST_BYTES = 25 * 1_048_576;
/** What a whisper model writes for silence, with how sure it is of it. */
const FOR_SILENCE = { text: ' Legendas pela comunidade Amara.org', avg_logprob: -1.3, compression_ratio: 0.9, no_speech_prob: 0.93 };
const FOR_SPEECH = { avg_logprob: -0.22, compression_ratio: 1.3, no_speech_prob: 0.01 };
/** A file of a real microphone. */
const REAL_AUDIO = 'Oi! (o simulador não ouve de verdade: esta frase está no lugar do que foi dito)';

/** The file of a voice note that says this; an empty text is silence. */
export function voiceNote(text: string): Buffer {
  return Buffer.concat([Buffer.from('OggS'), Buffer.alloc(60), Buffer.from(`${MARK}${text}`)]);
}

function saidIn(bytes: Buffer): string {
  const at = bytes.indexOf(MARK);
  return at < 0 ? REAL_AUDIO : bytes.subarray(at + Buffer.byteLength(MARK)).toString();
}

/** Faults: `status` (status), `answer` (body), `hang`, `drop`; `match.text` is what the file says. */
export function addSpeechRoutes(core: Core, app: Hono<Env>): void {
  app.post('/speech/audio/transcriptions', async (c) => {
    const form = await c.req.parseBody().catch(() => null);
    const file = form?.['file'];
    if (!/^Bearer \S+$/.test(c.req.header('authorization') ?? '')) return refuse(401, 'Invalid API Key', 'invalid_api_key');
    if (form === null || !(file instanceof File)) return refuse(400, '`file` is required', 'missing_file');
    const bytes = Buffer.from(await file.arrayBuffer());
    const said = saidIn(bytes);
    const fault = core.faults.take('speech', { text: said });
    const format = textField(form['response_format']) || 'json';
    remember(core.wire.speech, { at: Date.now(), sha256: createHash('sha256').update(bytes).digest('hex'), said, format });
    core.bus.emit({ type: 'speech', said });
    if (fault?.kind === 'hang') return await hang(core, c);
    if (fault?.kind === 'drop') return dropSocket(c);
    if (fault?.kind === 'answer') return new Response(textField(fault['body']), { status: 200 });
    if (fault?.kind === 'status')
      return refuse(faultNumber(fault, 'status', 500), textField(fault['message']) || 'the fault says so', 'fault');
    if (textField(form['model']) === '') return refuse(400, '`model` is required', 'missing_model');
    if (format !== 'json' && format !== 'verbose_json')
      return refuse(400, 'response_format must be one of [json, verbose_json]', 'invalid_format');
    if (bytes.length > MOST_BYTES) return refuse(413, 'Request Entity Too Large', 'request_too_large');
    const extension = file.name.split('.').at(-1)?.toLowerCase() ?? '';
    if (!EXTENSIONS.includes(extension))
      return refuse(400, `file must be one of the following types: [${EXTENSIONS.join(' ')}]`, 'invalid_file');
    if (!/^(OggS|ID3|RIFF|fLaC|\x1a\x45\xdf\xa3|\xff|....ftyp)/s.test(bytes.subarray(0, 8).toString('latin1')))
      return refuse(400, 'could not process file - is it a valid media file?', 'invalid_file');
    const segment = said === '' ? FOR_SILENCE : { text: ` ${said}`, ...FOR_SPEECH };
    if (format === 'json') return Response.json({ text: segment.text });
    const timed = { id: 0, seek: 0, start: 0, end: 3, tokens: [50_364], temperature: 0, ...segment };
    return Response.json({ task: 'transcribe', language: 'Portuguese', duration: 3, text: segment.text, segments: [timed] });
  });
}

function refuse(status: number, message: string, code: string): Response {
  return Response.json({ error: { message, type: 'invalid_request_error', code } }, { status });
}
