// What the contact sends: shown at once, given to the simulator in order, kept with "tentar de novo" when that fails.
import { post } from './api.js';
import { setLocal, state, upsertMessage } from './store.js';

/** Sends a text or media from the contact of the open chat. `media` = {kind, base64, mimetype, fileName?, seconds?, caption?}. */
export function sendInbound({ instance, contactId, text, quotedId, media, previewUrl }) {
  const id = newMessageId();
  const request = {
    id,
    instance,
    contactId,
    ...(text === undefined ? {} : { text }),
    ...(quotedId === undefined ? {} : { quotedId }),
    ...(media === undefined ? {} : { media }),
  };
  requests.set(id, request);
  upsertMessage({
    id,
    instance,
    contactId,
    fromMe: false,
    author: 'contact',
    kind: media?.kind ?? 'text',
    text: text ?? '',
    ...(quotedId === undefined ? {} : { quotedId }),
    ...(media === undefined ? {} : { caption: media.caption, media: { ...media, base64: undefined, url: previewUrl } }),
    at: Date.now(),
    status: 'PENDING',
    reactions: [],
    local: 'sending',
  });
  deliver(id);
}

/** Tries a failed one again, with the same id. */
export function retry(message) {
  setLocal(message.id, 'sending');
  deliver(message.id);
}

// One at a time: the runtime must see a burst in the order in which it was typed.
let queue = Promise.resolve();
const requests = new Map();

function deliver(id) {
  queue = queue.then(async () => {
    try {
      const answer = await post('/inbound', requests.get(id));
      requests.delete(id);
      // The event stream brings the same message; whichever is first wins.
      if (answer?.message && state.messages.get(id)?.local !== undefined) upsertMessage(answer.message);
    } catch {
      setLocal(id, 'failed');
    }
  });
}

/** 3A and 18 hex digits: the form of an id made by WhatsApp on a phone. */
function newMessageId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `3A${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`.toUpperCase();
}
