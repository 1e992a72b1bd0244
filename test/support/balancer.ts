/**
 * A balancer before several apis, as the Caddy of docker-compose.prod.yml is one: it asks the next one when a connection is refused, and for a webhook, which it holds
 * whole, also when a connection breaks without an answer. (A kernel resets the connections that wait to be taken when a copy stops listening.)
 */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Balancer = {
  url: string;
  /** Every status that it gave, 502 when no api answered. */
  statuses: number[];
  /** Addresses to ask in turn. */
  upstreams: string[];
  close(): Promise<void>;
};

export async function startBalancer(): Promise<Balancer> {
  const upstreams: string[] = [];
  const statuses: number[] = [];
  let turn = 0;
  // A connection is kept as long as its caller keeps it: on a busy machine the 5 s of node end one whose next request has been written already.
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    void (async () => {
      const body = await read(incoming);
      const first = turn++;
      for (let index = 0; index < upstreams.length; index++) {
        const upstream = upstreams[(first + index) % upstreams.length] ?? '';
        const answer = await pass(upstream, incoming, body);
        if (answer === 'refused') continue;
        statuses.push(answer.status);
        outgoing.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
        return;
      }
      statuses.push(502);
      outgoing.writeHead(502).end();
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens on TCP
    statuses,
    upstreams,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function read(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** `refused`: the next one may be asked. Of what is no webhook, a connection that breaks is a 502: the api may have taken the request. */
function pass(upstream: string, incoming: IncomingMessage, body: Buffer): Promise<{ status: number; body: Buffer } | 'refused'> {
  return new Promise((resolve) => {
    const { method = 'GET', headers, url = '/' } = incoming;
    const outgoing = request(new URL(url, upstream), { method, headers, agent: false }, (answer) => {
      read(answer).then(
        (answered) => resolve({ status: answer.statusCode ?? 502, body: answered }),
        () => resolve({ status: 502, body: Buffer.alloc(0) }),
      );
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ECONNREFUSED' || url.startsWith('/webhook/') ? 'refused' : { status: 502, body: Buffer.alloc(0) }),
    );
    outgoing.end(body);
  });
}
