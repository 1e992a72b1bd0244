/** The table of routes: what is served is described and guarded by the same entry, and the reference shows it without anything from outside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS } from '../../src/admin/all.ts';
import { apiRoutes } from '../../src/api.ts';
import { exampleOf } from '../../src/routes/openapi-examples.ts';
import { createApp } from '../../src/routes/http.ts';
import { createLogger } from '../../src/process/log.ts';
import type { Process } from '../../src/routes/ops.ts';
import type { Document, Operation } from '../../src/routes/openapi.ts';
import { dev, JWT_KEY } from '../support/config.ts';

function apiOf(env: Record<string, string> = {}) {
  const state: Process = { config: dev({ JWT_SECRET_KEY: JWT_KEY, ...env }), context: null, stopping: false };
  const log = createLogger({ level: 'CRITICAL', service: 'test', pretty: false, destination: { write: () => {} } });
  return createApp(state, log, (routes) => apiRoutes(routes, state));
}

async function documentOf(app: ReturnType<typeof apiOf>): Promise<Document & { openapi: string }> {
  const response = await app.request('/openapi.json');
  assert.equal(response.status, 200);
  return (await response.json()) as Document & { openapi: string };
}

/** `GET /api/messages/{id}` as the document writes the path of a route. */
const written = (path: string) => path.replaceAll(/:(\w+)(?:\{[^/]*\})?/g, '{$1}').replace(/\*$/, '{event}');

test('H8 openapi: every route of the app is in the document and nothing else, with who may and what it answers', async () => {
  const app = apiOf();
  const document = await documentOf(app);
  assert.equal(document.openapi, '3.1.0');
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [`${method.toUpperCase()} ${path}`, operation]),
  );
  // Middleware is registered for every method, routes for one.
  const served = new Set(app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${written(path)}`));
  assert.deepEqual(described.map(([name]) => name).toSorted(), [...served].toSorted());
  for (const [name, operation] of described) {
    assert.ok(operation.summary.length > 5, name);
    const path = name.split(' ')[1] ?? '';
    const guarded = operation.security[0]?.['token'] !== undefined;
    assert.equal(guarded, /^\/(admin|api\/(?!docs|health|events\/schemas))/.test(path), `${name}: ${JSON.stringify(operation.security)}`);
    const session = operation.security[0]?.['session'] !== undefined;
    assert.equal(session, path.startsWith('/console') && !/^\/console\/(login|assets|session)/.test(path), name);
    assert.equal('401' in operation.responses, guarded || session || path.startsWith('/webhook') || name === 'POST /console/login', name);
    assert.ok(
      Object.keys(operation.responses).some((status) => /^[23]/.test(status)),
      name,
    );
    for (const [, parameter = ''] of path.matchAll(/\{(\w+)\}/g))
      assert.ok(
        operation.parameters?.some((each) => each.in === 'path' && each.name === parameter && each.required === true),
        name,
      );
  }
});

test('H8 openapi: admin commands come from their table, with arguments and role; the body of a message has its rules', async () => {
  const { paths } = await documentOf(apiOf());
  for (const command of COMMANDS) {
    const path = paths[`/admin/${command.name.replaceAll(' ', '/')}`];
    assert.ok(path?.['post'], command.name);
    assert.equal(path['get'] !== undefined, command.readOnly, command.name);
    assert.deepEqual(path['post'].security, [{ token: [command.role] }]);
    const body = path['post'].requestBody?.content['application/json']?.schema as { properties?: object };
    assert.deepEqual(Object.keys(body.properties ?? {}), Object.keys(command.args.shape), command.name);
    if (command.readOnly) assert.deepEqual(path['get']?.parameters?.map((each) => each.name) ?? [], Object.keys(command.args.shape));
  }
  const message = paths['/api/messages']?.['post']?.requestBody?.content['application/json']?.schema as Record<string, unknown>;
  assert.deepEqual(message['required'], ['to', 'text']);
  assert.equal(message['additionalProperties'], false);
});

test('H8 openapi: every operation has an id of its own, every body an example that is taken, and every answer that is well a schema', async () => {
  const { paths } = await documentOf(apiOf());
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, operation })),
  );
  const ids = operations.map(({ operation }) => operation.operationId);
  assert.deepEqual(
    ids.filter((id, at) => !/^[a-z][A-Za-z0-9]*$/.test(id) || ids.indexOf(id) !== at),
    [],
  );
  assert.ok(ids.includes('getApiMessagesById') && ids.includes('postAdminHandoffReturn'), ids.join());
  for (const { name, operation } of operations) {
    for (const [status, { content = {} }] of Object.entries(operation.responses))
      if (Number(status) < 300)
        for (const { schema } of Object.values(content)) assert.ok(Object.keys(schema ?? {}).length > 0, `${name}: ${status}`);
    const body = Object.values(operation.requestBody?.content ?? {})[0];
    if (name.startsWith('post')) assert.ok(body?.example !== undefined, name);
  }
  for (const command of COMMANDS) {
    const example = exampleOf(command.name, command.args);
    const checked = command.args.safeParse(example);
    assert.ok(checked.success, `${command.name}: ${JSON.stringify(example)}: ${checked.error?.message ?? ''}`);
  }
});

test('H8 docs: /docs and /api/docs are one page that lists each route, says how to get a token and loads nothing from elsewhere', async () => {
  const app = apiOf();
  const { paths } = await documentOf(app);
  const [page, other] = await Promise.all(['/docs', '/api/docs'].map(async (path) => (await app.request(path)).text()));
  assert.equal(page, other);
  for (const path of Object.keys(paths)) assert.ok(page?.includes(`<code>${path}</code>`), path);
  assert.match(page ?? '', /npm run admin -- token operator/);
  // an address may stand in an example; none is loaded or led to
  assert.doesNotMatch(page ?? '', /<script|<link|<img|<iframe|@import|url\(|(?:src|href)\s*=\s*["']?(?:https?:)?\/\//);
});

test('H8 docs: API_DOCS=false serves neither page nor document', async () => {
  const app = apiOf({ API_DOCS: 'false' });
  assert.equal((await app.request('/docs')).status, 404);
  assert.equal((await app.request('/openapi.json')).status, 404);
  assert.equal((await app.request('/api/docs')).status, 401, 'like everything below /api that is not there');
});

test('H8 docs: a name of the installation cannot become markup', async () => {
  const page = await (await apiOf({ APP_NAME: '<b onload="x">Julia & cia</b>' }).request('/docs')).text();
  assert.match(page, /&lt;b onload=&quot;x&quot;&gt;Julia &amp; cia/);
});
