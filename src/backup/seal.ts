/**
 * Encryption of backup files as a stream, in the format of age (age-encryption.org/v1) with BACKUP_ENCRYPTION_KEY as its passphrase: `age -d FILE` opens them
 * where this program is not at hand. Every byte is authenticated with the passphrase before it is used: a file that is cut, reordered, changed or of another
 * key is an error, never half a backup. (Rejected: age's recipients. Who reads the public key could make a backup of his own.)
 */
import { Duplex } from 'node:stream';
import { Decrypter, Encrypter } from 'age-encryption';

/** What sealed files are called. */
export const SEALED_SUFFIX = '.age';

/** log2 of scrypt's N: 32 MB and a quarter of a second. age's own 18 is for passphrases of eight characters; ours has 32 or more. */
const WORK_FACTOR = 15;

const MAGIC = 'age-encryption.org/v1\n';
/** The first bytes of what was sealed before 0.1.0, in a format of our own. */
const OLD_MAGIC = 'WHATS-AGENTS-SEALED-1\n';

/** Plain bytes in, sealed bytes out. */
export function sealing(passphrase: string): Duplex {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(WORK_FACTOR);
  return Duplex.from(async function* (plain: AsyncIterable<Buffer>) {
    yield* await encrypter.encrypt(ReadableStream.from<Uint8Array>(plain));
  });
}

/** Sealed bytes in, plain bytes out; fails with words for a person. */
export function unsealing(passphrase: string): Duplex {
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  return Duplex.from(async function* (sealed: AsyncIterable<Buffer>) {
    const opened = await decrypter.decrypt(ReadableStream.from<Uint8Array>(withMagic(sealed))).catch((error: unknown) => {
      throw error instanceof NotSealed
        ? error
        : new Error('the backup cannot be opened: BACKUP_ENCRYPTION_KEY is another one, or the file was changed', { cause: error });
    });
    try {
      yield* opened;
    } catch (error) {
      throw new Error('the backup cannot be opened: the file was changed, or its end is missing', { cause: error });
    }
  });
}

class NotSealed extends Error {}

/** The same bytes, when they begin as a sealed file does. */
async function* withMagic(sealed: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
  let head = Buffer.alloc(0);
  let known = false;
  for await (const chunk of sealed) {
    if (known) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < MAGIC.length) continue;
    check(head);
    known = true;
    yield head;
  }
  if (!known) check(head);
}

function check(head: Buffer): void {
  const begins = head.subarray(0, MAGIC.length).toString('latin1');
  if (begins === MAGIC) return;
  if (begins === OLD_MAGIC)
    throw new NotSealed(
      'the backup was encrypted by a version before 0.1.0, in another format: open it with that version, then seal it with this one',
    );
  throw new NotSealed('the file is no encrypted backup');
}
