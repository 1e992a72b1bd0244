// A receiver of the simulator's webhooks: keeps every request in the order of arrival and answers as it is told.

import { createServer } from 'node:http';

export type Received = { path: string; authorization: string | undefined; text: string; body: Webhook };
export type Webhook = { event: string; instance: string; data: never } & Record<string, unknown>;

export type Receiver = {
  url: string;
  received: Received[];
  /** The status of the next answers; default 200. Asked after the request is read. */
  answer: (request: Received) => number;
  close(): Promise<void>;
};

export async function startReceiver(): Promise<Receiver> {
  const receiver: Receiver = { url: '', received: [], answer: () => 200, close: () => Promise.resolve() };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const { authorization } = request.headers;
      const got: Received = { path: request.url ?? '', authorization, text, body: JSON.parse(text) as Webhook };
      receiver.received.push(got);
      response.statusCode = receiver.answer(got);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the receiver has no port');
  receiver.url = `http://127.0.0.1:${address.port}/hook`;
  receiver.close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return receiver;
}
