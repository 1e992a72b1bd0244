/** The table of routes as an OpenAPI 3.1 document. */
import type { RouteConfig } from '@hono/zod-openapi';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { DescribedRoute } from './table.ts';

/** What a document of `z.object`s looks like to a page that shows it. */
export type Document = {
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, Operation>>;
};
export type Operation = {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security: Record<string, string[]>[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: unknown }[];
  requestBody?: { content: Record<string, { schema: unknown; example?: unknown }> };
  responses: Record<string, { description: string; content?: Record<string, { schema?: unknown }> }>;
};

const error = z.object({ error: z.object({ code: z.string(), message: z.string(), request_id: z.string() }) });
const ERROR = { $ref: '#/components/schemas/Error' };

/** The generator is loaded here, at the first request for the document: nothing else needs it. */
export async function openApiDocument(routes: readonly DescribedRoute[], { app }: Config): Promise<Document> {
  const { OpenAPIHono } = await import('@hono/zod-openapi');
  // Its registry and generator; it serves nothing, because its validators would stand in the way of webhooks and answer errors in a form of their own.
  const described = new OpenAPIHono();
  const registry = described.openAPIRegistry;
  // Named once: written out at each answer it was nine tenths of the document.
  registry.registerComponent('schemas', 'Error', z.toJSONSchema(error) as object);
  registry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'HS256, signed with JWT_SECRET_KEY; claims sub, role (sender, operator or admin), tenant, exp.',
  });
  registry.registerComponent('securitySchemes', 'session', {
    type: 'apiKey',
    in: 'cookie',
    name: 'console_session',
    description: 'Of a user of the console (user create); a post carries the CSRF token of its page too.',
  });
  registry.registerComponent('securitySchemes', 'webhook', { type: 'http', scheme: 'bearer', description: 'EVOLUTION_WEBHOOK_SECRET.' });
  for (const route of routes) registry.registerPath(pathOf(route));
  const document = described.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: app.name,
      version: app.version,
      description:
        'Errors are always {"error": {"code", "message", "request_id"}}. A token is made by `npm run admin -- token operator --sub ana`, or by anything that signs HS256 with JWT_SECRET_KEY.',
    },
    ...(app.baseUrl === null ? {} : { servers: [{ url: app.baseUrl }] }),
  });
  return document as unknown as Document; // the generator's type says less than it makes
}

function pathOf(route: DescribedRoute): RouteConfig {
  const names = [...route.path.matchAll(/:(\w+)(?:\{([^/]*)\})?/g)];
  const params = z.object({
    ...Object.fromEntries(
      names.map(([, name = '', pattern]) => [name, pattern === undefined ? z.string() : z.string().regex(new RegExp(`^${pattern}$`))]),
    ),
    ...(route.path.endsWith('/*') ? { event: z.string() } : {}),
  });
  return {
    method: route.method,
    path: route.path.replaceAll(/:(\w+)(?:\{[^/]*\})?/g, '{$1}').replace(/\*$/, '{event}'),
    operationId: operationIdOf(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.details === undefined ? {} : { description: route.details }),
    security:
      route.access === 'public'
        ? []
        : route.session === true
          ? [{ session: [route.access] }]
          : route.access === 'webhook'
            ? [{ webhook: [] }]
            : [{ token: [route.access] }],
    request: {
      ...(Object.keys(params.shape).length === 0 ? {} : { params }),
      ...(route.query === undefined ? {} : { query: route.query }),
      ...(route.headers === undefined ? {} : { headers: route.headers }),
      ...(route.body === undefined
        ? {}
        : {
            body: {
              content: {
                [route.tag === 'console' ? 'application/x-www-form-urlencoded' : 'application/json']: {
                  schema: route.body,
                  ...(route.example === undefined ? {} : { example: route.example }),
                },
              },
            },
          }),
    },
    responses: responsesOf(route),
  };
}

/** `getApiMessagesById`: what generators of clients name a call by. Unique, since method and path are. */
function operationIdOf({ method, path }: DescribedRoute): string {
  const words = path
    .replaceAll(/\{[^/]*\}/g, '')
    .replace('*', ':event')
    .replaceAll(/:(\w+)/g, 'by $1')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '');
  return method + words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('');
}

function responsesOf({ access, answers, unlimited, method }: DescribedRoute): RouteConfig['responses'] {
  const implied: DescribedRoute['answers'] = {
    ...(access === 'public' || access === 'webhook' ? {} : { 401: 'no valid token', 403: `a token whose role is less than ${access}` }),
    ...(unlimited === true ? {} : { 429: 'too often; Retry-After says when to come again' }),
    ...(method === 'get' ? {} : { 408: 'the body did not arrive in time', 413: 'the body is larger than 1 MB' }),
    500: 'a mistake of ours; the log has it under the request_id',
  };
  const all = Object.entries({ ...implied, ...answers });
  return Object.fromEntries(
    all.map(([status, answer]) => {
      const { means, schema, type = 'application/json' } = typeof answer === 'string' ? { means: answer, schema: undefined } : answer;
      const shown = schema ?? (Number(status) >= 400 ? ERROR : {});
      return [status, { description: means, content: { [type]: { schema: shown } } }];
    }),
  );
}
