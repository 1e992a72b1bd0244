/** The kinds of WhatsApp content, each told in text: the field names of Baileys and of the Meta Cloud API (contract 2.3, 3.1). Pure and total. */
import type { ContentType, MediaInfo, MessageContent } from './inbound-event.ts';
import { at, countAt, listAt, numberAt, stringAt } from '../words/json.ts';
import { buttons, choice, interactive, interactiveReply, list, template } from './message-menus.ts';
import {
  call,
  event,
  eventResponse,
  invitation,
  order,
  payment,
  poll,
  pollResult,
  pollVote,
  product,
  scheduledCall,
  stickerPack,
} from './message-notes.ts';
import { contentOf, inline, inlineAt, joined, note, ours, plain, typed, withLines } from './message-parts.ts';

/** Null: the part says nothing of its kind. */
type Reader = (part: unknown) => MessageContent | null;

/** In the order in which a key wins; one message has one of them. */
export const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['imageMessage', (part) => media('image', 'imagem', part)],
  ['videoMessage', (part) => media('video', at(part, 'gifPlayback') === true ? 'gif' : 'vídeo', part)],
  ['ptvMessage', (part) => media('video', 'recado em vídeo', part)],
  ['audioMessage', (part) => media('audio', isVoice(part) ? 'áudio de voz' : 'áudio', part)],
  ['documentMessage', (part) => media('document', 'documento', part)],
  ['stickerMessage', (part) => media('sticker', 'figurinha', part)],
  ['stickerPackMessage', stickerPack],
  ['locationMessage', (part) => location('localização', part)],
  ['liveLocationMessage', (part) => location('localização em tempo real', part)],
  ['contactMessage', (part) => contacts([part])],
  ['contactsArrayMessage', (part) => contacts(listAt(part, 'contacts'))],
  ['pollCreationMessage', poll],
  ['pollUpdateMessage', pollVote],
  ['pollResultSnapshotMessage', pollResult],
  ['buttonsResponseMessage', (part) => choice('button', stringAt(part, 'selectedDisplayText') ?? stringAt(part, 'selectedButtonId'))],
  ['templateButtonReplyMessage', (part) => choice('button', stringAt(part, 'selectedDisplayText') ?? stringAt(part, 'selectedId'))],
  ['listResponseMessage', (part) => choice('list', stringAt(part, 'title') ?? stringAt(part, 'singleSelectReply', 'selectedRowId'))],
  ['interactiveResponseMessage', interactiveReply],
  ['buttonsMessage', buttons],
  ['interactiveMessage', interactive],
  ['listMessage', list],
  ['templateMessage', template],
  ['highlyStructuredMessage', (part) => (at(part, 'hydratedHsm') === undefined ? null : template(at(part, 'hydratedHsm')))],
  ['orderMessage', order],
  ['productMessage', product],
  ['sendPaymentMessage', (part) => payment('pagamento', part)],
  ['requestPaymentMessage', (part) => payment('cobrança', part)],
  ['declinePaymentRequestMessage', () => note('payment', 'cobrança recusada')],
  ['cancelPaymentRequestMessage', () => note('payment', 'cobrança cancelada')],
  ['paymentInviteMessage', () => note('payment', 'convite de pagamento')],
  ['invoiceMessage', (part) => payment('fatura', part)],
  ['eventMessage', event],
  ['eventResponseMessage', eventResponse],
  ['callLogMesssage', call],
  ['callLogMessage', call],
  ['scheduledCallCreationMessage', scheduledCall],
  ['groupInviteMessage', (part) => invitation('convite de grupo', stringAt(part, 'groupName'), part)],
  ['newsletterAdminInviteMessage', (part) => invitation('convite de canal, como administrador', stringAt(part, 'newsletterName'), part)],
  ['newsletterFollowerInviteMessage', (part) => invitation('convite de canal', stringAt(part, 'newsletterName'), part)],
  ['questionResponseMessage', (part) => plain(at(part, 'text'))],
  ['statusQuestionAnswerMessage', (part) => plain(at(part, 'text'))],
  ['statusQuotedMessage', (part) => plain(at(part, 'text'))],
  ['extendedTextMessage', extendedText],
  ['conversation', plain],
]);

/** WhatsApp gives a kind a new number when its form grows: `pollCreationMessageV5` is read as `pollCreationMessage`. */
export function readerOf(key: string): Reader | undefined {
  return READERS.get(key) ?? READERS.get(key.replace(/V\d{1,2}$/, ''));
}

/** The preview of a link stands below the text on the phone. Evolution takes it away where it can (contract 2.3). */
function extendedText(part: unknown): MessageContent | null {
  const content = plain(at(part, 'text'));
  const preview = joined(' | ', inlineAt(part, 'title'), inlineAt(part, 'description'));
  return content === null || preview === null ? content : withLines(content, ours(`prévia do link: ${preview}`));
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
  return contentOf(type, [ours(`${named}${info.seconds ? `, ${info.seconds} s` : ''}`), typed(stringAt(part, 'caption'))], info);
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
  return contentOf('location', [ours(described === null ? name : `${name}: ${described}`), typed(caption)]);
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
