// The choices of faults and the small form that makes one: what fails, how, and how many times.
import { post } from './api.js';
import { el, toast } from './dom.js';

/** A form for one target ('send', 'webhook' or 'claude'); `scope()` gives the `match` of the fault, or undefined. */
export function faultForm(target, { scope = () => undefined } = {}) {
  const kinds = FAULT_KINDS[target];
  const kind = el(
    'select',
    { 'aria-label': 'Tipo de falha', testid: `fault-${target}-kind`, onchange: () => drawFields() },
    ...kinds.map((item) => el('option', { value: item.kind }, item.label)),
  );
  const times = el(
    'select',
    { 'aria-label': 'Quantas vezes', testid: `fault-${target}-times` },
    ...TIMES.map(([value, label]) => el('option', { value }, label)),
  );
  const fields = el('div', { class: 'fault-fields' });
  const drawFields = () => fields.replaceChildren(...current().fields.map((name) => field(target, name, current())));
  const current = () => kinds.find((item) => item.kind === kind.value);
  drawFields();
  return el(
    'form',
    {
      class: 'fault-form',
      onsubmit: (event) => {
        event.preventDefault();
        const match = scope();
        const body = {
          target,
          kind: kind.value,
          times: times.value === 'always' ? null : Number(times.value),
          ...Object.fromEntries([...fields.querySelectorAll('[name]')].map(readField)),
          ...(match === undefined ? {} : { match }),
        };
        post('/faults', body).catch((failure) => toast(failure.message, 'error'));
      },
    },
    kind,
    fields,
    el(
      'div',
      { class: 'fault-row' },
      times,
      el('button', { type: 'submit', class: 'button button-main', testid: `fault-${target}-apply` }, 'Aplicar'),
    ),
  );
}

/** How an active fault reads in the list. */
export function faultLabel(fault) {
  const known = FAULT_KINDS[fault.target]?.find((item) => item.kind === fault.kind);
  const extras = ['status', 'ms', 'n']
    .filter((name) => fault[name] !== undefined && known?.fields.includes(name))
    .map((name) => `${fault[name]}${name === 'ms' ? ' ms' : ''}`);
  if (fault.sent !== undefined) extras.push(fault.sent ? 'enviada' : 'não enviada');
  const left = fault.times === null ? 'sempre' : `${fault.times}×`;
  return `${TARGET_NAMES[fault.target] ?? fault.target}: ${known?.label ?? fault.kind}${extras.length > 0 ? ` (${extras.join(', ')})` : ''} · ${left}`;
}

function field(target, name, { defaults = {} }) {
  const testid = `fault-${target}-${name}`;
  if (name === 'sent') {
    return el(
      'label',
      { class: 'fault-field' },
      'A mensagem sai?',
      el(
        'select',
        { name, testid },
        el('option', { value: 'true' }, 'sim, foi enviada'),
        el('option', { value: 'false' }, 'não, nada saiu'),
      ),
    );
  }
  if (name === 'status' && target === 'claude') {
    return el(
      'label',
      { class: 'fault-field' },
      'Código',
      el('select', { name, testid }, ...[429, 500, 529].map((code) => el('option', { value: code }, String(code)))),
    );
  }
  const { label, min, max, value } = { ...NUMBERS[name], value: defaults[name] ?? NUMBERS[name].value };
  return el('label', { class: 'fault-field' }, label, el('input', { name, type: 'number', min, max, value, required: true, testid }));
}

function readField(node) {
  return [node.name, node.name === 'sent' ? node.value === 'true' : Number(node.value)];
}

const NUMBERS = {
  status: { label: 'Código HTTP', min: 400, max: 599, value: 500 },
  ms: { label: 'Milissegundos', min: 0, max: 120_000, value: 5_000 },
  n: { label: 'Cópias a mais', min: 1, max: 20, value: 1 },
};

const TIMES = [
  ['1', '1 vez'],
  ['3', '3 vezes'],
  ['always', 'Sempre'],
];

const TARGET_NAMES = { send: 'Envio', webhook: 'Webhook', claude: 'Claude', presence: 'Presença', find: 'Busca', state: 'Estado' };

const FAULT_KINDS = {
  send: [
    { kind: 'status', label: 'Responder com erro HTTP', fields: ['status'] },
    { kind: 'refuse-before', label: 'Recusar sem enviar (Connection Closed)', fields: [] },
    { kind: 'refuse-after', label: 'Enviar e mesmo assim recusar', fields: [] },
    { kind: 'timed-out', label: 'Responder Timed Out', fields: ['sent'] },
    { kind: 'hang', label: 'Nunca responder', fields: ['sent'] },
    { kind: 'drop', label: 'Derrubar a conexão', fields: ['sent'] },
    { kind: 'slow', label: 'Responder devagar', fields: ['ms'] },
    { kind: 'error-ack', label: 'Aceitar e depois acusar ERROR', fields: [] },
    { kind: 'no-ack', label: 'Não confirmar entrega nem leitura', fields: [] },
    { kind: 'unauthorized', label: 'Recusar a chave (401)', fields: [] },
    { kind: 'rate-limited', label: 'Limite de envios (429)', fields: [] },
    { kind: 'echo-first', label: 'Eco antes da resposta HTTP', fields: [] },
    { kind: 'echo-late', label: 'Eco atrasado', fields: ['ms'] },
    { kind: 'no-echo', label: 'Sem eco (send.message)', fields: [] },
  ],
  webhook: [
    { kind: 'drop', label: 'Perder o webhook', fields: [] },
    { kind: 'repeat', label: 'Entregar repetido', fields: ['n'] },
    { kind: 'delay', label: 'Entregar com atraso', fields: ['ms'] },
    { kind: 'reorder', label: 'Entregar fora de ordem', fields: [] },
  ],
  claude: [
    { kind: 'slow', label: 'Responder devagar', fields: ['ms'], defaults: { ms: 15_000 } },
    { kind: 'status', label: 'Responder com erro', fields: ['status'] },
    { kind: 'hang', label: 'Nunca responder', fields: [] },
    { kind: 'truncated', label: 'Cortar a resposta', fields: [] },
    { kind: 'invalid-json', label: 'Responder JSON inválido', fields: [] },
    { kind: 'no-text', label: 'Responder sem texto', fields: [] },
  ],
};
