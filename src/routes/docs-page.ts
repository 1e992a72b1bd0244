/** The reference for people: one page without scripts and without anything from elsewhere. */
import type { Document, Operation } from './openapi.ts';

const TITLES: Readonly<Record<string, string>> = {
  messages: 'Messages and timelines',
  health: 'Health and metrics',
  webhooks: 'Webhooks',
  admin: 'Admin commands',
  console: 'The console, for browsers',
  reference: 'This reference',
};

export function docsPage(document: Document): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const sections = Object.entries(TITLES).map(([tag, title]) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag));
    return `<h2>${title}</h2>${own.map((each) => entry(each.method, each.path, each.operation)).join('')}`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(document.info.title)}: API</title><style>${STYLE}</style></head><body><main>
<h1>${escaped(document.info.title)} <small>${escaped(document.info.version)}</small></h1>
<p>OpenAPI: <a href="/openapi.json">/openapi.json</a></p>
<h2>A token</h2>
<p>Everything with a role below needs <code>Authorization: Bearer TOKEN</code>. A sender posts messages and asks for them, an operator may
run what is for operators too, an admin everything. On a machine that has the configuration:</p>
<pre>npm run admin -- token operator --sub ana --days 30
curl -H "Authorization: Bearer TOKEN" ${escaped('ADDRESS')}/admin/status</pre>
<p>Any program that signs HS256 with JWT_SECRET_KEY can make one: claims <code>sub</code>, <code>role</code>, <code>tenant</code>, <code>exp</code>.</p>
${sections.join('\n')}
</main></body></html>
`;
}

function entry(method: string, path: string, operation: Operation): string {
  const [security] = operation.security;
  const who = security === undefined ? 'public' : (security['token']?.[0] ?? security['session']?.[0] ?? 'webhook secret');
  const parameters = (operation.parameters ?? []).map(
    (each) => `<dt><code>${escaped(each.name)}</code> <small>${each.in}${each.required === true ? ', required' : ''}</small></dt>
<dd>${escaped(each.description ?? '')} <code>${escaped(JSON.stringify(each.schema))}</code></dd>`,
  );
  const body = Object.values(operation.requestBody?.content ?? {}).map(
    (content) =>
      `<h4>Body</h4>${content.example === undefined ? '' : `<small>example</small>${schema(content.example)}`}${schema(content.schema)}`,
  );
  const answers = Object.entries(operation.responses).map(([status, { description, content }]) => {
    const shown =
      Number(status) < 400 ? Object.entries(content ?? {}).map(([type, each]) => `<small>${type}</small>${schema(each.schema)}`) : [];
    return `<dt>${status}</dt><dd>${escaped(description)}${shown.join('')}</dd>`;
  });
  return `<details><summary><b>${method.toUpperCase()}</b> <code>${escaped(path)}</code> ${escaped(operation.summary)} <i>${escaped(who)}</i></summary>
<p>${escaped(operation.description ?? '')}</p>
${parameters.length === 0 ? '' : `<h4>Parameters</h4><dl>${parameters.join('')}</dl>`}${body.join('')}
<h4>Answers</h4><dl>${answers.join('')}</dl></details>
`;
}

function schema(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  return text === undefined || text === '{}' ? '' : `<pre>${escaped(text)}</pre>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1d2129; background: #fff }
main { max-width: 60rem; margin: 0 auto; padding: 1rem }
small, i { color: #5a6472; font-weight: normal }
summary { cursor: pointer; padding: .35rem 0 }
summary b { display: inline-block; min-width: 3.5rem }
summary i { float: right }
details { border-bottom: 1px solid #e3e6ea }
pre { background: #f4f6f8; padding: .6rem; overflow: auto; font-size: 13px }
dt { font-weight: 600 } h4 { margin: .6rem 0 .2rem }
@media (prefers-color-scheme: dark) { body { color: #e6e9ee; background: #14171c } pre { background: #1e232b } small, i { color: #9aa5b4 } details { border-color: #2b323c } }
`;
