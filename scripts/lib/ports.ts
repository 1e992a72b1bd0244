import { createServer } from 'node:net';
import { randomInt } from 'node:crypto';

/**
 * Systems choose the ports of outgoing connections, and of servers that ask for any, from 32768 on. A port from below is free until somebody asks for that very one.
 */
const FIRST = 12_000;
const LAST = 32_000;
const given = new Set<number>();

/** A TCP port that nothing holds, on any address, and that this process has not been given before. Bind soon: another process may be given it too, by chance. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, LAST);
    if (given.has(port)) continue;
    given.add(port);
    if (!(await portTaken(port))) return port;
  }
}

/** Whether something holds the port on any address: binds and lets go, so it also sees sockets that accept nobody. */
export async function portTaken(port: number): Promise<boolean> {
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, host, () => server.close(() => resolve(true)));
    });
    if (!free) return true;
  }
  return false;
}

/** The wished port, or the next free one after it (20 tries, then any free one). */
export async function portNear(wished: number, taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (let port = wished; port < wished + 20; port += 1) {
    if (!taken.has(port) && !(await portTaken(port))) return port;
  }
  return freePort();
}
