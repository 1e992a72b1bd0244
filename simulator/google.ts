// The look-alike of Google's token endpoint and of the three calls of Drive that the product makes: `POST /google/token`, `GET /google/drive/v3/files`,
// `.../files/ID`, `.../files/ID/export`. It knows one service account, and checks what it has signed. Rules and their sources: docs/briefings.md.

import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Hono } from 'hono';
import { jwtVerify } from 'jose';
import { remember, type Core } from './core.ts';
import { dropSocket, hang, type Env } from './evolution-http.ts';
import { faultNumber } from './faults.ts';
import { textField } from './types.ts';

const SCOPES = ['https://www.googleapis.com/auth/drive', 'https://www.googleapis.com/auth/drive.readonly'];
const FOLDER = 'application/vnd.google-apps.folder';
const DOCUMENT = 'application/vnd.google-apps.document';
const EXPORTS = ['text/plain', 'text/markdown', 'text/html', 'application/pdf'];
/** Of an export; bytes. */
const MOST_BYTES = 10 * 1024 * 1024;
const LIFE_SECONDS = 3_600;

type Entry = { id: string; name: string; mimeType: string; folder: string | null; text: string; modifiedTime: string; shared: boolean };

export type GoogleState = {
  email: string;
  /** The JSON key of the service account, as the console of Google gives it. */
  key(): string;
  entries: Map<string, Entry>;
  /** Until when a token counts. */
  tokens: Map<string, number>;
  /** A folder; not shared: to the account it is not there, and neither is what lies in it. */
  folder(id: string, options?: { shared?: boolean }): void;
  /** A document in it, made or changed; the time is that of the change. */
  put(
    id: string,
    document: { folder: string; name: string; text: string; mimeType?: string; shared?: boolean; modifiedTime?: string },
  ): void;
  remove(id: string): void;
  clear(): void;
};

const keys = (): { privateKey: string; publicKey: string } =>
  generateKeyPairSync('rsa', {
    modulusLength: 2_048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
/** One pair for all simulators of a process: it takes a while to make. */
let pair: ReturnType<typeof keys> | null = null;

export function createGoogle(): GoogleState {
  const entries = new Map<string, Entry>();
  const tokens = new Map<string, number>();
  const email = 'agente@simulador.iam.gserviceaccount.com';
  return {
    email,
    entries,
    tokens,
    key: () => JSON.stringify({ type: 'service_account', client_email: email, private_key: (pair ??= keys()).privateKey }),
    folder(id, { shared = true } = {}) {
      entries.set(id, { id, name: id, mimeType: FOLDER, folder: null, text: '', modifiedTime: new Date().toISOString(), shared });
    },
    put(id, { folder, name, text, mimeType = DOCUMENT, shared = true, modifiedTime = new Date().toISOString() }) {
      entries.set(id, { id, name, mimeType, folder, text, modifiedTime, shared });
    },
    remove: (id) => void entries.delete(id),
    clear() {
      entries.clear();
      tokens.clear();
    },
  };
}

/** Faults: `status` (status, reason), `hang`, `drop`; `match.text` is in the path. */
export function addGoogleRoutes(core: Core, app: Hono<Env>): void {
  const { google } = core;
  const seen = (path: string, answer: Response): Response => {
    remember(core.wire.google, { at: Date.now(), path, status: answer.status });
    return answer;
  };

  app.post('/google/token', async (c) => {
    const form = new URLSearchParams(await c.req.text());
    return seen('/token', await tokenFor(google, form, `${core.url}/google/token`));
  });

  app.get('/google/drive/v3/files', (c) => drive(c.req.path, c.req.header('authorization'), c, () => list(google, new URL(c.req.url))));
  app.get('/google/drive/v3/files/:id', (c) =>
    drive(c.req.path, c.req.header('authorization'), c, () => {
      const entry = visible(google, c.req.param('id'));
      if (entry === null) return notFound(c.req.param('id'));
      if (c.req.query('alt') !== 'media')
        return Response.json({ kind: 'drive#file', id: entry.id, name: entry.name, mimeType: entry.mimeType });
      return entry.mimeType.startsWith('application/vnd.google-apps')
        ? refuse(403, 'fileNotDownloadable', 'Only files with binary content can be downloaded. Use Export with Docs Editors files.')
        : new Response(entry.text, { headers: { 'content-type': entry.mimeType } });
    }),
  );
  app.get('/google/drive/v3/files/:id/export', (c) =>
    drive(c.req.path, c.req.header('authorization'), c, () => {
      const entry = visible(google, c.req.param('id'));
      const type = c.req.query('mimeType') ?? '';
      if (entry === null) return notFound(c.req.param('id'));
      if (type === '') return refuse(400, 'required', 'Required parameter: mimeType');
      if (entry.mimeType !== DOCUMENT) return refuse(403, 'fileNotExportable', 'Export only supports Docs Editors files.');
      if (!EXPORTS.includes(type)) return refuse(400, 'badRequest', 'The requested conversion is not supported.');
      if (Buffer.byteLength(entry.text) > MOST_BYTES)
        return refuse(403, 'exportSizeLimitExceeded', 'This file is too large to be exported.');
      // as Google has it: a byte order mark, and ends of lines of Windows
      return new Response(`\uFEFF${entry.text.replaceAll('\n', '\r\n')}`, { headers: { 'content-type': type } });
    }),
  );

  async function drive(path: string, given: string | undefined, c: Parameters<typeof hang>[1], answer: () => Response): Promise<Response> {
    const fault = core.faults.take('google', { text: path });
    if (fault?.kind === 'hang') return await hang(core, c);
    if (fault?.kind === 'drop') return dropSocket(c);
    if (fault?.kind === 'status') {
      const reason = textField(fault['reason']);
      return seen(path, refuse(faultNumber(fault, 'status', 500), reason === '' ? 'backendError' : reason, 'the fault says so'));
    }
    const token = /^Bearer (\S+)$/.exec(given ?? '')?.[1] ?? '';
    if ((google.tokens.get(token) ?? 0) < Date.now()) return seen(path, refuse(401, 'authError', 'Invalid Credentials'));
    return seen(path, answer());
  }
}

async function tokenFor(google: GoogleState, form: URLSearchParams, audience: string): Promise<Response> {
  const wrong = (description: string): Response =>
    Response.json({ error: 'invalid_grant', error_description: description }, { status: 400 });
  if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
    return Response.json({ error: 'unsupported_grant_type', error_description: 'Invalid grant_type' }, { status: 400 });
  try {
    const { payload, protectedHeader } = await jwtVerify(form.get('assertion') ?? '', createPublicKey((pair ??= keys()).publicKey), {
      audience,
    });
    if (protectedHeader.alg !== 'RS256' || payload.iss !== google.email) return wrong('Invalid grant: account not found');
    const { iat = 0, exp = 0 } = payload;
    if (exp - iat > LIFE_SECONDS || iat > Date.now() / 1_000 + 60)
      return wrong('Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.');
    const scopes = textField(payload['scope']).split(' ');
    if (!scopes.every((scope) => SCOPES.includes(scope)))
      return Response.json(
        { error: 'invalid_scope', error_description: 'Invalid OAuth scope or ID token audience provided.' },
        { status: 400 },
      );
    const token = `ya29.${randomBytes(24).toString('base64url')}`;
    google.tokens.set(token, Date.now() + LIFE_SECONDS * 1_000);
    return Response.json({ access_token: token, expires_in: LIFE_SECONDS - 1, token_type: 'Bearer' });
  } catch {
    return wrong('Invalid JWT Signature.');
  }
}

/** Of a folder that is shared all that lies in it is. */
function visible({ entries }: GoogleState, id: string): Entry | null {
  const entry = entries.get(id);
  if (entry === undefined || !entry.shared) return null;
  return entry.folder === null || entries.get(entry.folder)?.shared === true ? entry : null;
}

function list(google: GoogleState, url: URL): Response {
  const query = url.searchParams;
  const parent = /^'([^']+)' in parents and trashed = false$/.exec(query.get('q') ?? '')?.[1];
  if (parent === undefined) return refuse(400, 'invalid', 'Invalid Value');
  const size = Number(query.get('pageSize') ?? 100);
  if (!(size >= 1 && size <= 1_000)) return refuse(400, 'invalidParameter', 'Invalid value for pageSize.');
  const from = Number(query.get('pageToken') ?? 0);
  if (!Number.isSafeInteger(from)) return refuse(400, 'invalid', 'Invalid Value');
  // what lies in a folder that is not shared is nobody's: an empty list, and no error; a document may be listed and not be readable
  const all = [...google.entries.values()].filter(({ folder }) => folder === parent && google.entries.get(parent)?.shared === true);
  const files = all.slice(from, from + size).map(({ id, name, mimeType, modifiedTime }) => ({ id, name, mimeType, modifiedTime }));
  return Response.json({ ...(from + size < all.length ? { nextPageToken: String(from + size) } : {}), files });
}

function notFound(id: string): Response {
  return refuse(404, 'notFound', `File not found: ${id}.`);
}

/** The two levels of its errors: a status, and a reason in the body. */
function refuse(status: number, reason: string, message: string): Response {
  return Response.json({ error: { code: status, message, errors: [{ message, domain: 'global', reason }] } }, { status });
}
