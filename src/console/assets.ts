/** The files of the console's pages: a style, scripts of ours, htmx and uPlot from their packages. Read and packed once; the address holds a digest, so a browser asks once. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import type { Routes } from '../routes/table.ts';

const require = createRequire(import.meta.url);

type Asset = { type: string; plain: Buffer; br: Buffer; gzip: Buffer };

const FILES = {
  'console.css': { type: 'text/css; charset=utf-8', from: new URL('static/console.css', import.meta.url) },
  'console.js': { type: 'text/javascript; charset=utf-8', from: new URL('static/console.js', import.meta.url) },
  'plots.js': { type: 'text/javascript; charset=utf-8', from: new URL('static/plots.js', import.meta.url) },
  'uplot.js': { type: 'text/javascript; charset=utf-8', from: require.resolve('uplot/dist/uPlot.iife.min.js') },
  'uplot.css': { type: 'text/css; charset=utf-8', from: require.resolve('uplot/dist/uPlot.min.css') },
  'htmx.js': { type: 'text/javascript; charset=utf-8', from: require.resolve('htmx.org/dist/htmx.min.js') },
} as const;

/** Files change with the program only. */
const VERSION = createHash('sha256')
  .update(
    Object.values(FILES)
      .map(({ from }) => readFileSync(from, 'base64'))
      .join(),
  )
  .digest('base64url')
  .slice(0, 12);

const YEAR_SECONDS = 31_536_000;

export function assetPath(name: keyof typeof FILES): string {
  return `/console/assets/${VERSION}/${name}`;
}

export function assetRoutes(routes: Routes): void {
  const packed = new Map<string, Asset>();
  const of = (name: keyof typeof FILES): Asset => {
    const known = packed.get(name);
    if (known !== undefined) return known;
    const plain = readFileSync(FILES[name].from);
    const made = { type: FILES[name].type, plain, br: brotliCompressSync(plain), gzip: gzipSync(plain) };
    packed.set(name, made);
    return made;
  };
  routes.get(
    '/console/assets/:version/:name{console\\.css|console\\.js|htmx\\.js|plots\\.js|uplot\\.css|uplot\\.js}',
    {
      tag: 'console',
      access: 'public',
      summary: 'a file of the console’s pages',
      unlimited: true,
      answers: { 200: { means: 'the file', type: 'text/plain', schema: z.string() } },
    },
    (c) => {
      const asset = of(c.req.param('name') as keyof typeof FILES); // the pattern of the path
      const accepts = c.req.header('accept-encoding') ?? '';
      const how = /\bbr\b/.test(accepts) ? 'br' : /\bgzip\b/.test(accepts) ? 'gzip' : null;
      return c.body(new Uint8Array(how === null ? asset.plain : asset[how]), 200, {
        'content-type': asset.type,
        'cache-control': `public, max-age=${YEAR_SECONDS}, immutable`,
        vary: 'accept-encoding',
        ...(how === null ? {} : { 'content-encoding': how }),
      });
    },
  );
}
