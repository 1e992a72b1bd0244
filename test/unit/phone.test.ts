import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalPhone, maskPhone, parseJid } from '../../src/words/phone.ts';

const numbers: [raw: string, canonical: string | null, why: string][] = [
  ['11 99999-9999', '5511999999999', 'mobile without country code'],
  ['5511999999999', '5511999999999', 'complete'],
  ['551199999999', '5511999999999', 'complete, without the ninth digit'],
  ['1199999999', '5511999999999', 'without country code and ninth digit'],
  ['+55 (11) 99999-9999', '5511999999999', 'as people write it'],
  ['\u202a+55 11 99999\u20119999\u202c', '5511999999999', 'copied from a chat, with direction marks and a no-break hyphen'],
  ['005511999999999', '5511999999999', 'international prefix'],
  ['011 99999-9999', '5511999999999', 'trunk zero before the area code'],
  ['0 11 9999-9999', '5511999999999', 'trunk zero, old plan'],
  ['05511999999999', '5511999999999', 'zero before a complete number'],
  ['553188887777', '5531988887777', 'as WhatsApp answers for Minas Gerais'],
  ['551166665555', '5511966665555', 'mobile that starts with 6'],
  ['1133334444', '551133334444', 'landline'],
  ['551133334444', '551133334444', 'landline, complete'],
  ['55999998888', '5555999998888', 'area code 55'],
  ['+4521234567', '4521234567', 'Denmark: the + says that the country code is there'],
  ['+16505361212', '16505361212', 'United States'],
  ['16505361212', '16505361212', '11 digits, but no Brazilian mobile'],
  ['351912345678', '351912345678', 'Portugal, 12 digits'],
  ['+541123456789', '541123456789', 'Argentina'],
  ['99999-9999', '999999999', 'without area code: nothing to add'],
  ['07700900123', null, 'a zero that is no Brazilian trunk'],
  ['1234567', null, '7 digits'],
  ['1234567890123456', null, '16 digits'],
  ['abc', null, 'no number'],
  ['5511999999999@s.whatsapp.net', null, 'a jid is read by parseJid'],
  ['', null, 'empty'],
  ['+', null, 'only a plus'],
];

for (const [raw, canonical, why] of numbers) {
  test(`I12 phone: ${JSON.stringify(raw)} -> ${canonical} (${why})`, () => {
    assert.equal(canonicalPhone(raw), canonical);
  });
}

test('I12 phone: a canonical number with a plus stays as it is, and all ways to write a mobile are one', () => {
  const ddd = fc.integer({ min: 1, max: 9 }).chain((first) => fc.integer({ min: 1, max: 9 }).map((second) => `${first}${second}`));
  const local = fc.integer({ min: 60_000_000, max: 99_999_999 }).map(String);
  fc.assert(
    fc.property(ddd, local, (area, eight) => {
      const canonical = `55${area}9${eight}`;
      const written = [
        `+55${area}${eight}`,
        `55${area}${eight}`,
        `${area}9${eight}`,
        `0${area}9${eight}`,
        `0055${area}9${eight}`,
        `+${canonical}`,
        canonical,
      ];
      for (const raw of written) assert.equal(canonicalPhone(raw), canonical, raw);
    }),
    { numRuns: 300, seed: 12 },
  );
  fc.assert(
    fc.property(fc.string(), (raw) => {
      const canonical = canonicalPhone(raw);
      if (canonical === null) return;
      assert.match(canonical, /^[1-9]\d{7,14}$/);
      assert.equal(canonicalPhone(`+${canonical}`), canonical);
    }),
    { numRuns: 300, seed: 12 },
  );
});

test('I12 phone: a mask shows four digits at most', () => {
  assert.equal(maskPhone('5511999991234'), '***1234');
  assert.equal(maskPhone('+55 (11) 99999-1234'), '***1234');
  assert.equal(maskPhone('5511999991234:12@s.whatsapp.net'), '***1234');
  assert.equal(maskPhone('123456789012345@lid'), '***2345');
  assert.equal(maskPhone('1234567'), '***');
  assert.equal(maskPhone('Maria'), '***');
});

const jids: [jid: string, expected: ReturnType<typeof parseJid>][] = [
  ['5511988887777@s.whatsapp.net', { kind: 'pn', user: '5511988887777' }],
  ['5511900000002:12@s.whatsapp.net', { kind: 'pn', user: '5511900000002', device: 12 }],
  ['5511900000002_1:3@s.whatsapp.net', { kind: 'pn', user: '5511900000002', device: 3 }],
  ['5511988887777@c.us', { kind: 'pn', user: '5511988887777' }],
  ['5511988887777', { kind: 'pn', user: '5511988887777' }],
  ['123456789012345@lid', { kind: 'lid', user: '123456789012345' }],
  ['123456789012345:7@lid', { kind: 'lid', user: '123456789012345', device: 7 }],
  ['120363043111111111@g.us', { kind: 'group', user: '120363043111111111' }],
  ['5511988887777-1600000000@g.us', { kind: 'group', user: '5511988887777-1600000000' }],
  ['120363043111111111', { kind: 'group', user: '120363043111111111' }],
  ['status@broadcast', { kind: 'status', user: 'status' }],
  ['1234567890@broadcast', { kind: 'broadcast', user: '1234567890' }],
  ['120363111111111111@newsletter', { kind: 'newsletter', user: '120363111111111111' }],
  ['@s.whatsapp.net', { kind: 'unknown', user: '' }],
  ['maria@s.whatsapp.net', { kind: 'unknown', user: 'maria' }],
  ['1@2@lid', { kind: 'unknown', user: '1' }],
  ['', { kind: 'unknown', user: '' }],
];

for (const [jid, expected] of jids) {
  test(`I8 jid: ${JSON.stringify(jid)} -> ${expected.kind}`, () => {
    assert.deepEqual(parseJid(jid), expected);
  });
}
