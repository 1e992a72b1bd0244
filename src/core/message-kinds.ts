/** The kinds of WhatsApp content, each told in text: the field names of Baileys and of the Meta Cloud API (contract 2.3, 3.1). Pure and total. */
import type { ContentType, MediaInfo, MessageContent } from './inbound.ts';
import { at, countAt, idAt, isBlank, listAt, numberAt, objectAt, storable, stringAt } from './json.ts';

/** In the order in which a key wins; one message has one of them. */
export const READERS: ReadonlyMap<string, (part: unknown) => MessageContent | null> = new Map([
  ['imageMessage', (part) => media('image', 'imagem', part)],
  ['videoMessage', (part) => media('video', at(part, 'gifPlayback') === true ? 'gif' : 'vídeo', part)],
  ['ptvMessage', (part) => media('video', 'recado em vídeo', part)],
  ['audioMessage', (part) => media('audio', isVoice(part) ? 'áudio de voz' : 'áudio', part)],
  ['documentMessage', (part) => media('document', 'documento', part)],
  ['stickerMessage', (part) => media('sticker', 'figurinha', part)],
  ['locationMessage', (part) => location('localização', part)],
  ['liveLocationMessage', (part) => location('localização em tempo real', part)],
  ['contactMessage', (part) => contacts([part])],
  ['contactsArrayMessage', (part) => contacts(listAt(part, 'contacts'))],
  ['pollCreationMessage', poll],
  ['pollCreationMessageV2', poll],
  ['pollCreationMessageV3', poll],
  ['pollCreationMessageV5', poll],
  ['pollUpdateMessage', () => note('poll', 'voto em enquete, não pode ser lido')],
  ['buttonsResponseMessage', (part) => choice('button', stringAt(part, 'selectedDisplayText') ?? stringAt(part, 'selectedButtonId'))],
  ['templateButtonReplyMessage', (part) => choice('button', stringAt(part, 'selectedDisplayText') ?? stringAt(part, 'selectedId'))],
  ['listResponseMessage', (part) => choice('list', stringAt(part, 'title') ?? stringAt(part, 'singleSelectReply', 'selectedRowId'))],
  ['interactiveResponseMessage', interactiveReply],
  [
    'buttonsMessage',
    (part) =>
      menu(
        'button',
        stringAt(part, 'contentText'),
        listAt(part, 'buttons').map((button) => stringAt(button, 'buttonText', 'displayText')),
      ),
  ],
  [
    'interactiveMessage',
    (part) =>
      menu(
        'button',
        stringAt(part, 'body', 'text'),
        listAt(part, 'nativeFlowMessage', 'buttons').map((button) => stringAt(parsed(at(button, 'buttonParamsJson')), 'display_text')),
      ),
  ],
  [
    'listMessage',
    (part) =>
      menu(
        'list',
        joined('\n', stringAt(part, 'title'), stringAt(part, 'description')),
        listAt(part, 'sections')
          .flatMap((section) => listAt(section, 'rows'))
          .map((row) => stringAt(row, 'title')),
      ),
  ],
  ['templateMessage', (part) => menu('button', stringAt(part, 'hydratedTemplate', 'hydratedContentText'), [])],
  ['orderMessage', order],
  ['productMessage', product],
  ['extendedTextMessage', (part) => plain(at(part, 'text'))],
  ['conversation', plain],
]);

/** A text; null when blank, so that a message never becomes an empty turn. */
function plain(value: unknown): MessageContent | null {
  if (typeof value !== 'string' || isBlank(value)) return null;
  const text = storable(value);
  return { type: 'text', text, typed: text, media: null };
}

function choice(type: 'button' | 'list', chosen: string | null): MessageContent {
  return chosen === null ? note(type, 'escolha sem texto') : { type, text: chosen, typed: chosen, media: null };
}

/** Buttons and lists that were sent: the text, and the options as a note. */
function menu(type: 'button' | 'list', text: string | null, options: readonly (string | null)[]): MessageContent {
  const names = options
    .filter((option) => option !== null)
    .slice(0, 20)
    .map(inline);
  const optionsNote = names.length > 0 ? `[opções: ${names.join('; ')}]` : null;
  const typed = text?.trim() ?? null;
  return { type, text: joined('\n', typed, optionsNote) ?? '[menu]', typed, media: null };
}

/** The answer to a native-flow button, or to a form, whose fields are told by name. */
function interactiveReply(part: unknown): MessageContent {
  const answers = parsed(at(part, 'nativeFlowResponseMessage', 'paramsJson'));
  const body = stringAt(part, 'body', 'text');
  const label = stringAt(answers, 'display_text') ?? stringAt(answers, 'title') ?? idAt(answers, 'id');
  if (label !== null) return choice('button', stringAt(answers, 'display_text') ?? body ?? label);
  const fields = Object.keys(objectAt(answers) ?? {})
    .filter((name) => name !== 'flow_token')
    .slice(0, 30)
    .flatMap((name) => {
      const value = stringAt(answers, name) ?? idAt(answers, name);
      return value === null ? [] : [`${inline(name)}: ${inline(value)}`];
    });
  if (fields.length > 0) return choice('button', joined('\n', body, `[formulário: ${fields.join('; ')}]`));
  return choice('button', body);
}

function media(type: ContentType, name: string, part: unknown): MessageContent {
  const info: MediaInfo = {
    mimetype: stringAt(part, 'mimetype') ?? stringAt(part, 'mime_type'),
    fileName: stringAt(part, 'fileName') ?? stringAt(part, 'filename') ?? (type === 'document' ? stringAt(part, 'title') : null),
    seconds: type === 'audio' || type === 'video' ? countAt(part, 'seconds') : null,
    bytes: bytesOf(part),
    voice: type === 'audio' && isVoice(part),
  };
  const named = type === 'document' && info.fileName !== null ? `${name}: ${inline(info.fileName)}` : name;
  const heading = `[${named}${info.seconds ? `, ${info.seconds} s` : ''}]`;
  const caption = stringAt(part, 'caption');
  return { type, text: joined('\n', heading, caption) ?? heading, typed: caption, media: info };
}

function isVoice(part: unknown): boolean {
  return at(part, 'ptt') === true || at(part, 'voice') === true;
}

function bytesOf(part: unknown): number | null {
  const bytes = numberAt(part, 'fileLength') ?? numberAt(part, 'file_size');
  return bytes !== null && bytes >= 0 && Number.isSafeInteger(bytes) ? bytes : null;
}

function location(name: string, part: unknown): MessageContent {
  const latitude = numberAt(part, 'degreesLatitude') ?? numberAt(part, 'latitude');
  const longitude = numberAt(part, 'degreesLongitude') ?? numberAt(part, 'longitude');
  const place = joined(', ', inlineAt(part, 'name'), inlineAt(part, 'address'));
  const coordinates = latitude === null || longitude === null ? null : `(${latitude}, ${longitude})`;
  const described = joined(' ', place, coordinates);
  const caption = stringAt(part, 'caption') ?? stringAt(part, 'comment');
  const content = note('location', described === null ? name : `${name}: ${described}`);
  return caption === null ? content : { ...content, text: `${content.text}\n${caption}`, typed: caption };
}

function contacts(cards: readonly unknown[]): MessageContent {
  const told = cards.slice(0, 20).map((card) => {
    const vcard = stringAt(card, 'vcard') ?? '';
    const name = inlineAt(card, 'displayName') ?? /^FN[^:\n]*:(.*)$/im.exec(vcard)?.[1]?.trim();
    return [...(name ? [inline(name)] : []), ...phonesOf(vcard)].join(', ') || 'sem nome';
  });
  return note('contact', told.length > 0 ? `contato: ${told.join('; ')}` : 'contato');
}

/** Numbers of a vCard, at most three. `waid` is the WhatsApp number in digits; without it the number as written. */
function phonesOf(vcard: string): string[] {
  const lines = vcard
    .slice(0, 20_000)
    .split(/\r?\n/)
    .filter((line) => /^([\w-]+\.)?TEL\b/i.test(line));
  return lines.slice(0, 3).flatMap((line) => {
    const waid = /waid=(\d{5,20})/i.exec(line)?.[1];
    const written = inline(line.slice(line.indexOf(':') + 1));
    return waid !== undefined ? [`+${waid}`] : written === '' ? [] : [written];
  });
}

function poll(part: unknown): MessageContent {
  const options = listAt(part, 'options')
    .slice(0, 20)
    .map((option) => inlineAt(option, 'optionName'))
    .filter((name) => name !== null);
  const question = inlineAt(part, 'name');
  return note(
    'poll',
    joined(' ', joined(': ', 'enquete', question), options.length > 0 ? `Opções: ${options.join('; ')}` : null) ?? 'enquete',
  );
}

function order(part: unknown): MessageContent {
  const items = countAt(part, 'itemCount');
  const details = joined(
    ', ',
    inlineAt(part, 'orderTitle'),
    items === null ? null : `${items} ${items === 1 ? 'item' : 'itens'}`,
    money(part, 'totalAmount1000', 'totalCurrencyCode'),
  );
  return withRemark(note('order', joined(': ', 'pedido', details) ?? 'pedido'), stringAt(part, 'message'));
}

function product(part: unknown): MessageContent {
  const shown = at(part, 'product');
  const details = joined(', ', inlineAt(shown, 'title'), money(shown, 'priceAmount1000', 'currencyCode'));
  return withRemark(note('order', joined(': ', 'produto', details) ?? 'produto'), stringAt(part, 'body'));
}

function money(part: unknown, amountKey: string, currencyKey: string): string | null {
  const thousandths = numberAt(part, amountKey);
  return thousandths === null ? null : `${inlineAt(part, currencyKey) ?? ''} ${(thousandths / 1000).toFixed(2)}`.trim();
}

function withRemark(content: MessageContent, remark: string | null): MessageContent {
  return remark === null ? content : { ...content, text: `${content.text}\n${remark}`, typed: remark };
}

export function note(type: ContentType, text: string): MessageContent {
  return { type, text: `[${text}]`, typed: null, media: null };
}

export function inlineAt(value: unknown, ...path: readonly string[]): string | null {
  const text = stringAt(value, ...path);
  return text === null ? null : inline(text) || null;
}

/** Foreign text inside a bracketed note: one line, no brackets, so that a file name cannot pose as a note of ours. */
function inline(text: string): string {
  return text.slice(0, 400).toWellFormed().replaceAll(/[[\]]/g, '').replaceAll(/\s+/g, ' ').trim().slice(0, 200).toWellFormed();
}

export function joined(separator: string, ...parts: readonly (string | null)[]): string | null {
  const present = parts.filter((part) => part !== null && part !== '');
  return present.length > 0 ? present.join(separator) : null;
}

function parsed(json: unknown): unknown {
  if (typeof json !== 'string') return null;
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
