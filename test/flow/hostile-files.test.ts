/** Files that ask their parser for more than there is: what opens them ends, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
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
