/** GET /openapi.json, /docs, /api/docs: the reference of this API, made of its own table of routes. Off with API_DOCS=false. */
import { z } from 'zod';
import type { Process } from './ops.ts';
import type { Document } from './openapi.ts';
import type { About, Routes } from './table.ts';

export function docsRoutes(routes: Routes, process: Process): void {
  if (!process.config.http.docs) return;
  // Nothing is added after the start, so it is made once.
  let made: Promise<Document> | null = null;
  const document = (): Promise<Document> =>
    (made ??= import('./openapi.ts').then(({ openApiDocument }) => openApiDocument(routes.described, process.config)));

  routes.get('/openapi.json', about('this API in OpenAPI 3.1', 'application/json', z.record(z.string(), z.unknown())), async (c) =>
    c.json(await document()),
  );
  routes.get(['/docs', '/api/docs'], about('this API for people', 'text/html', z.string()), async (c) => {
    const { docsPage } = await import('./docs-page.ts');
    return c.html(docsPage(await document()));
  });
}

function about(summary: string, type: string, schema: z.ZodType): About<'public'> {
  return { tag: 'reference', access: 'public', summary, answers: { 200: { means: 'the reference', type, schema } } };
}
