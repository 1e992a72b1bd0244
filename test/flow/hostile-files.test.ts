/** Files that ask their parser for more than there is: what opens them ends, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, crc32, deflateRawSync } from 'node:zlib';
import { pagesOf, pdfText, wordHtml } from '../../src/files/documents.ts';

/** A few hundred bytes that claim so many objects. */
function claiming(objects: number): Buffer {
  const head = `%PDF-1.5\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n`;
  const at = head.length;
  const xref = `4 0 obj\n<</Type/XRef/W[0 0 0]/Index[0 ${objects}]/Size ${objects}/Root 1 0 R/Length 0>>\nstream\n\nendstream\nendobj\nstartxref\n${at}\n%%EOF`;
  return Buffer.from(head + xref, 'latin1');
}

/** A .docx whose text is `xml`. */
function docx(xml: string): Buffer {
  const files: [string, string][] = [
    [
      '[Content_Types].xml',
      '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    ],
    [
      '_rels/.rels',
      '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
    ],
    [
      'word/document.xml',
      `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>${xml}</w:body></w:document>`,
    ],
  ];
  const bodies: Buffer[] = [];
  const entries: Buffer[] = [];
  let at = 0;
  for (const [name, text] of files) {
    const raw = Buffer.from(text);
    const packed = deflateRawSync(raw);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(8, 4);
    shared.writeUInt32LE(crc32(raw), 10);
    shared.writeUInt32LE(packed.length, 14);
    shared.writeUInt32LE(raw.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const body = Buffer.concat([Buffer.from('PK\u0003\u0004', 'latin1'), shared, Buffer.from(name), packed]);
    const entry = Buffer.alloc(14);
    entry.writeUInt32LE(at, 10);
    entries.push(Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\u0000', 'latin1'), shared, entry, Buffer.from(name)]));
    bodies.push(body);
    at += body.length;
  }
  const list = Buffer.concat(entries);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(files.length, 4);
  end.writeUInt16LE(files.length, 6);
  end.writeUInt32LE(list.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...bodies, list, Buffer.from('PK\u0005\u0006', 'latin1'), end]);
}

test('I10 Z9 a PDF of 300 bytes that claims a billion objects is broken, and this process goes on meanwhile', async () => {
  const bomb = claiming(1_000_000_000);
  assert.ok(bomb.length < 500);
  let ticks = 0;
  const clock = setInterval(() => ticks++, 20);
  const opened = await pagesOf(bomb);
  clearInterval(clock);
  assert.equal(opened.kind, 'broken');
  assert.ok(ticks > 3, `the event loop went on: ${ticks}`);
  assert.equal((await pdfText(bomb, 10)).kind, 'broken');
});

test('L7 Z9 a .docx that unpacks to more than there is memory for is broken; an honest one is read', async () => {
  const honest = await wordHtml(docx('<w:p><w:r><w:t>A camiseta custa R$ 59,90.</w:t></w:r></w:p>'));
  assert.deepEqual(honest, { kind: 'html', html: '<p>A camiseta custa R$ 59,90.</p>' });
  const bomb = docx('<w:p/>'.repeat(3_000_000));
  assert.ok(bomb.length < 100_000, String(bomb.length));
  assert.equal((await wordHtml(bomb)).kind, 'broken');
});

/** A PDF of one page whose objects lie in a stream that unpacks to so many MB. */
function unpackingTo(megabytes: number): Buffer {
  const kids = '2 0 <</Type/Pages/Kids[3 0 R]/Count 1>>';
  const zeros = deflateRawSync(Buffer.alloc(1_048_576), { finishFlush: constants.Z_FULL_FLUSH });
  const packed = Buffer.concat([
    Buffer.from([0x78, 0x9c]),
    deflateRawSync(Buffer.from(kids), { finishFlush: constants.Z_FULL_FLUSH }),
    ...Array.from({ length: megabytes }, () => zeros),
    Buffer.from([0x03, 0x00]), // the last block; who reads a PDF looks at no checksum
  ]);
  const objects = [
    Buffer.from('1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n'),
    Buffer.from('3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>\nendobj\n'),
    Buffer.concat([
      Buffer.from(`5 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length ${packed.length}>>\nstream\n`),
      packed,
      Buffer.from('\nendstream\nendobj\n'),
    ]),
  ];
  const head = Buffer.from('%PDF-1.5\n');
  const [first, third, fifth] = objects.map((_, at) => objects.slice(0, at).reduce((sum, each) => sum + each.length, head.length)) as [
    number,
    number,
    number,
  ];
  const sixth = fifth + (objects[2] as Buffer).length;
  const entries = [
    [0, 0],
    [1, first],
    [2, 5],
    [1, third],
    [0, 0],
    [1, fifth],
    [1, sixth],
  ].map(([kind = 0, at = 0]) => {
    const entry = Buffer.alloc(6);
    entry.writeUInt8(kind, 0);
    entry.writeUInt32BE(at, 1);
    return entry;
  });
  const xref = Buffer.concat(entries);
  const table = Buffer.from(`6 0 obj\n<</Type/XRef/Size 7/W[1 4 1]/Root 1 0 R/Length ${xref.length}>>\nstream\n`);
  return Buffer.concat([head, ...objects, table, xref, Buffer.from(`\nendstream\nendobj\nstartxref\n${sixth}\n%%EOF\n`)]);
}

test('I10 Z9 a PDF whose objects unpack to more memory than a file may take is broken, whatever kind of memory that is', async () => {
  assert.deepEqual(await pagesOf(unpackingTo(1)), { kind: 'pages', count: 1, text: null });
  const bomb = unpackingTo(400);
  assert.ok(bomb.length < 1_000_000, String(bomb.length));
  assert.equal((await pagesOf(bomb)).kind, 'broken');
});
