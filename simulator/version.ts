// What differs between the releases of Evolution that the look-alike can be. Each rule's source is in docs/evolution.md, chapter 5.

export const EVOLUTION_VERSIONS = ['2.3.6', '2.3.7', '2.4'] as const;
export type EvolutionVersion = (typeof EVOLUTION_VERSIONS)[number];

/** What docker-compose.prod.yml runs. */
export const DEFAULT_VERSION: EvolutionVersion = '2.3.7';

export type VersionRules = {
  /** What `GET /` says; a release candidate of 2.4 says so too. */
  says: string;
  /** Baileys names the other address of each chat, and an empty participant. */
  keysNameBoth: boolean;
  /** `phone`: a webhook's remoteJid is the phone where it is known; `swapped`: and the lid goes where the phone was. */
  lidChats: 'untouched' | 'phone' | 'swapped';
  /** `contextInfo` is lifted from `messageContextInfo`: what a text quotes is lost. */
  losesQuotes: boolean;
  /** Everything of a number goes through its lane, not only messages.upsert. */
  laneHoldsAll: boolean;
  /** An edit comes as messages.update too. */
  editsAsUpdates: boolean;
  /** Votes in polls come. */
  pollVotes: boolean;
  /** An id that came within five minutes is dropped. */
  dropsRepeats: boolean;
  /** messages.delete tells a status beside the key. */
  deleteTellsStatus: boolean;
  /** findMessages: `remoteJidAlt` widens what `remoteJid` asks for instead of narrowing it. */
  findsEither: boolean;
  /** Sends take `messageId` as the id at WhatsApp. */
  takesMessageId: boolean;
  /** Read marks work for lid chats. */
  readsLids: boolean;
  /** A log-out of a number that is closed is a success. */
  logoutIsIdempotent: boolean;
  /** After a log-out the number connects, and hears nothing until Evolution itself is started again. */
  deafAfterLogout: boolean;
  /** Close codes after which the pairing is gone. */
  finalReasons: readonly number[];
  /** Webhooks carry X-Instance-ID and the like. */
  namesItself: boolean;
  /** Without an activated licence nearly every route answers 503. */
  wantsLicence: boolean;
};

const FINAL = [401, 402, 403, 406];

const V236: VersionRules = {
  says: '2.3.6',
  keysNameBoth: false,
  lidChats: 'untouched',
  losesQuotes: false,
  laneHoldsAll: false,
  editsAsUpdates: false,
  pollVotes: false,
  dropsRepeats: true,
  deleteTellsStatus: false,
  findsEither: false,
  takesMessageId: false,
  readsLids: false,
  logoutIsIdempotent: false,
  deafAfterLogout: true,
  finalReasons: FINAL,
  namesItself: false,
  wantsLicence: false,
};

const V237: VersionRules = {
  ...V236,
  says: '2.3.7',
  keysNameBoth: true,
  lidChats: 'phone',
  laneHoldsAll: true,
  editsAsUpdates: true,
  pollVotes: true,
  dropsRepeats: false,
  deleteTellsStatus: true,
  findsEither: true,
  deafAfterLogout: false,
};

const V24: VersionRules = {
  ...V237,
  says: '2.4.0',
  lidChats: 'swapped',
  losesQuotes: true,
  takesMessageId: true,
  readsLids: true,
  logoutIsIdempotent: true,
  finalReasons: [...FINAL, 408],
  namesItself: true,
  wantsLicence: true,
};

const RULES: Record<EvolutionVersion, VersionRules> = { '2.3.6': V236, '2.3.7': V237, '2.4': V24 };

export function rulesOf(version: EvolutionVersion): VersionRules {
  return RULES[version];
}

/** As an environment variable or a flag names it. Throws on any other word. */
export function versionOf(text: string | undefined): EvolutionVersion | undefined {
  if (text === undefined || text === '') return undefined;
  const found = EVOLUTION_VERSIONS.find((version) => version === text);
  if (found === undefined) throw new Error(`the Evolution version is one of ${EVOLUTION_VERSIONS.join(', ')}, not ${text}`);
  return found;
}
