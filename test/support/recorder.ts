/** A server that writes down every request and passes it on: what really left for Evolution or Slack, whatever the look-alike makes of it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Recorder = {
  url: string;
  /** `METHOD /path`, in the order of arrival. */
  calls: string[];
  /** Where requests go; before it is set they are answered 503. */
  forwardTo(url: string): void;
};

export async function startRecorder(t: { after(hook: () => Promise<void>): void }): Promise<Recorder> {
  const calls: string[] = [];
  let target: string | null = null;
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const headers = Object.fromEntries(
        ['apikey', 'authorization', 'content-type', 'accept'].flatMap((name) => {
          const value = request.headers[name];
          return typeof value === 'string' ? [[name, value]] : [];
        }),
      );
      const body = Buffer.concat(chunks);
      const passed =
        target === null
          ? Promise.resolve(new Response('', { status: 503 }))
          : fetch(`${target}${request.url}`, { method: request.method ?? 'GET', headers, ...(body.length === 0 ? {} : { body }) });
      void passed.then(
        async (answer) => {
          response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
          response.end(Buffer.from(await answer.arrayBuffer()));
        },
        () => response.destroy(),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    forwardTo(url) {
      target = url;
    },
  };
}
