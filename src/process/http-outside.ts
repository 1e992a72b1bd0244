/**
 * HTTP to addresses that a tenant chose: never to a private one. What a name resolves to is looked at in the lookup of the connection itself, so a name that
 * answers otherwise a moment later (rebinding) leads nowhere else, and no redirect is followed (http-out.ts). One private address among the answers is enough to
 * refuse. HTTP_ALLOW_PRIVATE names what may be reached all the same, for a service beside this one.
 */
import { lookup as dnsLookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { httpCall, openHttp } from './http-out.ts';
import type { HttpCall } from './http-out.ts';

/** The code of a call that was not made because of where it led. */
export const PRIVATE_ADDRESS = 'PRIVATE_ADDRESS';

export type Outside = {
  /** As httpCall; what leads to a private address is refused before it leaves, with the code `PRIVATE_ADDRESS`. */
  call: HttpCall;
  /** Why an address would be refused now, for who saves it; null: it would not. Contract: never rejects. */
  fault(url: string): Promise<string | null>;
};

/** `allowed`: HOST:PORT that may be private, as in HTTP_ALLOW_PRIVATE. */
export function openOutside(allowed: readonly string[]): Outside {
  let guarded: HttpCall | undefined;
  const isAllowed = (url: URL): boolean => allowed.includes(`${url.hostname.toLowerCase()}:${portOf(url)}`);
  return {
    async call(request) {
      const url = URL.parse(request.url);
      if (url !== null && isAllowed(url)) return httpCall(request);
      if (url === null || url.protocol !== 'https:' || isPrivateHost(url.hostname))
        return { networkError: 'refused', requestWritten: false, code: PRIVATE_ADDRESS };
      guarded ??= openHttp({ lookup: publicLookup });
      return guarded(request);
    },
    async fault(address) {
      const url = URL.parse(address);
      if (url === null) return 'it is no address';
      if (isAllowed(url)) return null;
      if (url.protocol !== 'https:') return 'it must be https';
      if (isPrivateHost(url.hostname)) return 'it is a private address';
      if (isIP(bare(url.hostname)) !== 0) return null;
      const { promise, resolve } = Promise.withResolvers<string | null>();
      publicLookup(url.hostname, { all: true }, (error) =>
        // a name that nobody knows yet is looked at when it is called
        resolve(error !== null && error.code === PRIVATE_ADDRESS ? 'it resolves to a private address' : null),
      );
      return promise;
    },
  };
}

function portOf({ port, protocol }: URL): string {
  return port !== '' ? port : protocol === 'https:' ? '443' : '80';
}

/** IPv4 in any writing was made plain by URL; a name is judged by what it resolves to. */
function isPrivateHost(hostname: string): boolean {
  const host = bare(hostname);
  return isIP(host) !== 0 && isPrivateAddress(host);
}

function bare(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

const publicLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, []);
    const [first] = addresses;
    if (first === undefined || addresses.some(({ address }) => isPrivateAddress(address)))
      return callback(Object.assign(new Error('a private address'), { code: PRIVATE_ADDRESS }), []);
    return options.all === true ? callback(null, addresses) : callback(null, first.address, first.family);
  });
};

/** Whether an address belongs to a machine or a network of ours, or is for no single machine. Exported for the tests. */
export function isPrivateAddress(address: string): boolean {
  return isIP(address) === 0 || NOT_PUBLIC.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** IANA's special-purpose registries, and what embeds an IPv4 address; a mapped one (::ffff:0:0/96) is judged by the rules of IPv4. */
const NOT_PUBLIC = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  NOT_PUBLIC.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 96], // unspecified, loopback, IPv4-compatible
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 9], // link-local, and site-local of before
  ['ff00::', 8],
] as const)
  NOT_PUBLIC.addSubnet(network, bits, 'ipv6');
