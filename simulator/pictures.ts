// Pictures and documents that say what they show, so that the look-alike of Claude can tell: `picture` and `pdf` write it into a file that is a real one otherwise.

import { crc32, deflateSync } from 'node:zlib';
import { blocksOf, type ApiMessage, type Block } from './claude-check.ts';
import { textField, type Json } from './types.ts';

const MARK = '\u0000mostra:';
const END = '\u0000';
/** A file of a real camera, or a real document. */
const REAL = { image: 'uma foto', document: 'um documento' };

/** A PNG that shows this. Pixels. */
export function picture(shows: string, { width = 64, height = 64 } = {}): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0], 8); // one bit for a pixel, grey
  const rows = Buffer.alloc((1 + Math.ceil(width / 8)) * height);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
    Buffer.from(`${MARK}${shows}${END}`),
  ]);
}

/** A PDF of so many pages that says this; `locked`: nobody opens it without a password. */
export function pdf(says: string, { pages = 1, locked = false } = {}): Buffer {
  const kids = Array.from({ length: pages }, (_, index) => `${index + 3} 0 R`).join(' ');
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Kids [${kids}] /Count ${pages} >>`,
    ...Array.from({ length: pages }, () => '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>'),
  ];
  const head = `%PDF-1.4\n%${Buffer.from(`${MARK}${says}${END}`).toString('hex')}\n`;
  const { body, places } = objects.reduce(
    ({ body: before, places: known }, object, index) => ({
      body: `${before}${index + 1} 0 obj\n${object}\nendobj\n`,
      places: [...known, before.length],
    }),
    { body: head, places: [] as number[] },
  );
  const lock = ` /Encrypt << /Filter /Standard /V 1 /R 2 /O (${'o'.repeat(32)}) /U (${'u'.repeat(32)}) /P -1 >> /ID [<${'0'.repeat(32)}> <${'0'.repeat(32)}>]`;
  const entries = places.map((place) => `${String(place).padStart(10, '0')} 00000 n \n`).join('');
  const size = objects.length + 1;
  return Buffer.from(
    `${body}xref\n0 ${size}\n0000000000 65535 f \n${entries}trailer\n<< /Size ${size} /Root 1 0 R${locked ? lock : ''} >>\nstartxref\n${body.length}\n%%EOF\n`,
    'latin1',
  );
}

/** What the file of a block shows. */
export function shownIn(block: Block): string {
  const bytes = Buffer.from(textField((block['source'] as Json | undefined)?.['data']), 'base64');
  return (
    marked(bytes) ??
    marked(Buffer.from(/^%PDF-[\d.]+\n%([0-9a-f]+)\n/.exec(bytes.toString('latin1'))?.[1] ?? '', 'hex')) ??
    REAL[kindOf(block)]
  );
}

/** The request is for the description of one file: nothing but the file and a line stands in it. */
export function asksForDescription(body: Json): Block | null {
  const messages = body['messages'] as ApiMessage[];
  const [file, ...words] = messages.flatMap(blocksOf);
  const isOne = messages.length === 1 && file !== undefined && (file.type === 'image' || file.type === 'document');
  return isOne && body['tools'] === undefined && words.length === 1 ? file : null;
}

function kindOf(block: Block): keyof typeof REAL {
  return block.type === 'document' ? 'document' : 'image';
}

function marked(bytes: Buffer): string | null {
  const at = bytes.indexOf(MARK);
  if (at < 0) return null;
  const from = at + Buffer.byteLength(MARK);
  return bytes.subarray(from, bytes.indexOf(END, from)).toString();
}

function chunk(name: string, content: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name), content]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}
