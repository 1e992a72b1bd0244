/**
 * The words in any part of a message, whatever its kind: what a person reads on the phone, the model reads, also where nobody has written a reader of the kind.
 * Pure, total and bounded: a hostile body costs no more than MAX_PARTS steps.
 *
 * A part of a message holds words among machinery. A name that WhatsApp gives to words (`title`, `text`, `caption`) is believed; any other string is told
 * unless it looks like machinery: an identifier, a key, a hash, base64, an address of WhatsApp, the address of an encrypted file.
 */
import { cut } from '../words/cut.ts';
import { isBlank, storable } from '../words/json.ts';
import { inline, moneyOf, parsed } from './message-parts.ts';

/** Objects, lists and strings that are looked at; a carousel of ten cards with buttons has some 300. */
const MAX_PARTS = 2_000;
const MAX_DEPTH = 16;
const MAX_WORDS = 40;
const MAX_WORD_CHARS = 500;
const MAX_CHARS = 3_000;
/** Of all JSON in strings that is opened. */
const MAX_JSON_CHARS = 200_000;

/** What a person reads in it, in the order in which it stands there, each once; nothing that `told` says already. */
export function readableWords(part: unknown, told = ''): string[] {
  const walk: Walk = { parts: 0, chars: 0, json: 0, words: [], seen: new Set(), told: fold(told) };
  visit(walk, part, '', null, 0);
  return walk.words;
}

type Walk = { parts: number; chars: number; json: number; words: string[]; seen: Set<string>; told: string };

function visit(walk: Walk, value: unknown, key: string, parent: object | null, depth: number): void {
  walk.parts += 1;
  if (walk.parts > MAX_PARTS || depth > MAX_DEPTH || walk.words.length >= MAX_WORDS || walk.chars >= MAX_CHARS) return;
  if (typeof value === 'string') return visitText(walk, value, key, parent, depth);
  if (typeof value !== 'object' || value === null || isBytes(value)) return;
  if (Array.isArray(value)) {
    for (const item of value) {
      if (walk.parts > MAX_PARTS) return;
      visit(walk, item, key, parent, depth + 1);
    }
    return;
  }
  const amount = moneyOf(value, null);
  if (amount !== null) return tell(walk, amount);
  for (const name in value) {
    // What is skipped counts too: a body of a million names is no longer to walk than any other.
    walk.parts += 1;
    if (walk.parts > MAX_PARTS) return;
    if (!Object.hasOwn(value, name)) continue;
    const child: unknown = Reflect.get(value, name);
    if (!isMachinery(name, child, value)) visit(walk, child, name, value, depth + 1);
  }
}

function visitText(walk: Walk, value: string, key: string, parent: object | null, depth: number): void {
  if (isBlank(value)) return;
  if (/^\s*[{[]/.test(value)) {
    walk.json += value.length;
    const json = walk.json > MAX_JSON_CHARS ? null : parsed(value);
    if (typeof json === 'object' && json !== null) return visit(walk, json, key, parent, depth + 1);
    if (/^\s*(?:\{\s*"|\[\s*[{"])/.test(value)) return;
  }
  const text = cut(value, 4 * MAX_WORD_CHARS).trim();
  if (readsAsWords(text, key, parent)) tell(walk, text);
}

function tell(walk: Walk, text: string): void {
  const word = inline(storable(text), MAX_WORD_CHARS);
  const folded = fold(word);
  if (folded === '' || walk.seen.has(folded) || walk.told.includes(folded)) return;
  walk.seen.add(folded);
  walk.words.push(word);
  walk.chars += word.length;
}

/** As `inline` leaves a text, and without round brackets, which others became elsewhere: so what was cut or flattened is recognised. */
function fold(text: string): string {
  return text
    .replaceAll(/[[\]()]/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .toLowerCase();
}

/** Fields that hold machinery whatever stands in them, with all that is below them. */
const MACHINERY =
  /(?:Id|ID|Ids|_id|_ids|Jid|Jids|JID|Key|Keys|Hash|hash|Sha256|Path|Thumbnail|thumbnail|Sidecar|Secret|secret|Token|token|Type|_type|Types|Version|_version|Signature|Payload|[a-z]Data|Iv|Lc|Lg|Mimetype|MimeType|CodeIso4217|CurrencyCode|currency_code|Surface|Background|Timestamp|TimestampMs|Metadata|Map|Url(?:Hash|Tracking))$|^(?:id|ids|jid|lid|participants?|mentionedJid|vcard|waveform|buffer|base64|mimetype|mime_type|mediaUrl|directPath|static_?url|thumbnail_?url|consentedUsersUrl|url_?tracking\w*|namespace|elementName|phash|type|status|state|version|currency|surface|source|from|origin|format|apikey|inviteCode|flow_action|flow_action_payload|screen|messageContextInfo|contextInfo|quoted|quotedMessage|quoted_message|sha256|imageDataHash|trayIconFileName|conversionSource|ctwaSignals|ctwaPayload)$/;

/** What ends like machinery and is shown. */
const WORDY = /^(?:copy_code|pix_?key)$/i;

function isMachinery(name: string, child: unknown, parent: object): boolean {
  if (WORDY.test(name)) return false;
  // A `key` names a message when it is an object, and a Pix key when it is a text.
  if (name === 'key') return typeof child !== 'string';
  // What a button does, beside its parameters; anywhere else a name is somebody's.
  if (name === 'name') return Object.hasOwn(parent, 'buttonParamsJson') || Object.hasOwn(parent, 'paramsJson');
  return MACHINERY.test(name);
}

/** Fields whose text is words, whatever it looks like. */
const WORDS =
  /(?:text|title|name|caption|description|body|footer|header|label|note|comment|question|answer|message|subject|address|remark|conversation|display_text|copy_code)$/i;

function readsAsWords(text: string, key: string, parent: object | null): boolean {
  if (isAddressOfWhatsApp(text)) return false;
  if (/^(?:https?:\/\/|www\.)/i.test(text)) return !isFileOfWhatsApp(text, key, parent);
  if (/^data:/i.test(text) || isOpaque(text)) return false;
  if (WORDS.test(key) || /\s/.test(text)) return true;
  // One token in a field of which nothing is known.
  if (/^\d+$/.test(text)) return text.length < 16 && /phone|fone|numero|number|code|codigo|price|preco|valor|amount/i.test(key);
  if (/^[a-z]+\/[\w.+-]+$/i.test(text)) return false;
  return !/^(?:\/|[A-Z0-9]+(?:_[A-Z0-9]+)+$|[a-z0-9]+(?:_[a-z0-9]+)+$|[a-z]+[A-Z]\w*$|true$|false$|null$)/.test(text);
}

function isAddressOfWhatsApp(text: string): boolean {
  return /^[\w:.-]{1,40}@(?:s\.whatsapp\.net|c\.us|g\.us|lid|hosted(?:\.lid)?|broadcast|newsletter|bot)$/.test(text);
}

/** An address that a browser cannot show: an encrypted file, a thumbnail, or one that stands beside the key of a file. */
function isFileOfWhatsApp(url: string, key: string, parent: object | null): boolean {
  if (/^https?:\/\/[^/?#]*(?:whatsapp\.net|fbcdn\.net|cdninstagram\.com)(?:[:/?#]|$)/i.test(url) || /\.enc(?:[?#]|$)/i.test(url))
    return true;
  const beside = parent !== null && FILE_KEYS.some((name) => Object.hasOwn(parent, name));
  return beside && /url$/i.test(key);
}

const FILE_KEYS = ['mediaKey', 'directPath', 'fileSha256', 'fileEncSha256'];

/** Base64, hexadecimal, a uuid, a number of an object, the code of a Pix that a bank's app reads: what nobody says. */
function isOpaque(text: string): boolean {
  if (/^000201\d\d/.test(text)) return true;
  // Base64 is broken into lines too.
  if (/\s/.test(text)) return text.split(/\s+/).every((token) => token.length >= 40);
  if (/^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i.test(text)) return true;
  if (text.length >= 16 && /^[\da-f]+$/i.test(text) && /\d/.test(text)) return true;
  if (!/^[\w+/=-]+$/.test(text)) return false;
  if (text.length >= 20 && /={1,2}$/.test(text)) return true;
  return text.length >= 24 && (text.length > 60 || (/\d/.test(text) && /[a-z]/.test(text) && /[A-Z]/.test(text)));
}

/** Bytes as Evolution writes them, `{"0": 255, "1": 216}`, a long list of numbers, or protobuf's 64-bit number. */
function isBytes(value: object): boolean {
  if (Array.isArray(value)) return value.length > 0 && typeof value[0] === 'number';
  return Object.hasOwn(value, '0') || (Object.hasOwn(value, 'low') && Object.hasOwn(value, 'high'));
}
