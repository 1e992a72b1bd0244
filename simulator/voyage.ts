// The Voyage look-alike: `POST /voyage/embeddings`. A text's vector is made of its plain words and of what they mean in a small list, so the same text has
// the same vector, and "agasalho" is near "moletom". Rules and their sources: docs/voyage.md.

import { createHash } from 'node:crypto';
import type { Hono } from 'hono';
import { remember, type Core } from './core.ts';
import { dropSocket, hang, type Env } from './evolution-http.ts';
import { faultNumber } from './faults.ts';
import { textField, type Json } from './types.ts';

const MODELS = ['voyage-4-large', 'voyage-4', 'voyage-4-lite', 'voyage-3-large', 'voyage-3.5', 'voyage-3.5-lite', 'voyage-code-3'];
const FIELDS = ['input', 'model', 'input_type', 'truncation', 'output_dimension', 'output_dtype', 'encoding_format'];
const MOST_TEXTS = 1_000;
/** Words that mean the same, beyond what a list of a shop's words has. */
const MEANINGS = [
  ['moletom', 'agasalho', 'casaco', 'frio', 'inverno'],
  ['vestido', 'festa', 'casamento', 'madrinha'],
  ['presente', 'aniversario', 'surpresa', 'embalagem'],
];

/** Faults: `status` (status), `answer` (body), `hang`, `drop`; `match.text` is in one of the texts. */
export function addVoyageRoutes(core: Core, app: Hono<Env>): void {
  app.post('/voyage/embeddings', async (c) => {
    if (!/^Bearer \S+$/.test(c.req.header('authorization') ?? '')) return refuse(401, 'Provided API key is invalid.');
    const body = (await c.req.json().catch(() => null)) as Json | null;
    if (body === null) return refuse(400, 'The request body is not valid JSON.');
    const texts = typeof body['input'] === 'string' ? [body['input']] : body['input'];
    const fault = core.faults.take('voyage', { text: JSON.stringify(texts ?? '') });
    remember(core.wire.voyage, {
      at: Date.now(),
      texts: Array.isArray(texts) ? texts.map(String) : [],
      type: textField(body['input_type']),
    });
    if (fault?.kind === 'hang') return await hang(core, c);
    if (fault?.kind === 'drop') return dropSocket(c);
    if (fault?.kind === 'answer') return new Response(textField(fault['body']), { status: 200 });
    if (fault?.kind === 'status') return refuse(faultNumber(fault, 'status', 500), 'the fault says so');
    const wrong = faultIn(body, texts);
    if (wrong !== null) return refuse(400, wrong);
    const size = Number(body['output_dimension'] ?? 1_024);
    const list = texts as string[];
    return Response.json({
      object: 'list',
      data: list.map((text, index) => ({ object: 'embedding', embedding: vectorOf(text, size), index })),
      model: body['model'],
      usage: { total_tokens: list.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0) },
    });
  });
}

function faultIn(body: Json, texts: unknown): string | null {
  const unknown = Object.keys(body).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) return `Argument '${unknown}' is not supported by our API.`;
  if (!Array.isArray(texts) || texts.length === 0 || texts.some((text) => typeof text !== 'string'))
    return 'The input must be a string or a list of strings.';
  if (texts.length > MOST_TEXTS) return `The batch size limit is ${MOST_TEXTS}. Your batch size is ${texts.length}.`;
  if (texts.some((text) => text === '')) return 'Input cannot contain empty strings or empty lists.';
  if (!MODELS.includes(textField(body['model']))) return `Model ${textField(body['model'])} is not supported.`;
  if (!['query', 'document', ''].includes(textField(body['input_type']))) return 'input_type must be null, query or document.';
  if (![256, 512, 1_024, 2_048].includes(Number(body['output_dimension'] ?? 1_024)))
    return 'output_dimension must be 256, 512, 1024 or 2048.';
  // The others are not needed here.
  return body['output_dtype'] === 'int8' ? null : 'this look-alike gives int8 only';
}

function vectorOf(text: string, size: number): number[] {
  const sums = new Float64Array(size);
  const words =
    text
      .normalize('NFD')
      .replaceAll(/\p{M}/gu, '')
      .toLowerCase()
      .match(/\p{L}{3,}|\d+/gu) ?? [];
  for (const word of words) {
    addTo(sums, word.slice(0, 6), 1);
    const meaning = MEANINGS.findIndex((each) => each.includes(word));
    if (meaning >= 0) addTo(sums, `meaning ${meaning}`, 4);
  }
  const most = Math.max(1e-9, ...sums.map(Math.abs));
  return Array.from(sums, (sum) => Math.round((127 * sum) / most));
}

/** Each word points somewhere of its own: eight places, half of them negative. */
function addTo(sums: Float64Array, word: string, weight: number): void {
  const bytes = createHash('sha256').update(word).digest();
  for (let index = 0; index < 8; index++) {
    const place = bytes.readUInt16BE(2 * index) % sums.length;
    sums[place] = (sums[place] ?? 0) + (index % 2 === 0 ? weight : -weight);
  }
}

function refuse(status: number, detail: string): Response {
  return Response.json({ detail }, { status });
}
