/**
 * Encryption of backup files as a stream: AES-256-GCM in chunks, so that a file of any size is written and read with little memory, and every byte is
 * authenticated before it is used. A file that is cut, reordered, changed or of another key is an error, never half a backup.
 *
 *   magic | salt (16) | chunk ...      chunk: length of the ciphertext (4) | ciphertext | tag (16)
 *
 * The key is made of the passphrase and the file's own salt, so the counter in the nonce can begin at 0 in each file. The last chunk says so in its nonce:
 * without it the end is missing.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';

const MAGIC = Buffer.from('WHATS-AGENTS-SEALED-1\n');
const SALT_BYTES = 16;
const TAG_BYTES = 16;
const LENGTH_BYTES = 4;
const CHUNK_BYTES = 1024 * 1024;
/** 32 MB and some 100 ms: once for each file, and dear for whoever guesses. */
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };

function keyOf(passphrase: string, salt: Buffer): Buffer {
  return scryptSync(passphrase, salt, 32, SCRYPT);
}

function nonceOf(index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt8(last ? 1 : 0, 0);
  nonce.writeBigUInt64BE(BigInt(index), 4);
  return nonce;
}

/** Plain bytes in, sealed bytes out. */
export function sealing(passphrase: string): Transform {
  const salt = randomBytes(SALT_BYTES);
  const key = keyOf(passphrase, salt);
  let kept = Buffer.alloc(0);
  let index = 0;
  let begun = false;
  const sealed = (plain: Buffer, last: boolean): Buffer => {
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(index++, last));
    const body = Buffer.concat([cipher.update(plain), cipher.final()]);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(body.length);
    const head = begun ? [] : [MAGIC, salt];
    begun = true;
    return Buffer.concat([...head, length, body, cipher.getAuthTag()]);
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      kept = Buffer.concat([kept, chunk]);
      // One chunk is always kept back: the last one is sealed as the last.
      while (kept.length > CHUNK_BYTES) {
        this.push(sealed(kept.subarray(0, CHUNK_BYTES), false));
        kept = kept.subarray(CHUNK_BYTES);
      }
      done();
    },
    flush(done) {
      this.push(sealed(kept, true));
      done();
    },
  });
}

/** Sealed bytes in, plain bytes out; fails with words for a person. */
export function unsealing(passphrase: string): Transform {
  let kept = Buffer.alloc(0);
  let key: Buffer | null = null;
  let index = 0;
  let ended = false;
  function open(body: Buffer, tag: Buffer): Buffer {
    if (ended) throw new Error('the backup goes on after its end: it was changed');
    for (const last of [false, true]) {
      try {
        const decipher = createDecipheriv('aes-256-gcm', key ?? Buffer.alloc(0), nonceOf(index, last));
        decipher.setAuthTag(tag);
        const plain = Buffer.concat([decipher.update(body), decipher.final()]);
        ended = last;
        index++;
        return plain;
      } catch {
        // the other kind of chunk, or none of ours
      }
    }
    throw new Error('the backup cannot be opened: BACKUP_ENCRYPTION_KEY is another one, or the file was changed');
  }
  function read(stream: Transform): void {
    if (key === null) {
      if (kept.length < MAGIC.length + SALT_BYTES) return;
      if (!kept.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('the file is no encrypted backup of whats-agents');
      key = keyOf(passphrase, kept.subarray(MAGIC.length, MAGIC.length + SALT_BYTES));
      kept = kept.subarray(MAGIC.length + SALT_BYTES);
    }
    while (kept.length >= LENGTH_BYTES) {
      const length = kept.readUInt32BE(0);
      if (length > CHUNK_BYTES) throw new Error('the backup cannot be opened: the file was changed');
      const end = LENGTH_BYTES + length + TAG_BYTES;
      if (kept.length < end) return;
      stream.push(open(kept.subarray(LENGTH_BYTES, LENGTH_BYTES + length), kept.subarray(LENGTH_BYTES + length, end)));
      kept = kept.subarray(end);
    }
  }
  const guarded = (work: () => void, done: TransformCallback): void => {
    try {
      work();
      done();
    } catch (error) {
      done(error as Error);
    }
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      kept = Buffer.concat([kept, chunk]);
      guarded(() => read(this), done);
    },
    flush(done) {
      guarded(() => {
        if (!ended || kept.length > 0) throw new Error('the backup is not complete: its end is missing');
      }, done);
    },
  });
}
