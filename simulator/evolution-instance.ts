// Evolution's instance, webhook and settings routes, and its root.

import type { Hono } from 'hono';
import { healTrouble, setConnection } from './connection.ts';
import type { Core } from './core.ts';
import { check, EvolutionError, guard, guardGlobal, json, plainFault, readBody, type Env, type Http } from './evolution-http.ts';
import { textField, type Instance, type Json, type WebhookTarget } from './types.ts';
import { emitWebhook } from './webhooks.ts';
import { TINY_PNG } from './shapes.ts';
import { WEBHOOK_EVENTS, WEBHOOK_EVENTS_24 } from './world.ts';

const SETTINGS = ['rejectCall', 'groupsIgnore', 'alwaysOnline', 'readMessages', 'readStatus', 'syncFullHistory'];
const NO_EVENTS = "Cannot read properties of undefined (reading 'length')";

export function addInstanceRoutes(core: Core, app: Hono<Env>): void {
  app.get('/', (c) => {
    if ((c.req.header('accept') ?? '').includes('text/html')) return c.redirect('/chat');
    return c.json({
      status: 200,
      message: 'Welcome to the Evolution API, it is working!',
      version: core.rules.says,
      clientName: 'simulator',
      manager: `${core.url}/manager`,
      documentation: 'https://doc.evolution-api.com',
      whatsappWebVersion: '2.3000.1028450369',
    });
  });

  app.post('/instance/create', async (c) => {
    const body = await readBody(c);
    const answer = await plainFault(core, c, core.faults.take('instance', { instance: textField(body['instanceName']) }));
    return answer ?? create(core, body, () => guardGlobal(core, c));
  });

  app.get('/instance/fetchInstances', (c) => {
    const key = c.req.header('apikey');
    const all = [...core.world.instances.values()];
    const visible = key === core.options.apiKey ? all : all.filter((instance) => instance.token === key);
    if (visible.length === 0 && key !== core.options.apiKey) throw new EvolutionError(401, 'Unauthorized');
    const { instanceName, instanceId, number } = c.req.query();
    const found = visible.filter(
      (instance) =>
        (instanceName === undefined || instance.name === instanceName) &&
        (instanceId === undefined || instance.id === instanceId) &&
        (number === undefined || instance.number === number),
    );
    if (instanceName !== undefined && found.length === 0) {
      throw new EvolutionError(404, [`Instance "${instanceName}" not found`]);
    }
    return json(
      200,
      found.map((instance) => overview(core, instance)),
    );
  });

  app.get('/instance/connectionState/:instance', async (c) => {
    const instance = guard(core, c);
    const fault = core.faults.take('state', { instance: instance.name });
    const answer = await plainFault(core, c, fault);
    if (answer) return answer;
    // A `says` fault is the state that lies: open in words, dead on the wire.
    const state = fault?.kind === 'says' ? fault['state'] : instance.state;
    return json(200, { instance: { instanceName: instance.name, state } });
  });

  app.get('/instance/connect/:instance', async (c) => {
    const instance = guard(core, c);
    const answer = await instanceFault(core, c, instance);
    if (answer) return answer;
    if (instance.state === 'open') return json(200, { instance: { instanceName: instance.name, state: 'open' } });
    // The session of a log-out whose webhook is still out has not been removed yet: there is nothing to scan.
    if (instance.trouble === 'stuck' || instance.loggingOut) return json(200, { count: 0 });
    if (!instance.loggedOut) {
      setConnection(core, instance, 'connecting');
      setConnection(core, instance, 'open');
      return json(200, { count: 0 });
    }
    return json(200, { ...startPairing(core, instance), count: 1 });
  });

  app.post('/instance/restart/:instance', async (c) => {
    const instance = guard(core, c);
    const answer = await instanceFault(core, c, instance);
    if (answer) return answer;
    // Evolution throws here, and answers 200.
    if (instance.state === 'close') return json(200, { error: true, message: '[object Object]' });
    if (instance.healsBy !== 'never') healTrouble(core, instance);
    if (instance.loggedOut) return json(200, { ...startPairing(core, instance), count: 1 });
    if (instance.trouble !== 'stuck') {
      setConnection(core, instance, 'connecting');
      setConnection(core, instance, 'open');
    }
    return json(200, { instance: { instanceName: instance.name, state: instance.state } });
  });

  app.delete('/instance/logout/:instance', async (c) => {
    const instance = guard(core, c);
    const answer = await instanceFault(core, c, instance);
    if (answer) return answer;
    if (instance.state === 'close') {
      if (core.rules.logoutIsIdempotent) return json(200, success('Instance was already disconnected'));
      throw new EvolutionError(400, [`The "${instance.name}" instance is not connected`]);
    }
    setConnection(core, instance, 'close', 401);
    return json(200, success('Instance logged out'));
  });

  app.delete('/instance/delete/:instance', (c) => {
    const instance = guard(core, c);
    if (instance.state !== 'close') setConnection(core, instance, 'close', 401);
    const identity = { instanceName: instance.name, instanceId: instance.id };
    emitWebhook(core, instance, 'instance.delete', identity);
    emitWebhook(core, instance, 'remove.instance', null);
    core.world.removeInstance(instance.name);
    return json(200, success('Instance deleted'));
  });

  app.post('/webhook/set/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    const answer = await instanceFault(core, c, instance);
    if (answer) return answer;
    check(body, { webhook: { type: 'object' } }, ['webhook']);
    const wanted = body['webhook'] as Partial<WebhookTarget>;
    checkEvents(core, wanted.events);
    if (wanted.events === undefined) throw new EvolutionError(500, NO_EVENTS);
    check(wanted, { enabled: { type: 'boolean' }, url: { type: 'string' } }, ['enabled', 'url']);
    const target = core.world.newWebhook({ ...wanted, url: wanted.url ?? '' }, instance.webhook);
    instance.webhook = target.enabled ? target : { ...target, events: [] };
    return json(201, webhookRow(instance, instance.webhook));
  });

  app.get('/webhook/find/:instance', async (c) => {
    const instance = guard(core, c);
    const answer = await instanceFault(core, c, instance);
    if (answer) return answer;
    return json(200, instance.webhook ? webhookRow(instance, instance.webhook) : null);
  });

  app.post('/settings/set/:instance', async (c) => {
    const body = await readBody(c);
    const instance = guard(core, c);
    const rules = Object.fromEntries(SETTINGS.map((name) => [name, { type: 'boolean' as const }]));
    check(body, rules, SETTINGS);
    instance.settings = { ...instance.settings, ...body };
    return json(201, { settings: { instanceName: instance.name, settings: body } });
  });

  app.get('/settings/find/:instance', (c) => json(200, guard(core, c).settings));
}

/** Create, connect, restart, logout and the webhook's settings share one target of faults. */
function instanceFault(core: Core, c: Http, instance: Instance): Promise<Response | null> {
  return plainFault(core, c, core.faults.take('instance', { instance: instance.name }));
}

/** A code to scan; POST /sim/connection {state: "open"} is the phone that scans it. */
function startPairing(core: Core, instance: Instance): Json {
  const code = `2@simulated,${core.clock.now()}`;
  const qrcode = { pairingCode: null, code, base64: `data:image/png;base64,${TINY_PNG}` };
  setConnection(core, instance, 'connecting');
  emitWebhook(core, instance, 'qrcode.updated', { qrcode: { instance: instance.name, ...qrcode } });
  return qrcode;
}

function create(core: Core, body: Json, guardKey: () => void): Response {
  const name = textField(body['instanceName']);
  // The name clash is found before the key is looked at.
  if (core.world.instances.has(name)) throw new EvolutionError(403, [`This name "${name}" is already in use.`]);
  guardKey();
  if (body['integration'] !== 'WHATSAPP-BAILEYS') throw new EvolutionError(400, ['Invalid integration']);
  const hook = body['webhook'] as (Partial<WebhookTarget> & { url?: string }) | undefined;
  if (hook?.url !== undefined && hook.events === undefined) throw new EvolutionError(400, [NO_EVENTS]);
  const instance = core.world.addInstance({
    name,
    ...(typeof body['token'] === 'string' ? { token: body['token'] } : {}),
    ...(typeof body['number'] === 'string' ? { number: body['number'] } : {}),
    connected: false,
    loggedOut: core.options.autoPair !== true,
    settings: Object.fromEntries(Object.entries(body).filter(([key]) => SETTINGS.includes(key))),
  });
  if (hook?.url !== undefined) instance.webhook = core.world.newWebhook({ ...hook, url: hook.url }, null);
  emitWebhook(core, instance, 'instance.create', { instanceName: name, instanceId: instance.id });
  const qrcode = body['qrcode'] === true ? { ...startPairing(core, instance), count: 1 } : null;
  return json(201, {
    instance: {
      instanceName: name,
      instanceId: instance.id,
      integration: instance.integration,
      webhookWaBusiness: null,
      accessTokenWaBusiness: '',
      status: instance.state,
    },
    hash: instance.token,
    webhook: hook
      ? {
          webhookUrl: hook.url,
          webhookHeaders: hook.headers,
          webhookByEvents: hook.byEvents,
          webhookBase64: hook.base64,
        }
      : {},
    websocket: {},
    rabbitmq: {},
    nats: {},
    sqs: {},
    settings: instance.settings,
    ...(qrcode === null ? {} : { qrcode }),
  });
}

function checkEvents(core: Core, events: unknown): void {
  if (!Array.isArray(events)) return;
  const known = core.rules.wantsLicence ? [...WEBHOOK_EVENTS, ...WEBHOOK_EVENTS_24] : WEBHOOK_EVENTS;
  const wrong = events.findIndex((event) => !known.includes(String(event)));
  if (wrong === -1) return;
  const message = `webhook.events[${wrong}] is not one of enum values: ${known.join(',')}`;
  throw new EvolutionError(400, [[message]]);
}

function webhookRow(instance: Instance, target: WebhookTarget): Json {
  const { byEvents, base64, createdAt, updatedAt, ...row } = target;
  const stamps = { createdAt, updatedAt, instanceId: instance.id };
  return { ...row, webhookByEvents: byEvents, webhookBase64: base64, ...stamps };
}

function overview(core: Core, instance: Instance): Json {
  const stamps = { createdAt: instance.createdAt, updatedAt: instance.createdAt };
  const chats = new Set(core.world.rows(instance.name).map((row) => row.key.remoteJid));
  return {
    id: instance.id,
    name: instance.name,
    connectionStatus: instance.state,
    ownerJid: instance.connectedOnce ? `${instance.number}@s.whatsapp.net` : null,
    profileName: instance.connectedOnce ? instance.profileName : null,
    profilePicUrl: null,
    integration: instance.integration,
    number: instance.number,
    businessId: null,
    token: instance.token,
    clientName: 'simulator',
    disconnectionReasonCode: instance.disconnection?.code ?? null,
    disconnectionObject: instance.disconnection?.object ?? null,
    disconnectionAt: instance.disconnection?.at ?? null,
    ...stamps,
    Chatwoot: null,
    Proxy: null,
    Rabbitmq: null,
    Nats: null,
    Sqs: null,
    Websocket: null,
    Setting: { id: `setting-${instance.name}`, ...instance.settings, ...stamps, instanceId: instance.id },
    _count: { Message: core.world.rows(instance.name).length, Contact: core.world.contacts.size, Chat: chats.size },
  };
}

function success(message: string): Json {
  return { status: 'SUCCESS', error: false, response: { message } };
}
