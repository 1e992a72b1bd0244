// The REST look-alike of Evolution API (2.3.6, 2.3.7, 2.4) on the Baileys channel: sending, chat and media routes.
// Instance, webhook and settings routes are in evolution-instance.ts.

import type { Hono } from 'hono';
import { remember, type Core } from './core.ts';
import { check, closedError, EvolutionError, guard, json, plainFault, readBody, type Env } from './evolution-http.ts';
import { contextFor, send, SEND_RULES, showPresence, type SendInput } from './evolution-send.ts';
import { isConnected, lookUpNumber } from './evolution-number.ts';
import { findMessages, findStatusMessage } from './evolution-find.ts';
import { createJid } from './jid.ts';
import { addMediaRoutes } from './evolution-media.ts';
import { ownJid } from './shapes.ts';
import type { Instance, Json } from './types.ts';

const PRESENCES = ['unavailable', 'available', 'composing', 'recording', 'paused'];

export function addEvolutionRoutes(core: Core, app: Hono<Env>): void {
  app.post('/message/sendText/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    check(body, { ...SEND_RULES, text: { type: 'string' } }, ['number', 'text']);
    const text = String(body['text']);
    if (text.trim() === '') throw new EvolutionError(400, ['Text is required']);
    return await send(core, c, instance, textSend(core, instance, body, text));
  });

  app.post('/message/sendReaction/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    check(body, { key: { type: 'object' }, reaction: { type: 'string' } }, ['key', 'reaction']);
    const key = body['key'] as Json;
    check(key, { id: { type: 'string' }, remoteJid: { type: 'string' }, fromMe: { type: 'boolean' } }, ['id', 'remoteJid', 'fromMe']);
    const emoji = String(body['reaction']);
    if (!isOneEmoji(emoji)) throw new EvolutionError(400, ['Reaction must be a single emoji or empty string']);
    return await send(core, c, instance, reactionSend(core, instance, key, emoji));
  });

  app.post('/chat/sendPresence/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    const rules = { ...SEND_RULES, presence: { type: 'string' as const, values: PRESENCES } };
    check(body, rules, ['number', 'presence', 'delay']);
    const answer = await plainFault(core, c, core.faults.take('presence', { instance: instance.name }));
    if (answer) return answer;
    if (instance.connectedOnce && !isConnected(instance)) throw closedError();
    const jid = presenceAddress(core, instance, String(body['number']));
    const presence = String(body['presence']);
    const delay = Number(body['delay']);
    const entry = { at: core.clock.now(), instance: instance.name, jid, presence, delay };
    remember(core.wire.presences, entry);
    core.bus.emit({ type: 'presence', presence: entry });
    await showPresence(core, instance, jid, presence, delay);
    return json(201, { presence });
  });

  app.post('/chat/markMessageAsRead/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    check(body, { readMessages: { type: 'array' } }, ['readMessages']);
    if (!isConnected(instance)) {
      throw new EvolutionError(500, ['Read messages fail', 'Error: Connection Closed']);
    }
    markRead(core, instance, body['readMessages']);
    return json(201, { message: 'Read messages', read: 'success' });
  });

  app.post('/chat/findMessages/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    const fault = core.faults.take('find', { instance: instance.name });
    const answer = await plainFault(core, c, fault);
    if (answer) return answer;
    const rows = fault?.kind === 'empty' ? [] : core.world.rows(instance.name);
    return json(200, { messages: findMessages(core, instance, body, rows) });
  });

  app.post('/chat/findStatusMessage/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    const answer = await plainFault(core, c, core.faults.take('find', { instance: instance.name }));
    return answer ?? json(200, findStatusMessage(core, instance, body));
  });

  app.post('/chat/whatsappNumbers/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    check(body, { numbers: { type: 'array' } }, ['numbers']);
    const numbers = (body['numbers'] as unknown[]).map(String);
    if (instance.connectedOnce && !isConnected(instance)) {
      const payload = { statusCode: 428, error: 'Precondition Required', message: 'Connection Closed' };
      return json(400, { data: null, isBoom: true, isServer: false, output: { statusCode: 428, payload, headers: {} } });
    }
    return json(
      200,
      numbers.map((number) => lookUpNumber(core, instance, number)),
    );
  });

  addMediaRoutes(core, app);
}

function textSend(core: Core, instance: Instance, body: Json, text: string): SendInput {
  return {
    number: String(body['number']),
    kind: 'text',
    text,
    delay: Number(body['delay'] ?? 0),
    presence: 'composing',
    messageId: typeof body['messageId'] === 'string' ? body['messageId'] : undefined,
    build: (jid) => {
      const quote = quotedContext(core, instance, body['quoted']);
      const context = jid.endsWith('@g.us') ? mentions(instance, body) : contextFor(core, jid);
      return {
        content: { conversation: text },
        contextInfo: quote ? { ...context, ...quote } : context,
      };
    },
    view: () => {
      const quoted = (body['quoted'] as { key?: { id?: string } } | undefined)?.key?.id;
      return { text, ...(quoted === undefined ? {} : { quotedId: quoted }) };
    },
  };
}

/** Mentions work in groups only; without one a group send shows no contextInfo. */
function mentions(instance: Instance, body: Json): Json | null {
  if (body['mentionsEveryOne'] === true) return { mentionedJid: [ownJid(instance)] };
  const mentioned = body['mentioned'];
  return Array.isArray(mentioned) ? { mentionedJid: mentioned.map((number) => createJid(String(number))) } : null;
}

/** A quote by id needs the message in the database, else it is silently left out; a full message needs nothing. */
function quotedContext(core: Core, instance: Instance, quoted: unknown): Json | null {
  if (typeof quoted !== 'object' || quoted === null) return null;
  const { key, message } = quoted as { key?: Json; message?: Json };
  if (key === undefined) {
    throw new EvolutionError(400, ["TypeError: Cannot read properties of undefined (reading 'id')"]);
  }
  const id = String(key['id']);
  const row = core.world.row(instance.name, id);
  const { messageContextInfo: _device, ...content } = message ?? row?.message ?? {};
  if (!message && !row) return null;
  const fromMe = key['fromMe'] ?? row?.key.fromMe;
  const participant = fromMe === true ? ownJid(instance) : (key['participant'] ?? row?.key.remoteJid ?? key['remoteJid']);
  return { participant, stanzaId: id, quotedMessage: content };
}

function reactionSend(core: Core, instance: Instance, key: Json, emoji: string): SendInput {
  const targetId = String(key['id']);
  return {
    number: String(key['remoteJid']),
    kind: 'reaction',
    text: emoji,
    delay: 0,
    presence: 'composing',
    targetId,
    build: () => ({
      content: { reactionMessage: { text: emoji, key, senderTimestampMs: core.clock.now() } },
      contextInfo: null,
    }),
    view: () => {
      const target = core.world.message(targetId, instance.name);
      if (target) {
        target.reactions = target.reactions.filter((reaction) => reaction.from !== 'api');
        if (emoji !== '') target.reactions.push({ from: 'api', emoji });
        core.bus.emit({ type: 'message-update', id: targetId, reaction: { from: 'api', emoji } });
      }
      return null;
    },
  };
}

const graphemes = new Intl.Segmenter('pt', { granularity: 'grapheme' });

function isOneEmoji(text: string): boolean {
  if (text === '') return true;
  return [...graphemes.segment(text)].length === 1 && /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u.test(text);
}

/** sendPresence turns whatever its check throws into a 400 with the error as text, which an answer of Evolution's own has not. */
function presenceAddress(core: Core, instance: Instance, number: string): string {
  if (!instance.connectedOnce) throw new EvolutionError(400, ["TypeError: Cannot read properties of undefined (reading 'onWhatsApp')"]);
  const { jid, exists } = lookUpNumber(core, instance, number);
  if (!exists) throw new EvolutionError(400, ['[object Object]']);
  return jid;
}

/** Blue ticks for the contact. Like the real one it says success for unknown ids and, before 2.4, for @lid chats, and does nothing there. */
function markRead(core: Core, instance: Instance, keys: unknown): void {
  for (const key of Array.isArray(keys) ? (keys as { id?: unknown; remoteJid?: unknown }[]) : []) {
    const chat = String(key?.remoteJid);
    if (typeof key?.id !== 'string' || !(chat.endsWith('@s.whatsapp.net') || (core.rules.readsLids && chat.endsWith('@lid')))) continue;
    const message = core.world.message(key.id, instance.name);
    if (!message || message.fromMe || message.status === 'READ') continue;
    message.status = 'READ';
    core.bus.emit({ type: 'message-update', id: message.id, status: 'READ' });
  }
}
