/**
 * Posts over kept-alive connections, one request at a time each. On bare sockets with a reader of just what these servers answer: a general
 * client costs more of the two cores than the servers that are measured.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';

import { percentile } from './statistics.ts';

/** A request that takes longer has failed. Milliseconds. */
const PATIENCE_MS = 20_000;

export type Connection = {
  /** Posts JSON; resolves with the status, 0 when the connection broke or nothing came in time. One call at a time. */
  post(body: string): Promise<number>;
  close(): void;
};

export async function openConnection(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<Connection> {
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}`;
  let received = '';
  let settle: ((status: number) => void) | null = null;
  const answer = (status: number): void => {
    settle?.(status);
    settle = null;
    received = '';
  };
  async function open(): Promise<Socket> {
    const made = await connected(port);
    made.setNoDelay(true);
    made.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (isComplete(received)) answer(Number(received.slice(9, 12)));
    });
    made.on('error', () => {}); // `close` follows
    made.on('close', () => made === socket && answer(0));
    return made;
  }
  let socket = await open();
  return {
    async post(body) {
      // servers end a connection that has been idle for some seconds, as HTTP lets them
      if (socket.destroyed || socket.readableEnded) socket = await open();
      const sent = new Promise<number>((resolve) => (settle = resolve));
      const late = setTimeout(() => socket.destroy(), PATIENCE_MS);
      socket.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      const status = await sent;
      clearTimeout(late);
      return status;
    },
    close: () => socket.destroy(),
  };
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

function isComplete(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const head = text.slice(0, end).toLowerCase();
  const length = /\ncontent-length: (\d+)/.exec(head)?.[1];
  if (length !== undefined) return text.length >= end + 4 + Number(length);
  return text.endsWith('0\r\n\r\n'); // chunked
}

export type LoadResult = { accepted: number; failed: number; perSecond: number; p50Ms: number; p99Ms: number };

/** Posts what `next` returns over `connections` connections for `durationMs`, each as soon as its last answer came. */
export async function runLoad(options: {
  port: number;
  path: string;
  headers: Readonly<Record<string, string>>;
  connections: number;
  durationMs: number;
  next: () => string;
}): Promise<LoadResult> {
  const { port, path, headers, next } = options;
  const connections = await Promise.all(Array.from({ length: options.connections }, () => openConnection(port, path, headers)));
  const times: number[] = [];
  let failed = 0;
  const started = performance.now();
  const end = started + options.durationMs;
  await Promise.all(
    connections.map(async (connection) => {
      while (performance.now() < end) {
        const at = performance.now();
        const status = await connection.post(next());
        if (status === 200) times.push(performance.now() - at);
        else failed += 1;
        if (status === 0) return;
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  for (const connection of connections) connection.close();
  return { accepted: times.length, failed, perSecond: times.length / seconds, p50Ms: percentile(times, 50), p99Ms: percentile(times, 99) };
}
