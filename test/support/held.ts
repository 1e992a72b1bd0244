/** Requests that never end, over real sockets, and the memory that a process takes meanwhile. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

type TestHooks = { after(hook: () => Promise<void>): void };

export type Post = { method?: string; path: string; headers?: Record<string, string>; bytes: number; chunked?: boolean };

/** A post whose last byte never comes: what is written goes in as far as the other side takes it. */
export type HeldPost = { text(): string; answered: Promise<void>; closed: Promise<void>; hangUp(): void };

export function hold(t: TestHooks, port: number, post: Post): HeldPost {
  const { socket, post: held } = open(t, port);
  const length = post.chunked === true ? 'transfer-encoding: chunked' : `content-length: ${post.bytes}`;
  const headers = Object.entries({ 'content-type': 'application/json', ...post.headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${post.method ?? 'POST'} ${post.path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${length}\r\n${headers.join('')}\r\n`);
  const piece = Buffer.alloc(65_536, 'x');
  let left = post.bytes - 1;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      const bytes = piece.subarray(0, Math.min(left, piece.length));
      left -= bytes.length;
      if (post.chunked === true) socket.write(`${bytes.length.toString(16)}\r\n`);
      const room = socket.write(bytes);
      if (post.chunked === true) socket.write('\r\n');
      if (!room) return void socket.once('drain', more);
    }
  };
  socket.once('connect', more);
  return held;
}

/** Bytes of a request that is no whole one. */
export function head(t: TestHooks, port: number, text: string): HeldPost {
  const { post, socket } = open(t, port);
  socket.write(text);
  return post;
}

function open(t: TestHooks, port: number): { socket: Socket; post: HeldPost } {
  const socket = connect(port, '127.0.0.1');
  t.after(async () => void socket.destroy());
  socket.on('error', () => {}); // closed from the other side, which is what is asked for
  let text = '';
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      text += chunk.toString();
      resolve();
    });
    socket.on('close', () => resolve());
  });
  return { socket, post: { text: () => text, answered, closed, hangUp: () => void socket.end() } };
}

/** Kilobytes of /proc/PID/status as bytes: `VmRSS` now, `VmHWM` the most since the last reset. */
export function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Forgets the most so far. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
