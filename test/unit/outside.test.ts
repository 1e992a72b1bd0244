/** Which addresses a call to where a tenant says may lead to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPrivateAddress, openOutside, PRIVATE_ADDRESS } from '../../src/process/http-outside.ts';

const PRIVATE = [
  '127.0.0.1',
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '::',
  'fe80::1',
  'fec0::1',
  'fc00::1',
  'fd12::1',
  'ff02::1',
  '::ffff:10.0.0.1',
  '::ffff:127.0.0.1',
  '::10.0.0.1',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
  '2001:db8::1',
  'nobody',
  '',
];
const PUBLIC = [
  '93.184.215.14',
  '8.8.8.8',
  '172.32.0.1',
  '100.128.0.1',
  '2606:2800:21f:cb07:6820:80da:af6b:8b2c',
  '2a00:1450:4001:82a::200e',
];

test('X12: an address of ours or of nobody is private, in IPv4, in IPv6 and in what embeds one in the other', () => {
  for (const address of PRIVATE) assert.equal(isPrivateAddress(address), true, address);
  for (const address of PUBLIC) assert.equal(isPrivateAddress(address), false, address);
});

/** However it is written. */
const HIDDEN = [
  'https://127.0.0.1/',
  'https://2130706433/',
  'https://0x7f.1/',
  'https://0177.0.0.1/',
  'https://[::1]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[::ffff:7f00:1]/',
  'https://localhost/',
  'http://93.184.215.14/',
  'ftp://93.184.215.14/',
  'https://169.254.169.254/latest/meta-data',
];

test('X12: no writing of a private address is called or saved, and http is not either', async () => {
  const outside = openOutside(['127.0.0.1:81']);
  for (const url of HIDDEN) {
    assert.notEqual(await outside.fault(url), null, url);
    const answer = await outside.call({ method: 'GET', url, headers: {}, timeoutMs: 5_000 });
    assert.deepEqual(answer, { networkError: 'refused', requestWritten: false, code: PRIVATE_ADDRESS }, url);
  }
  assert.equal(await outside.fault('https://93.184.215.14'), null);
  assert.equal(await outside.fault('http://127.0.0.1:81'), null, 'what the installation allows');
  assert.notEqual(await outside.fault('http://127.0.0.1:82'), null);
});
