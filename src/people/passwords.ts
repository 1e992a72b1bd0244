/** Passwords of the console's users: scrypt of node:crypto, kept as `scrypt$N$r$p$salt$key`. */
import { randomBytes, randomInt, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number }, Buffer>(scrypt);

/** One of the settings that OWASP's cheat sheet of passwords has as equal: 16 MB, some 200 ms of a core. */
const COST = { N: 2 ** 14, r: 8, p: 5 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** One at a time: each takes memory, and people who log in at once can wait. */
let last: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = last.then(work);
  last = mine.catch(() => {});
  return mine;
}

let taken = 0;
/** More than so many at once are no people. */
const MOST_WAITING = 30;
/** Beyond these, for those who have been here before: strangers from many places cannot keep them out. */
const KEPT_PLACES = 15;

/** A place to have a password compared, until it is disposed of; null: as many wait as anybody may wait for. `known`: who asks has been here before. */
export function passwordPlace(known: boolean): Disposable | null {
  if (taken >= MOST_WAITING + (known ? KEPT_PLACES : 0)) return null;
  taken++;
  return { [Symbol.dispose]: () => void taken-- };
}

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await inTurn(() => derive(password.normalize('NFKC'), salt, KEY_BYTES, COST));
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), key.toString('base64url')].join('$');
}

/** Whether it is that one; a hash of nobody (null) takes as long and is never right. */
export async function isPassword(password: string, hash: string | null): Promise<boolean> {
  const [, n, r, p, salt = '', key = ''] = (hash ?? NOBODYS).split('$');
  const found = await inTurn(() =>
    derive(password.normalize('NFKC'), Buffer.from(salt, 'base64url'), KEY_BYTES, { N: Number(n), r: Number(r), p: Number(p) }),
  );
  const expected = Buffer.from(key, 'base64url');
  return found.length === expected.length && timingSafeEqual(found, expected) && hash !== null;
}

const NOBODYS = [
  'scrypt',
  COST.N,
  COST.r,
  COST.p,
  Buffer.alloc(SALT_BYTES).toString('base64url'),
  Buffer.alloc(KEY_BYTES, 1).toString('base64url'),
].join('$');

/** Without what is taken for another sign. */
const SIGNS = 'abcdefghjkmnpqrstuvwxyz23456789';
const GROUPS = 4;
const GROUP_SIGNS = 5;

/** A first password, which is changed at the first login: 99 random bits, in groups to be read out. */
export function randomPassword(): string {
  const group = (): string => Array.from({ length: GROUP_SIGNS }, () => SIGNS[randomInt(SIGNS.length)]).join('');
  return Array.from({ length: GROUPS }, group).join('-');
}

const SHORTEST = 12;
const LONGEST = 200;

/** Why a person may not choose it, in Portuguese; null: they may. */
export function passwordFault(password: string, email: string): string | null {
  if (!password.isWellFormed() || password.includes('\u0000')) return 'A senha tem um caractere que não dá para guardar.';
  if (Array.from(password).length < SHORTEST) return `A senha precisa de pelo menos ${SHORTEST} caracteres. Uma frase curta serve.`;
  if (password.length > LONGEST) return `A senha pode ter no máximo ${LONGEST} caracteres.`;
  if (new Set(password).size < 5) return 'A senha repete poucos caracteres. Escolha outra.';
  if (password.toLowerCase().includes(email.split('@')[0] ?? email) && password.length < SHORTEST + email.length)
    return 'A senha não pode ser o seu e-mail.';
  return null;
}
