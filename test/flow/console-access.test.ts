/** Who comes into the console, and how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admin, adminDone } from '../support/admin.ts';
import { addUser, loggedIn, PASSWORD, visitor } from '../support/console.ts';
import { startSystem } from '../support/system.ts';

type Created = { email: string; role: string; password: string };

test('T7 a user gets a random first password, must change it before anything else, and nobody is told who has an account', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const none = await (await fetch(`${system.url}/console/login`)).text();
  assert.match(none, /Ninguém tem acesso ainda[\s\S]*user create/, 'an installation without users says how to make the first');

  const ana = await adminDone<Created>(system.ctx, 'user create', { email: 'Ana@Example.com', role: 'admin' });
  assert.equal(ana.email, 'ana@example.com');
  assert.match(ana.password, /^[a-z2-9]{5}(-[a-z2-9]{5}){3}$/);
  const twice = await admin(system.ctx, 'user create', { email: 'ana@example.com', role: 'operator' });
  assert.equal(twice.ok, false);
  const dump = JSON.stringify(await system.query('select * from users, user_passwords, audit_log'));
  assert.ok(!dump.includes(ana.password) && !JSON.stringify(system.lines).includes(ana.password), 'it is stored and logged nowhere');

  const person = visitor(system, ana.email);
  const wrong = await person.post('/console/login', { email: ana.email, password: 'wrong' });
  const nobody = await person.post('/console/login', { email: 'bia@example.com', password: 'wrong' });
  assert.deepEqual([wrong.status, nobody.status], [401, 401]);
  assert.equal(nobody.text.replaceAll('bia@', 'ana@'), wrong.text, 'the same page, whoever it is');

  const entered = await person.post('/console/login', { email: ana.email, password: ana.password });
  assert.deepEqual([entered.status, entered.to], [303, '/console']);
  assert.equal((await person.get('/console/users')).to, '/console/password');
  assert.equal((await person.post('/console/users/disable', { email: 'ana@example.com' })).status, 403);
  await person.get('/console/password');
  const change = (password: string, current = ana.password) => person.post('/console/password', { current, password, repeated: password });
  for (const bad of ['curta', 'aaaaaaaaaaaaaaaa', ana.password]) assert.equal((await change(bad)).status, 422, bad);
  assert.equal((await change('uma frase bem longa', 'errada')).status, 422);
  const before = person.cookie();
  assert.equal((await change('uma frase bem longa')).status, 303);
  assert.notEqual(person.cookie(), before, 'a new session for the new password');
  assert.equal((await person.get('/console/users')).status, 200);
  const old = await fetch(`${system.url}/console/users`, { headers: { cookie: before } });
  assert.equal(old.status, 401, 'the one before it is over');

  const list = await adminDone<{ users: { email: string; passwords: { asked_by: string; temporary: boolean }[] }[] }>(
    system.ctx,
    'user list',
  );
  assert.deepEqual(
    list.users[0]?.passwords.map(({ asked_by, temporary }) => [asked_by, temporary]),
    [
      ['console:ana@example.com', false],
      ['cli:ana', true],
    ],
  );
  assert.equal((await system.query(`select from user_passwords where hash is not null`)).length, 1, 'of the others no hash is left');
  assert.deepEqual(
    (await system.query<{ action: string; actor: string }>('select action, actor from audit_log order by id')).map(
      ({ action, actor }) => `${actor} ${action}`,
    ),
    ['cli:ana user.create', 'console:ana@example.com console.login', 'console:ana@example.com user.password'],
  );
});

test('T7 ten wrong passwords, also all at once, close the entrance, for the right one too; a reset opens it', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await addUser(system, { email: 'ana@example.com' });
  const person = visitor(system, 'ana@example.com');
  const enter = async (password: string): Promise<number> =>
    (await person.post('/console/login', { email: 'ana@example.com', password })).status;
  for (let count = 0; count < 9; count++) assert.equal(await enter(`errada ${count}`), 401);
  assert.equal(await enter(PASSWORD), 303, 'nine are forgiven');
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 12 }, (_, count) => enter(`errada ${count}`)))), new Set([401]));
  assert.equal(await enter(PASSWORD), 401);
  assert.equal((await system.query(`select from audit_log where action = 'user.locked'`)).length, 1);
  const { password } = await adminDone<Created>(system.ctx, 'user reset', { email: 'ana@example.com' });
  assert.equal(await enter(PASSWORD), 401);
  assert.equal(await enter(password), 303);
});

test('T7 H16 a session ends with the commit that ends it: disabled, reset, left, too old; another one is never taken over', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const boss = await loggedIn(system, 'chefe@example.com', { role: 'admin' });
  const ana = await loggedIn(system, 'ana@example.com', { role: 'admin' });
  assert.equal((await ana.get('/console/users')).status, 200);
  assert.equal((await boss.post('/console/users/disable', { email: ana.email })).status, 200);
  assert.equal((await ana.get('/console/users')).to, '/console/login?to=%2Fconsole%2Fusers');
  assert.equal((await ana.post('/console/login', { email: ana.email, password: PASSWORD })).status, 401);

  const bia = await loggedIn(system, 'bia@example.com', { role: 'admin' });
  await adminDone(system.ctx, 'user reset', { email: bia.email });
  assert.equal((await bia.get('/console/users')).status, 303);

  const eva = await loggedIn(system, 'eva@example.com', { role: 'admin' });
  const cookie = eva.cookie();
  assert.equal((await eva.post('/console/logout')).to, '/console/login');
  assert.equal((await fetch(`${system.url}/console/users`, { headers: { cookie } })).status, 401, 'the cookie alone is worth nothing');

  await system.query(`update sessions set used_at = now() - interval '13 hours'`);
  assert.equal((await boss.get('/console/users')).status, 303);

  const planted = 'console_session=planted-by-somebody-else';
  const answer = await fetch(`${system.url}/console/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: planted, 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-proto': 'https' },
    body: new URLSearchParams({ email: boss.email, password: PASSWORD, to: '//evil.example' }).toString(),
  });
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get('location'), '/console');
  const set = answer.headers.getSetCookie()[0] ?? '';
  assert.match(set, /^console_session=[A-Za-z0-9_-]{43}; Max-Age=\d+; Path=\/console; HttpOnly; Secure; SameSite=Strict$/);
  const token = /=([^;]+)/.exec(set)?.[1] ?? '';
  assert.ok(!JSON.stringify(await system.query('select * from sessions')).includes(token), 'a digest is stored');
  const api = await fetch(`${system.url}/admin/user/list`, { headers: { cookie: `console_session=${token}` } });
  assert.equal(api.status, 401, 'the API does not know cookies');
});

test('T7 H16 a post needs the proof of a page of its session, and roles are those of the API', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const boss = await loggedIn(system, 'chefe@example.com', { role: 'admin' });
  const form = { email: 'nova@example.com', role: 'admin' };
  assert.equal((await boss.post('/console/users/create', { ...form, _csrf: '' })).status, 403);
  assert.equal((await boss.post('/console/users/create', { ...form, _csrf: 'x'.repeat(43) })).status, 403);
  assert.equal((await boss.post('/console/users/create', form, { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await boss.post('/console/login', form, { 'sec-fetch-site': 'cross-site' })).status, 403);
  const operator = await loggedIn(system, 'op@example.com');
  assert.equal((await operator.post('/console/users/create', form)).status, 403);
  assert.equal((await operator.get('/console/users')).status, 403);
  assert.equal((await system.query(`select from users where email = 'nova@example.com'`)).length, 0);
  const made = await boss.post('/console/users/create', form);
  assert.equal(made.status, 200);
  assert.match(made.text, /<code class="secret">[a-z2-9-]{23}<\/code>/);
});

test('H9 H16 pages carry a policy without inline scripts, errors look like pages, and the first address leads there', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const boss = await loggedIn(system, 'chefe@example.com', { role: 'admin' });
  const first = await fetch(`${system.url}/`, { redirect: 'manual' });
  assert.deepEqual([first.status, first.headers.get('location')], [302, '/console']);
  const { headers, status } = await fetch(`${system.url}/console/users`, { headers: { cookie: boss.cookie(), accept: 'text/html' } });
  assert.equal(status, 200);
  const policy = headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self'(;|$)/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(headers.get('cache-control'), 'no-store');
  const { text } = await boss.get('/console/users');
  assert.doesNotMatch(text, /<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=/i);
  for (const [, src] of text.matchAll(/(?:src|href)="(\/console\/assets\/[^"]+)"/g))
    assert.equal((await fetch(`${system.url}${src}`)).status, 200, src);
  const missing = await boss.get('/console/nothing');
  assert.equal(missing.status, 404);
  assert.match(missing.text, /Não há nada aqui/);
  assert.equal(((await (await fetch(`${system.url}/api/health`)).json()) as { status: string }).status, 'healthy');
});

test('H16 H9 a live stream tells of nothing of another tenant, and one person has ten of them', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const { id } = system.simulator.addContact({ name: 'Maria', phone: '5511988887777' });
  system.simulator.inbound({ contactId: id, text: 'Oi' });
  const conversation = await system.until(async () => (await system.query<{ id: string }>('select id from conversations'))[0], 'it');
  await system.query(`insert into tenants (id, name) values ('outra', 'Outra')`);
  const ana = await loggedIn(system, 'ana@example.com');
  const eva = await loggedIn(system, 'eva@example.com', { tenant: 'outra' });
  const open = async (cookie: string) => {
    const stop = new AbortController();
    t.after(() => stop.abort());
    const answer = await fetch(`${system.url}/console/stream?conversation=${conversation.id}`, {
      headers: { cookie },
      signal: stop.signal,
    });
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let heard = '';
    /** What has been heard up to this, or up to the end. */
    return async (event: RegExp): Promise<string> => {
      while (!event.test(heard)) {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done) break;
        heard += value ?? '';
      }
      return heard;
    };
  };
  const newsOf = async (cookie: string) => {
    const heard = await (await open(cookie))(/event: news\ndata: .*\n/);
    return JSON.parse(/event: news\ndata: (.*)\n/.exec(heard)?.[1] ?? 'null') as { lists: string; thread: string };
  };
  const own = await newsOf(ana.cookie());
  assert.notEqual(own.thread, '');
  const others = await newsOf(eva.cookie());
  assert.equal(others.thread, '');
  assert.notEqual(others.lists, own.lists);
  for (let each = 2; each <= 10; each++) assert.match(await (await open(ana.cookie()))(/event: beat/), /event: beat/);
  assert.equal(await (await open(ana.cookie()))(/event: beat/), '', 'the eleventh ends');
  assert.match(await (await open(eva.cookie()))(/event: beat/), /event: beat/);
});

test('T7 H16 a cookie that is nobody’s asks the database no more often than its sender may ask anything; a session behind the same address goes on', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { API_RATE_LIMIT: '5' } });
  const ana = await loggedIn(system, 'ana@example.com');
  assert.equal((await ana.get('/console/conversations')).status, 200);
  const { db } = system.ctx;
  const call = db.call.bind(db);
  let looks = 0;
  db.call = (name, args) => {
    if (name === 'use_session') looks++;
    return call(name, args);
  };
  const asked = Array.from({ length: 12 }, async (_, count) =>
    fetch(`${system.url}/console/conversations`, { headers: { cookie: `console_session=${count}` } }).then(({ status }) => status),
  );
  const refused = (await Promise.all(asked)).filter((status) => status === 429).length;
  assert.ok(refused >= 7, `${refused} were refused`);
  assert.equal(looks, 12 - refused);
  assert.equal((await ana.get('/console/conversations')).status, 200);
});

test('T7 H16 strangers who keep all places for passwords taken hold nobody up who has come in from there before', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { TRUSTED_PROXY_HOPS: '1' } });
  await addUser(system, { email: 'ana@example.com' });
  const enter = (email: string, from: string) =>
    visitor(system, email).post('/console/login', { email, password: PASSWORD }, { 'x-forwarded-for': from });
  assert.equal((await enter('ana@example.com', '198.51.100.7')).status, 303);
  const strangers = Array.from({ length: 60 }, async (_, count) => enter(`x${count}@example.com`, `203.0.113.${count}`));
  assert.equal((await Promise.race(strangers)).status, 429, 'no place is left');
  assert.equal((await enter('ana@example.com', '198.51.100.7')).status, 303);
  await Promise.all(strangers);
});
