// The simulator's control API: one call per action, and the event stream with its retries.

/**
 * POST (or another method) with JSON. Throws an Error in Portuguese when the simulator is away or refuses;
 * the caller shows it.
 */
export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/sim${path}`, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw new Error('O simulador não respondeu.', { cause });
  }
  const text = await response.text();
  if (!response.ok) throw new Error(`O simulador recusou (${response.status}): ${errorText(text)}`);
  return text === '' ? null : JSON.parse(text);
}

export const post = (path, body = {}) => call('POST', path, body);

/**
 * Follows /sim/events for ever. On each (re)connection it loads the state first and only then hands over the
 * events that came meanwhile, so that nothing is missed: applying an event twice must be harmless.
 * `onLink` hears {kind:'live'} or {kind:'away', retryAt} (ms). Returns a function that retries at once.
 */
export function followEvents({ onSnapshot, onEvent, onLink }) {
  let failures = 0;
  let timer = null;
  let source = null;

  const connect = () => {
    clearTimeout(timer);
    source?.close();
    const current = new EventSource('/sim/events');
    source = current;
    let waiting = [];
    let opened = false;
    current.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (waiting === null) onEvent(event);
      else waiting.push(event);
    };
    current.onopen = async () => {
      // The browser's own reconnection would skip the snapshot; a second open therefore starts over.
      if (opened) return connect();
      opened = true;
      try {
        const snapshot = await loadSnapshot();
        if (source !== current) return;
        onSnapshot(snapshot);
        for (const event of waiting) onEvent(event);
        waiting = null;
        failures = 0;
        onLink({ kind: 'live' });
      } catch {
        if (source === current) retryLater();
      }
    };
    current.onerror = () => {
      if (source === current) retryLater();
    };
  };

  const retryLater = () => {
    source?.close();
    source = null;
    failures += 1;
    const wait = Math.min(MAX_RETRY_MS, 1_000 * 2 ** (failures - 1));
    onLink({ kind: 'away', retryAt: Date.now() + wait });
    clearTimeout(timer);
    timer = setTimeout(connect, wait);
  };

  connect();
  addEventListener('online', connect);
  return connect;
}

async function loadSnapshot() {
  const state = await call('GET', '/state');
  // What was on the wire only feeds the ticks and the log of earlier messages: the page works without it.
  const wire = await call('GET', '/wire').catch(() => null);
  return { state, wire };
}

function errorText(text) {
  try {
    const body = JSON.parse(text);
    return body.error?.message ?? body.error ?? body.message ?? text;
  } catch {
    return text.slice(0, 200);
  }
}

const MAX_RETRY_MS = 5_000;
