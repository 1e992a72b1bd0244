/**
 * Documents of a folder at Google, over HTTP: a token that a service account signs (`POST /token`), the folder's list (`GET /drive/v3/files`), a document's words
 * (`GET /drive/v3/files/ID/export`). Sources: docs/briefings.md. Expected failures are values, never thrown.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { jsonOf } from '../words/json.ts';
import { cut } from '../words/cut.ts';
import { accountOf } from './account.ts';

export type GoogleFault = {
  ok: false;
  reason: 'not_shared' | 'rate_limited' | 'key' | 'too_large' | 'refused' | 'unreachable' | 'answer';
  /** For a person; names the address to share with where that is what helps. */
  message: string;
};
export type DriveFile = { id: string; name: string; mimeType: string; modifiedTime: string };

export type Drive = {
  /** The documents of a folder, all of them; what is no document is left out. Any number at once. */
  list(folder: string, signal: AbortSignal): Promise<{ ok: true; files: DriveFile[] } | GoogleFault>;
  /** A document's words. */
  words(file: DriveFile, signal: AbortSignal): Promise<{ ok: true; text: string } | GoogleFault>;
};

export type DriveSetting = {
  credentials: { path: string } | { json: string };
  /** null: Google itself. */
  baseUrl: string | null;
};

const TOKEN_URL = 'https://oauth2.googleapis.com/token';
const API_URL = 'https://www.googleapis.com';
const SCOPE = 'https://www.googleapis.com/auth/drive.readonly';
/** An hour is the longest that Google takes. Seconds. */
const LIFE_SECONDS = 3_600;
/** A token that ends within it is asked for anew. Milliseconds. */
const SPARE_MS = 60_000;
const CALL_MS = 20_000;
/** After each of these waits a call is made once more when Google asked for a slower pace. Milliseconds. */
const PACE_MS = [500, 1_500, 4_000];
/** Documents of a folder: beyond it somebody keeps an archive there. */
const MOST_FILES = 500;

const DOCUMENT = 'application/vnd.google-apps.document';
const PLAIN = ['text/plain', 'text/markdown'];

const tokenAnswer = z.object({ access_token: z.string().min(1), expires_in: z.number() });
const listAnswer = z.object({
  nextPageToken: z.string().optional(),
  files: z.array(z.object({ id: z.string(), name: z.string(), mimeType: z.string(), modifiedTime: z.iso.datetime() })),
});

export function createDrive({ credentials, baseUrl }: DriveSetting): Drive {
  let token: { value: string; until: number; email: string } | null = null;

  async function signIn(signal: AbortSignal): Promise<{ ok: true; value: string; email: string } | GoogleFault> {
    if (token !== null && Date.now() < token.until - SPARE_MS) return { ok: true, ...token };
    const json = 'json' in credentials ? credentials.json : await readFile(credentials.path, 'utf8').catch(() => '');
    const found = accountOf(json);
    if (!found.ok) return fault('key', `${'json' in credentials ? 'GOOGLE_CREDENTIALS_JSON' : credentials.path} ${found.message}`);
    const url = baseUrl === null ? TOKEN_URL : `${baseUrl}/token`;
    // of use once an hour, and nowhere else in the scheduler
    const { importPKCS8, SignJWT } = await import('jose');
    const key = await importPKCS8(found.privateKey, 'RS256').catch(() => null);
    if (key === null) return fault('key', 'the private key of the service account cannot be read');
    const now = Math.floor(Date.now() / 1_000);
    const assertion = await new SignJWT({ scope: SCOPE })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(found.email)
      .setAudience(url)
      .setIssuedAt(now)
      .setExpirationTime(now + LIFE_SECONDS)
      .sign(key);
    const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
    const answer = await call(url, { method: 'POST', body }, signal);
    if (!answer.ok)
      return answer.status === 400 || answer.status === 401
        ? fault('key', `Google does not take the key of ${found.email}: ${answer.message}`)
        : answer;
    const parsed = tokenAnswer.safeParse(jsonOf(answer.text));
    if (!parsed.success) return fault('answer', 'Google gave no token');
    token = { value: parsed.data.access_token, until: Date.now() + parsed.data.expires_in * 1_000, email: found.email };
    return { ok: true, ...token };
  }

  /** `what` is named to people when it is not there for this account. */
  async function ask(path: string, what: string, signal: AbortSignal): Promise<{ ok: true; text: string } | GoogleFault> {
    const signed = await signIn(signal);
    if (!signed.ok) return signed;
    const headers = { authorization: `Bearer ${signed.value}` };
    for (const pause of [...PACE_MS, null]) {
      const answer = await call(`${baseUrl ?? API_URL}${path}`, { headers }, signal);
      if (answer.ok) return answer;
      if (answer.status === 401) token = null; // the next call signs in anew
      if (answer.reason === 'not_shared')
        return fault('not_shared', `${what} is not there, or is not shared: share it with ${signed.email}`);
      if (answer.reason !== 'rate_limited' || pause === null) return answer;
      await delay(pause, undefined, { signal }).catch(() => {});
      if (signal.aborted) return answer;
    }
    return fault('rate_limited', 'Google asked for a slower pace');
  }

  return {
    async list(folder, signal) {
      // A folder that is not shared is an empty list to Google: it is asked for itself first.
      const there = await ask(
        `/drive/v3/files/${encodeURIComponent(folder)}?fields=id&supportsAllDrives=true`,
        `the folder ${folder}`,
        signal,
      );
      if (!there.ok) return there;
      const files: DriveFile[] = [];
      let page: string | undefined;
      do {
        const query = new URLSearchParams({
          q: `'${folder.replaceAll(/['\\]/g, '')}' in parents and trashed = false`,
          fields: 'nextPageToken,files(id,name,mimeType,modifiedTime)',
          pageSize: '100',
          supportsAllDrives: 'true',
          includeItemsFromAllDrives: 'true',
          ...(page === undefined ? {} : { pageToken: page }),
        });
        const answer = await ask(`/drive/v3/files?${query.toString()}`, `the folder ${folder}`, signal);
        if (!answer.ok) return answer;
        const parsed = listAnswer.safeParse(jsonOf(answer.text));
        if (!parsed.success) return fault('answer', 'Google gave no list of files');
        files.push(...parsed.data.files.filter(({ mimeType }) => mimeType === DOCUMENT || PLAIN.includes(mimeType)));
        page = parsed.data.nextPageToken;
      } while (page !== undefined && files.length < MOST_FILES);
      return page === undefined ? { ok: true, files } : fault('too_large', `the folder ${folder} has more than ${MOST_FILES} documents`);
    },
    async words({ id, name, mimeType }, signal) {
      const file = `/drive/v3/files/${encodeURIComponent(id)}`;
      const path = mimeType === DOCUMENT ? `${file}/export?mimeType=text%2Fplain` : `${file}?alt=media&supportsAllDrives=true`;
      const answer = await ask(path, `"${name}"`, signal);
      return answer.ok ? { ok: true, text: answer.text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n') } : answer;
    },
  };
}

type Failed = GoogleFault & { status: number };

/** One call, without a redirect: a token goes to its own address only. */
async function call(url: string, init: RequestInit, signal: AbortSignal): Promise<{ ok: true; text: string } | Failed> {
  try {
    const response = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]) });
    const text = await response.text();
    return response.status === 200 ? { ok: true, text } : refusal(response.status, text);
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    return { ...fault('unreachable', `Google did not answer: ${cut(String(cause), 200)}`), status: 0 };
  }
}

const errorAnswer = z.object({
  error: z.union([z.string(), z.object({ message: z.string(), errors: z.array(z.object({ reason: z.string().optional() })).optional() })]),
  error_description: z.string().optional(),
});
const PACE_REASONS = ['rateLimitExceeded', 'userRateLimitExceeded', 'dailyLimitExceeded'];

/** A 403 may be a pace, a size or a right: the reason in the body tells. */
function refusal(status: number, text: string): Failed {
  const parsed = errorAnswer.safeParse(jsonOf(text));
  const error = parsed.success ? parsed.data.error : null;
  const why = error !== null && typeof error === 'object' ? (error.errors?.[0]?.reason ?? '') : '';
  const message = cut(
    error === null
      ? `status ${status}`
      : typeof error === 'string'
        ? `${error} ${parsed.data?.error_description ?? ''}`.trim()
        : error.message,
    300,
  );
  const as = (reason: GoogleFault['reason']): Failed => ({ ...fault(reason, message), status });
  if (status === 429 || (status === 403 && PACE_REASONS.includes(why))) return as('rate_limited');
  if (status === 404) return as('not_shared');
  if (status === 403 && why === 'exportSizeLimitExceeded') return as('too_large');
  if (status === 401) return as('key');
  return as(status >= 500 ? 'unreachable' : 'refused');
}

function fault(reason: GoogleFault['reason'], message: string): GoogleFault {
  return { ok: false, reason, message };
}
