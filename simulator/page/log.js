// The live log: webhooks (event, attempt, status) and model calls (model, tokens, cache hits), newest first.
import { el } from './dom.js';
import { state, subscribe } from './store.js';

/** Fills `root` with two tabs and keeps them up to date. */
export function mountLog(root) {
  let shown = 'webhooks';
  const list = el('ol', { class: 'log-list', testid: 'log-list', tabindex: 0, role: 'tabpanel', 'aria-label': 'Registro' });
  const tabs = TABS.map(([name, label]) =>
    el(
      'button',
      {
        type: 'button',
        role: 'tab',
        class: 'tab',
        testid: `log-tab-${name}`,
        data: { name },
        onclick: () => {
          shown = name;
          draw();
        },
      },
      label,
    ),
  );
  const onlyMessages = el('input', { type: 'checkbox', checked: true, testid: 'log-only-messages', onchange: () => draw() });
  const filter = el('label', { class: 'log-filter' }, onlyMessages, 'Só mensagens e conexão');
  root.append(el('div', { class: 'tabs', role: 'tablist', onkeydown: (event) => moveTab(event, tabs) }, ...tabs), filter, list);

  let planned = false;
  function draw() {
    planned = false;
    for (const tab of tabs) {
      tab.setAttribute('aria-selected', String(tab.dataset.name === shown));
      tab.tabIndex = tab.dataset.name === shown ? 0 : -1;
    }
    filter.hidden = shown !== 'webhooks';
    const entries =
      shown === 'claude' ? state.log.claude : state.log.webhooks.filter((item) => !onlyMessages.checked || isTelling(item.event));
    const rows = entries.slice(0, ROWS).map(shown === 'claude' ? claudeRow : webhookRow);
    list.replaceChildren(...(rows.length > 0 ? rows : [el('li', { class: 'none' }, 'Nada ainda.')]));
  }

  subscribe(({ type }) => {
    if ((type !== 'log' && type !== 'snapshot') || planned) return;
    planned = true;
    requestAnimationFrame(draw);
  });
  draw();
}

function webhookRow({ at, event, attempt, status, error, messageId }) {
  const good = status >= 200 && status < 300;
  return el(
    'li',
    {
      class: 'log-row',
      testid: 'log-webhook',
      data: { event, attempt: attempt ?? 1, status: status ?? '', messageId: messageId ?? '' },
      title: messageId ?? '',
    },
    el('time', {}, SECONDS.format(at)),
    el('span', { class: 'log-what' }, event, attempt > 1 && el('span', { class: 'tag' }, `${attempt}ª tentativa`)),
    el('span', { class: `log-status ${good ? 'good' : 'bad'}` }, String(status ?? error ?? 'sem resposta')),
  );
}

function claudeRow({ at, model, status, ms, usage }) {
  const good = status >= 200 && status < 300;
  const fresh = (usage?.input_tokens ?? 0) + (usage?.cache_creation_input_tokens ?? 0);
  const cached = usage?.cache_read_input_tokens ?? 0;
  const share = fresh + cached === 0 ? 0 : Math.round((cached / (fresh + cached)) * 100);
  return el(
    'li',
    { class: 'log-row', testid: 'log-claude', data: { model: model ?? '', status: status ?? '' } },
    el('time', {}, SECONDS.format(at)),
    el(
      'span',
      { class: 'log-what' },
      model ?? 'modelo?',
      usage && el('small', {}, `${NUMBER.format(fresh + cached)} → ${NUMBER.format(usage.output_tokens ?? 0)} tokens · cache ${share}%`),
    ),
    el(
      'span',
      { class: `log-status ${good ? 'good' : 'bad'}` },
      String(status ?? 'sem resposta'),
      ms !== undefined && el('small', {}, `${NUMBER.format(ms)} ms`),
    ),
  );
}

function isTelling(event) {
  return /^(messages|send|connection|status)\./.test(event);
}

function moveTab(event, tabs) {
  if (event.key !== 'ArrowRight' && event.key !== 'ArrowLeft') return;
  const other = tabs.find((tab) => tab !== document.activeElement);
  other.click();
  other.focus();
}

const TABS = [
  ['webhooks', 'Webhooks'],
  ['claude', 'Claude'],
];
const ROWS = 100;
const SECONDS = new Intl.DateTimeFormat('pt-BR', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const NUMBER = new Intl.NumberFormat('pt-BR');
