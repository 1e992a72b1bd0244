/** Bodies to copy: an example of each argument by its name, for the admin commands; other routes bring one of their own. Pure. */
import type { z } from 'zod';

const BY_NAME: Readonly<Record<string, unknown>> = {
  id: 42,
  other: 43,
  merged: 43,
  name: 'julia-prod',
  instance: 'julia-prod',
  phone: '5511912345678',
  email: 'ana@example.com',
  role: 'operator',
  contact: '5511912345678',
  reason: 'pedido do supervisor',
  level: 'no_campaigns',
  mode: 'manual',
  setting: 'handoff',
  key: 'the-token-of-this-number',
  until: '2026-12-01T09:00:00-03:00',
  since: '2026-12-01T09:00:00-03:00',
  text: 'Bom dia! A equipe já está vendo o seu pedido.',
};

/** Where the names alone would say the wrong thing. */
const BY_COMMAND: Readonly<Record<string, object>> = {
  why: { id: 'conversation:7' },
  pause: { scope: 'instance', target: 'julia-prod', reason: 'número em análise' },
  resume: { scope: 'instance', target: 'julia-prod', reason: 'liberado' },
  'observe on': { scope: 'instance', target: 'julia-prod', reason: 'primeira semana' },
  'observe off': { scope: 'instance', target: 'julia-prod', reason: 'aprovado' },
  'breaker reset': { name: 'evolution' },
  'instance set': { name: 'julia-prod', proactive: true, phase: 'warming' },
  'token revoke': { id: '5f0c7b0e-1d1c-4b53-9a53-2f1d5f3a9c11', reason: 'notebook perdido' },
  'agent save': { name: 'Ana', company: 'Loja Pitanga', note: 'nome da loja' },
  'agent publish': { version: 2, reason: 'aprovado pela loja' },
  'directive add': { text: 'Frete grátis para todo o Brasil', until: 'sexta' },
  'agent try': { text: 'Vocês abrem amanhã?' },
  'tool add': { file: { name: 'consultar_pedido.json', base64: 'eyJuYW1lIjogImNvbnN1bHRhcl9wZWRpZG8ifQ==' } },
  'tool show': { name: 'consultar_pedido' },
  'tool test': { name: 'consultar_pedido', input: '{"pedido": "1001", "telefone": "5511912345678"}' },
  'tool remove': { name: 'consultar_pedido' },
  'tool secret': { name: 'LOJA', value: 'the-token-of-your-order-service' },
  'subscription add': { url: 'https://programa.example.com/eventos', types: 'message.received,message.sent' },
  'tenant create': {
    slug: 'loja-azul',
    name: 'Loja Azul',
    'owner-name': 'Ana',
    'owner-email': 'ana@example.com',
  },
  'tenant show': { slug: 'loja-azul' },
  'job run': { name: 'sync_numbers' },
  'follow-up set': { steps: '1d Oi {nome}, ainda posso ajudar?' },
  'campaign create': { name: 'inverno', tag: 'vip', text: 'Oi {primeiro_nome}, a coleção de inverno chegou!' },
  'campaign list': {},
  'contact import': { file: { name: 'clientes.csv', base64: 'dGVsZWZvbmU7bm9tZQoxMSA5MTIzNC01Njc4O01hcmlh' }, tag: 'vip' },
  'contact tag': { phone: '+5511912345678', add: 'vip' },
  ...Object.fromEntries(['preview', 'start', 'pause', 'resume', 'stop', 'report'].map((verb) => [`campaign ${verb}`, { name: 'inverno' }])),
  'notice send': { type: 'picked_up', to: '+5511912345678', reference: 'pedido-1001', data: { nome: 'Maria', codigo: '1001' } },
  'notice test': { type: 'order_shipped', phone: '+5511912345678' },
  'notice list': { reference: 'pedido-1001' },
  'notice opt-out': { setting: 'ignore', reason: 'pedido da loja' },
  'template set': { type: 'picked_up', text: '{nome}, obrigado pela visita!' },
  'template on': { type: 'picked_up' },
  'template off': { type: 'picked_up' },
  'template preview': { type: 'order_shipped' },
  'ignored replay': { reason: 'unknown_event' },
};

/** What is required, else the first that there is an example of, and the reason for the audit. */
export function exampleOf(command: string, args: z.ZodObject): object {
  const known = BY_COMMAND[command];
  if (known !== undefined) return known;
  const fields = Object.entries(args.shape);
  const required = fields.filter(([, field]) => !(field as z.ZodType).safeParse(undefined).success).map(([name]) => name);
  const first = fields.find(([name]) => name in BY_NAME)?.[0];
  const names = new Set([
    ...(required.length > 0 || first === undefined ? required : [first]),
    ...('reason' in args.shape ? ['reason'] : []),
  ]);
  return Object.fromEntries([...names].map((name) => [name, BY_NAME[name]]));
}
