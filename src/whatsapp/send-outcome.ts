/**
 * Whether a message left, read from Evolution's answer. A 400 does not mean "not sent" and a 201 does not mean "sent", so every
 * answer is one of three: surely sent, surely not sent, or ambiguous. Ambiguous is never repeated blindly, so what is not known to be
 * safe is ambiguous. Source: contract 3.1 and 4.2; codes of Meta's Cloud API.
 */

import { cut } from '../words/cut.ts';
import { at, idAt, listAt, numberAt, objectAt, stringAt } from '../words/json.ts';
import { maskPhone } from '../words/phone.ts';
import type { NetworkError } from '../process/http-out.ts';

/** `requestWritten` is false only when the request surely did not reach Evolution. `body` is parsed JSON, or the text as it came. */
export type SendAnswer = { status: number; body: unknown } | { networkError: NetworkError; requestWritten: boolean; code?: string };

export type NotSentClass =
  | 'bad_request'
  | 'not_on_whatsapp'
  | 'unauthorized'
  | 'unknown_instance'
  /** The number is not connected, and says so. */
  | 'disconnected'
  /** The socket of the number is closed, whatever Evolution says of it. */
  | 'connection_closed'
  | 'rate_limited'
  | 'restricted'
  | 'unavailable'
  | 'service_unavailable'
  | 'unlicensed'
  | 'provider_error';

export type AmbiguousClass = 'timeout' | 'reset' | 'aborted' | 'proxy' | 'provider_error';

/** `detail` is at most 200 characters, for people, with phone numbers masked. */
export type SendOutcome =
  | { kind: 'sent'; providerId: string; /** may differ from the number sent to */ jid: string | null }
  | { kind: 'not_sent'; retryable: boolean; class: NotSentClass; detail: string }
  | { kind: 'ambiguous'; class: AmbiguousClass; detail: string };

/** `not_loaded`: the instance exists, but this Evolution process has no socket for it. */
export type ConnectionState = 'open' | 'connecting' | 'close' | 'refused' | 'not_loaded';

export function classifySend(answer: SendAnswer): SendOutcome {
  if ('networkError' in answer) return classifyNetworkError(answer.networkError, answer.requestWritten);
  const { status, body } = answer;
  if (status >= 200 && status < 300) return classifySuccess(status, body);
  const said = { text: saidText(body), messages: listAt(body, 'response', 'message'), evolution: isEvolutionError(status, body) };
  // Redirects are not followed: the address is wrong, and nothing was handled.
  if (status >= 300 && status < 400) return notSent('bad_request', false, `HTTP ${status}: redirect, check the address of Evolution`);
  switch (status) {
    case 400:
      return classify400(body, said.messages, said.text);
    case 401:
      return notSent('unauthorized', false, said.text);
    case 403:
      // Evolution passes WhatsApp's refusal on; a proxy before it refuses who asks.
      return said.evolution ? notSent('restricted', false, said.text) : notSent('unauthorized', false, `HTTP 403: ${said.text}`);
    case 404:
      // An unknown instance and an unknown route have the same status.
      return notSent(/instance does not exist/.test(said.text) ? 'unknown_instance' : 'bad_request', false, said.text);
    case 405:
    case 406:
    case 407:
    case 411:
    case 413:
    case 414:
    case 415:
    case 422:
    case 431:
      return notSent('bad_request', false, `HTTP ${status}: ${said.text}`);
    case 429:
      // As 403: a proxy's limit says nothing of the number.
      return notSent(said.evolution ? 'rate_limited' : 'service_unavailable', true, said.text);
    case 500:
      return said.evolution ? classify500(said.text) : ambiguous('proxy', `HTTP 500: ${said.text}`);
    case 503:
      // Evolution 2.4 without a licence, or a proxy without a live upstream: before any send.
      if (at(body, 'code') === 'LICENSE_REQUIRED') {
        return notSent(
          'unlicensed',
          true,
          `LICENSE_REQUIRED: activate it at ${stringAt(body, 'register_url') ?? '/manager/login of Evolution'}`,
        );
      }
      return notSent('service_unavailable', true, said.text);
    default:
      return ambiguous('proxy', `HTTP ${status}: ${said.text}`);
  }
}

/** A closed socket of a number that says (asked right after the answer) that it is not connected is no riddle: it waits for the reconnect. */
export function settleByConnectionState(outcome: SendOutcome, state: ConnectionState): SendOutcome {
  if (outcome.kind !== 'not_sent' || outcome.class !== 'connection_closed' || state === 'open') return outcome;
  return notSent('disconnected', true, `${outcome.detail} (state ${state})`);
}

function classifyNetworkError(error: NetworkError, requestWritten: boolean): SendOutcome {
  if (!requestWritten) return notSent('unavailable', true, `${error} before the request was written`);
  // A refusal after the write cannot be; if someone says so, the cautious reading is a reset.
  const seen = error === 'timeout' || error === 'aborted' ? error : 'reset';
  return ambiguous(seen, `${error} after the request was written`);
}

/** Success is a message id and nothing else: Meta's channel answers 201 with an error object. */
function classifySuccess(status: number, body: unknown): SendOutcome {
  const providerId = idAt(body, 'key', 'id');
  if (providerId !== null) return { kind: 'sent', providerId, jid: stringAt(body, 'key', 'remoteJid') };
  const code = numberAt(body, 'code');
  const detail = stringAt(body, 'message') ?? `HTTP ${status} without a message id`;
  return code === null ? ambiguous('provider_error', detail) : classifyMetaCode(code, `Meta ${code}: ${detail}`);
}

/** 1, 2, 131000 and 131016 are Meta's own failures, after which the message may be out; unknown codes count like them. */
function classifyMetaCode(code: number, detail: string): SendOutcome {
  switch (code) {
    case 0:
    case 3:
    case 10:
    case 190:
    case 131005:
      return notSent('unauthorized', false, detail);
    case 4:
    case 80007:
    case 130429:
    case 131056:
      return notSent('rate_limited', true, detail);
    case 368:
    case 130497:
    case 131031:
    case 131048:
      return notSent('restricted', false, detail);
    case 131026:
      return notSent('not_on_whatsapp', false, detail);
    case 33:
    case 133010:
      return notSent('unknown_instance', false, detail);
    case 131057:
      return notSent('unavailable', true, detail);
    case 100:
    case 131008:
    case 131009:
    case 131021:
    case 131030:
    case 131045:
    case 131047:
    case 131051:
    case 131052:
    case 131053:
      return notSent('bad_request', false, detail);
    default:
      if (code >= 200 && code <= 299) return notSent('unauthorized', false, detail);
      return ambiguous('provider_error', detail);
  }
}

/** Refusals that Evolution makes before it tries to send. */
const REFUSED_TEXT = [
  'Text is required',
  'Owned media must be',
  'For base64 the file name',
  'Method not available',
  'Message not found',
  'Reaction must be',
  'mediatype is not one of',
];

function classify400(body: unknown, messages: readonly unknown[], text: string): SendOutcome {
  const first = messages[0];
  if (objectAt(first) !== null && at(first, 'exists') === false) return notSent('not_on_whatsapp', false, text);
  // Schema errors are the only array in an array; a bare string is a body that was no JSON.
  const refused =
    Array.isArray(first) || typeof at(body, 'response', 'message') === 'string' || REFUSED_TEXT.some((start) => text.startsWith(start));
  if (refused) return notSent('bad_request', false, text);
  if (SOCKET_CLOSED.has(text) || NO_SOCKET.test(text)) return notSent('connection_closed', true, text);
  if (text === 'Error: rate-overlimit') return notSent('rate_limited', true, text);
  return ambiguous(text === 'Error: Timed Out' ? 'timeout' : 'provider_error', text);
}

/**
 * Thrown before anything is written, by the source of Evolution 2.3.6 and 2.3.7: Baileys does not write on a closed socket, and a socket that drops during a
 * send (close code 1006) ends the questions that come before the message.
 */
const SOCKET_CLOSED = new Set(['Error: Connection Closed', '1006', 'Error: 1006']);
/** A number that this Evolution never connected has no client: reading any of its methods is a TypeError. */
const NO_SOCKET =
  /^(?:TypeError: )?Cannot read properties of (?:undefined|null) \(reading '(?:onWhatsApp|sendMessage|presenceSubscribe|sendPresenceUpdate|relayMessage|textMessage|groupMetadata|ws)'\)$/;

/** Evolution turns every error after the number check into a 400, so its own 500 comes from before the send. */
function classify500(text: string): SendOutcome {
  if (text === 'Connection Closed' || NO_SOCKET.test(text)) return notSent('connection_closed', true, text);
  if (text === 'rate-overlimit') return notSent('rate_limited', true, text);
  return notSent('provider_error', true, text);
}

function isEvolutionError(status: number, body: unknown): boolean {
  return at(body, 'status') === status && objectAt(body, 'response') !== null;
}

/** The innermost text of `response.message`, which is a string, a list, a list in a list, or a list of number checks. */
function saidText(body: unknown): string {
  const said = at(body, 'response', 'message') ?? at(body, 'message') ?? at(body, 'error') ?? body;
  const list: readonly unknown[] = Array.isArray(said) ? said.flat(2) : [said];
  const texts = list.map((item) =>
    typeof item === 'string' ? item : at(item, 'exists') === false ? 'number is not on WhatsApp' : 'error without a text',
  );
  return texts.join('; ');
}

function notSent(kind: NotSentClass, retryable: boolean, detail: string): Extract<SendOutcome, { kind: 'not_sent' }> {
  return { kind: 'not_sent', retryable, class: kind, detail: forPeople(detail) };
}

function ambiguous(kind: AmbiguousClass, detail: string): Extract<SendOutcome, { kind: 'ambiguous' }> {
  return { kind: 'ambiguous', class: kind, detail: forPeople(detail) };
}

function forPeople(detail: string): string {
  return cut(
    cut(detail, 2_000)
      .replaceAll(/\d{8,}/g, maskPhone)
      .replaceAll(/\s+/g, ' ')
      .trim(),
    200,
  ).toWellFormed();
}
