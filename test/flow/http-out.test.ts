/** Calls over kept connections, on real sockets: what a caller is told of a request is what its server has seen of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import net from 'node:net';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fetchOver, httpCall, openHttp } from '../../src/process/http-out.ts';
import type { HttpAnswer, HttpCall } from '../../src/process/http-out.ts';
import { freePort } from '../../scripts/lib/ports.ts';

type Server = { url: string; stop(): Promise<void> };
const running: Server[] = [];
after(() => Promise.all(running.map((server) => server.stop())));

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok';

/** A server of bare sockets. `seen` is told of each connection's bytes so far, each time some came. */
async function listen(
  onConnection: (socket: net.Socket) => void,
  seen?: (socket: net.Socket, text: string) => void,
): Promise<Server & { sockets: net.Socket[] }> {
  const sockets: net.Socket[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      text += String(chunk);
      seen?.(socket, text);
    });
    socket.on('end', () => socket.end());
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const listening = {
    url: `http://127.0.0.1:${port}`,
    sockets,
    async stop() {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
  running.push(listening);
  return listening;
}

/** How many whole requests a connection has brought: each of ours ends with its body. */
const requestsIn = (text: string): number => text.split('"end":1}').length - 1;

function post(call: HttpCall, url: string, options: { timeoutMs?: number; signal?: AbortSignal; id?: string } = {}): Promise<HttpAnswer> {
  const { timeoutMs = 20_000, signal, id = 'x' } = options;
  return call({ method: 'POST', url: `${url}/send`, headers: { 'x-id': id }, body: '{"text":"oi","end":1}', timeoutMs, signal });
}

function told(answer: HttpAnswer): string {
  if ('status' in answer) return `${answer.status} ${answer.text}`;
  return `${answer.networkError} ${answer.requestWritten ? 'after' : 'before'} the write`;
}

/** Answers each request at once. */
const answering = (): ReturnType<typeof listen> =>
  listen(
    () => {},
    (socket, text) => {
      const answered = (socket as { answered?: number }).answered ?? 0;
      for (let n = answered; n < requestsIn(text); n++) socket.write(ANSWER);
      Object.assign(socket, { answered: requestsIn(text) });
    },
  );

test('O1 kept connections: calls one after the other share a connection, calls at once have one each', async () => {
  const server = await answering();
  const call = openHttp();
  for (let n = 0; n < 20; n++) assert.equal(told(await post(call, server.url)), '200 ok');
  // Two: what is called in the breath of an answer does not find its connection free yet.
  assert.ok(server.sockets.length <= 2, `${server.sockets.length} connections`);
  await Promise.all(Array.from({ length: 10 }, async () => assert.equal(told(await post(call, server.url)), '200 ok')));
  assert.ok(server.sockets.length <= 12, `${server.sockets.length} connections`);
});

test('O2 kept connections: ours ends an idle one before a server of Node does (5 s), or before the moment that the server has told', async () => {
  const server = createHttpServer((request, response) => request.resume().on('end', () => response.end('ok')));
  assert.equal(server.keepAliveTimeout, 5_000, 'what Evolution, on Express, leaves as it is');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const opened = once(server, 'connection');
  const call = openHttp();
  assert.equal(told(await post(call, `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`)), '200 ok');
  const [socket] = (await opened) as [net.Socket];
  const endedBy = await Promise.race([once(socket, 'end').then(() => 'us'), once(server, 'timeout').then(() => 'the server')]);
  assert.equal(endedBy, 'us');
  server.close();
  // A server that says "one second" is not asked a second time on the same connection.
  const hasty = await listen(
    () => {},
    (socket, text) => {
      if (requestsIn(text) === 1) socket.write(ANSWER.replace('\r\n', '\r\nkeep-alive: timeout=1\r\n'));
    },
  );
  assert.equal(told(await post(call, hasty.url)), '200 ok');
  assert.equal(told(await post(call, hasty.url)), '200 ok');
  assert.equal(hasty.sockets.length, 2);
});

test('O2 kept connections: one that the server has ended while it was idle costs nothing: the next call takes a new one', async () => {
  const server = await answering();
  const call = openHttp();
  for (const close of [(socket: net.Socket) => socket.end(), (socket: net.Socket) => socket.resetAndDestroy()]) {
    assert.equal(told(await post(call, server.url)), '200 ok');
    const open = server.sockets.filter((socket) => !socket.destroyed);
    const gone = Promise.all(open.map((socket) => once(socket, 'close')));
    for (const socket of open) close(socket);
    await gone; // for a FIN: ours has ended its half too
    const before = server.sockets.length;
    assert.equal(told(await post(call, server.url)), '200 ok');
    assert.equal(server.sockets.length, before + 1);
  }
});

test('O2 O3 kept connections: whatever the moment at which a connection ends, what is told of a request holds, and none arrives twice', async () => {
  /** Whole requests by id, and ids of which a single byte came. */
  const whole = new Map<string, number>();
  const touched = new Set<string>();
  let dice = 7;
  const roll = (sides: number): number => (dice = (dice * 48_271) % 2_147_483_647) % sides;
  const server = await listen(
    (socket) => {
      // Some connections end before or while the first request comes.
      const fate = roll(12);
      if (fate === 0) socket.destroy();
      if (fate === 1) socket.resetAndDestroy();
      if (fate === 2) setImmediate(() => socket.end());
    },
    (socket, text) => {
      const all = text.split('POST /send').slice(1);
      const current = all.at(-1) ?? '';
      const id = /x-id: (\S+)/.exec(current)?.[1];
      if (id === undefined) return;
      touched.add(id);
      if (!current.includes('"end":1}')) return;
      whole.set(id, (whole.get(id) ?? 0) + 1);
      switch (roll(8)) {
        case 0:
          return void socket.destroy();
        case 1:
          return void socket.resetAndDestroy();
        case 2: // the answer breaks off
          return void socket.write(ANSWER.slice(0, 70), () => socket.destroy());
        case 3: // half open: no answer will come
          return void socket.end();
        case 4: // answered, and ended in the same breath
          return void socket.end(ANSWER);
        case 5: // answered, and ended a moment later: in the middle of the next request
          return void socket.write(ANSWER, () => setImmediate(() => (roll(2) === 0 ? socket.destroy() : socket.resetAndDestroy())));
        default:
          return void socket.write(ANSWER);
      }
    },
  );
  const call = openHttp();
  const counts = { answered: 0, before: 0, after: 0 };
  await Promise.all(
    Array.from({ length: 6 }, async (_, lane) => {
      for (let n = 0; n < 150; n++) {
        const id = `${lane}-${n}`;
        const answer = await post(call, server.url, { id });
        const arrived = whole.get(id) ?? 0;
        assert.ok(arrived <= 1, `${id} arrived ${arrived} times`);
        if ('status' in answer) {
          counts.answered += 1;
          assert.equal(arrived, 1, `${id} was answered`);
        } else if (answer.requestWritten) counts.after += 1;
        else {
          counts.before += 1;
          assert.equal(touched.has(id), false, `${id}: not a byte came`);
        }
        if (roll(4) === 0) await turn();
      }
    }),
  );
  // What was told stays true: nothing is written later.
  for (const [id, arrived] of whole) assert.equal(arrived, 1, id);
  assert.ok(counts.answered > 200 && counts.after > 100, JSON.stringify(counts));
});

test('O3 kept connections: a refused connection, a name that nobody has and a handshake that fails are before the write', async () => {
  const call = openHttp();
  assert.equal(told(await post(call, `http://127.0.0.1:${await freePort()}`)), 'refused before the write');
  assert.equal(told(await post(call, 'http://nobody.invalid')), 'dns before the write');
  assert.equal(told(await post(call, 'no address')), 'refused before the write');
  const plain = await listen((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  assert.equal(told(await post(call, plain.url.replace('http:', 'https:'))), 'tls before the write');
  const rude = await listen((socket) => void socket.resetAndDestroy());
  assert.equal(told(await post(call, rude.url.replace('http:', 'https:'))), 'reset before the write');
});

test('O2 O3 kept connections: a limit or an abort before the write is surely not sent, also afterwards; after the write it is ambiguous', async () => {
  const call = openHttp();
  const seen = { bytes: 0 };
  // It takes the connection and says nothing: a handshake that lasts.
  const silent = await listen(
    () => {},
    (_, text) => (seen.bytes = text.length),
  );
  assert.equal(told(await post(call, silent.url, { signal: AbortSignal.abort() })), 'aborted before the write');
  assert.equal(silent.sockets.length, 0);
  assert.equal(told(await post(call, silent.url.replace('http:', 'https:'), { timeoutMs: 100 })), 'timeout before the write');
  const aborting = new AbortController();
  const shaking = post(call, silent.url.replace('http:', 'https:'), { signal: aborting.signal });
  while (silent.sockets.length < 2) await turn();
  aborting.abort();
  assert.equal(told(await shaking), 'aborted before the write');
  seen.bytes = 0;
  assert.equal(told(await post(call, silent.url, { timeoutMs: 300 })), 'timeout after the write');
  assert.ok(seen.bytes > 0);
  const late = new AbortController();
  seen.bytes = 0;
  const written = post(call, silent.url, { signal: late.signal });
  while (seen.bytes === 0) await turn();
  late.abort();
  assert.equal(told(await written), 'aborted after the write');
});

test('O2 kept connections: an answer that breaks off, ends half open or comes too slowly is ambiguous, one that only takes its time is read', async () => {
  const call = openHttp();
  const broken = await listen(
    () => {},
    (socket, text) => {
      if (requestsIn(text) === 1) socket.end(ANSWER.slice(0, -1));
    },
  );
  assert.equal(told(await post(call, broken.url)), 'reset after the write');
  const halfOpen = await listen(
    () => {},
    (socket, text) => {
      if (requestsIn(text) === 1) socket.end();
    },
  );
  assert.equal(told(await post(call, halfOpen.url)), 'reset after the write');
  const dripping = (bytes: number) =>
    listen(
      () => {},
      (socket, text) => {
        if (requestsIn(text) !== 1) return;
        let sent = 0;
        const drip = (): void => {
          if (sent === bytes) return;
          socket.write(ANSWER[sent++] ?? '', () => setImmediate(drip));
        };
        drip();
      },
    );
  assert.equal(told(await post(call, (await dripping(ANSWER.length)).url)), '200 ok');
  assert.equal(told(await post(call, (await dripping(ANSWER.length - 1)).url, { timeoutMs: 500 })), 'timeout after the write');
  // A hundred is no answer yet; a redirect is one.
  const early = await listen(
    () => {},
    (socket, text) => {
      if (requestsIn(text) === 1)
        socket.write(`HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 307 There\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n`);
    },
  );
  assert.equal(told(await post(call, early.url)), '307 ');
});

test('O2 kept connections: bytes that nobody asked for are no answer to the next request', async () => {
  const server = await answering();
  const call = openHttp();
  assert.equal(told(await post(call, server.url)), '200 ok');
  server.sockets[0]?.write(ANSWER.replace('ok', 'NO'));
  for (let n = 0; n < 5; n++) {
    const answer = await post(call, server.url);
    assert.ok(!('status' in answer) || answer.text === 'ok', told(answer));
  }
});

test('I10 kept connections: of an answer that is longer than asked for no more is read, and the next call is none the worse', async () => {
  const server = createHttpServer((request, response) => {
    if (request.url === '/short') return void response.end('ok');
    response.write('x'.repeat(100_000));
    const more = setInterval(() => response.write('x'.repeat(100_000)), 1);
    response.on('close', () => clearInterval(more));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as net.AddressInfo;
  const ask = (path: string, mostBytes?: number): Promise<HttpAnswer> =>
    httpCall({ method: 'GET', url: `http://127.0.0.1:${port}${path}`, headers: {}, timeoutMs: 10_000, mostBytes });
  assert.deepEqual(await ask('/long', 250_000), { networkError: 'reset', requestWritten: true, code: 'TOO_LARGE' });
  const short = await ask('/short', 2);
  assert.deepEqual('text' in short && short.text, 'ok');
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('L15 the fetch that packages get: headers, texts, errors and aborts are those of a fetch', async () => {
  const server = createHttpServer((request, response) => {
    if (request.url === '/none') return void response.writeHead(204).end();
    let body = '';
    request.on('data', (chunk: Buffer) => (body += String(chunk)));
    request.on('end', () => {
      response.writeHead(201, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'], 'request-id': 'r1' });
      response.end(JSON.stringify({ method: request.method, key: request.headers['x-api-key'], body }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  const fetch = fetchOver(httpCall);
  const response = await fetch(`${url}/x?y=ç`, { method: 'POST', headers: new Headers({ 'X-Api-Key': 'k' }), body: 'olá' });
  assert.deepEqual([response.status, response.ok, response.headers.get('request-id')], [201, true, 'r1']);
  assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
  assert.deepEqual(await response.json(), { method: 'POST', key: 'k', body: 'olá' });
  assert.equal((await fetch(`${url}/none`)).body, null);
  await assert.rejects(fetch(url, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await assert.rejects(
    fetch(`http://127.0.0.1:${await freePort()}`),
    (error: Error) => error instanceof TypeError && /refused/.test(String(error.cause)),
  );
  server.closeAllConnections();
  server.close();
});

test('O2 http: what cannot be taken back goes over a connection of its own, whatever is kept, and leaves none behind', async () => {
  const call = openHttp();
  const server = await answering();
  const own: HttpCall = (request) => call({ ...request, fresh: true });
  await post(call, server.url);
  for (let used = server.sockets.length; used < 5; used++) {
    assert.equal(told(await post(own, server.url)), '200 ok');
    assert.equal(server.sockets.length, used + 1);
  }
  await post(call, server.url);
  assert.equal(server.sockets.length, 5, 'what was kept is used again');
});
