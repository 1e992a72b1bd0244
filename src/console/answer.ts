/** How a page leaves: packed, and kept by nobody. */
import type { Context as Request } from 'hono';
import type { HtmlEscapedString } from 'hono/utils/html';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

export type Markup = HtmlEscapedString | Promise<HtmlEscapedString>;

const pack = promisify<Buffer, { level: number }, Buffer>(gzip);
/** Smaller ones travel in one packet anyway. Bytes. */
const WORTH_PACKING = 1_400;

export async function show(
  c: Request,
  markup: Markup,
  status: 200 | 401 | 403 | 404 | 409 | 422 | 429 | 500 | 503 = 200,
): Promise<Response> {
  const plain = Buffer.from(String(await markup));
  const packed = plain.length > WORTH_PACKING && /\bgzip\b/.test(c.req.header('accept-encoding') ?? '');
  return c.body(new Uint8Array(packed ? await pack(plain, { level: 4 }) : plain), status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    ...(packed ? { 'content-encoding': 'gzip', vary: 'accept-encoding' } : {}),
  });
}

/** After a form: to a page, for a browser with and without our script. */
export function goTo(c: Request, path: string): Response {
  if (c.req.header('hx-request') === 'true') return c.body(null, 204, { 'hx-redirect': path });
  return c.redirect(path, 303);
}
