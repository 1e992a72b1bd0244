/** The console's own script. Pages work without it where a form is enough; it adds what is live and what keys do. */

// A link from elsewhere brings no cookie (SameSite=Strict). Asked from here it does.
const login = document.querySelector('form[data-go]');
if (login) {
  fetch('/console/session')
    .then((answer) => answer.json())
    .then((session) => session.in && location.replace(login.dataset.go))
    .catch(() => {});
}

// A page that could not be made asks again by itself.
const again = document.querySelector('[data-again]');
if (again) setTimeout(() => location.reload(), Number(again.dataset.again) * 1_000);

// What cannot be taken back asks once more, before htmx or the browser posts it.
document.addEventListener(
  'submit',
  (event) => {
    const words = event.target.dataset.ask;
    if (words && !confirm(words)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  },
  true,
);

const live = document.querySelector('[data-live]');

/** The end of the conversation, unless a person reads further up. */
let atEnd = true;
function messages() {
  return document.querySelector('[data-bottom]');
}
function toEnd() {
  const list = messages();
  if (list && atEnd) list.scrollTop = list.scrollHeight;
}
document.addEventListener(
  'scroll',
  (event) => {
    const list = messages();
    if (event.target === list) atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  },
  true,
);
toEnd();

/** Each send has a name, so that pressing twice is one message. */
function nameSend() {
  for (const field of document.querySelectorAll('[data-once] [name=key]')) if (field.value === '') field.value = crypto.randomUUID();
}
nameSend();

// htmx keeps what stands in a field while it brings a conversation up to date; what was sent is taken out here.
document.addEventListener('htmx:after:request', (event) => {
  const form = event.target.closest?.('form[data-once]');
  if (!form) return;
  atEnd = true;
  form.reset();
  for (const field of form.querySelectorAll('[name=key]')) field.value = '';
  for (const field of form.querySelectorAll('textarea')) field.value = '';
  keep.clear();
  nameSend();
});
document.addEventListener('htmx:after:swap', () => {
  toEnd();
  nameSend();
});

/** What a person has begun to write, by conversation: kept over a page that is loaded again. */
const keep = {
  name: () => `words of ${live?.dataset.conversation ?? ''}`,
  clear: () => sessionStorage.removeItem(keep.name()),
};
const words = document.querySelector('#words');
if (words && live?.dataset.conversation) {
  words.value = sessionStorage.getItem(keep.name()) ?? words.value;
  document.addEventListener('input', (event) => {
    if (event.target.id === 'words') sessionStorage.setItem(keep.name(), event.target.value);
  });
}

// A suggestion is put into the field, and read before it is sent.
document.addEventListener('click', (event) => {
  const fill = event.target.closest?.('[data-fill]');
  const field = document.querySelector('#words');
  if (!fill || !field) return;
  field.value = fill.dataset.fill;
  field.focus();
});

/* ---- live ---- */

const banner = document.querySelector('#banner');
function tell(text) {
  if (!banner) return;
  banner.textContent = text;
  banner.hidden = text === '';
}
function clock(at) {
  return at.toLocaleTimeString('pt-BR', { hour: '2-digit', minute: '2-digit' });
}

/** Parts that are asked for at most once a second, and never twice at once. */
const PART_MS = 900;
function part(load) {
  let busy = false;
  let again = false;
  async function go() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    await load().catch(() => {});
    setTimeout(() => {
      busy = false;
      if (again) {
        again = false;
        void go();
      }
    }, PART_MS);
  }
  return go;
}
const refreshList = part(() => {
  const here = new URL(location.href);
  here.pathname = '/console/conversations/list';
  if (live.dataset.conversation) here.searchParams.set('open', live.dataset.conversation);
  return htmx.ajax('GET', here.pathname + here.search, { target: '#list', swap: 'innerMorph' });
});
const refreshThread = part(() =>
  htmx.ajax('GET', `/console/conversations/${live.dataset.conversation}/thread`, { target: '#thread', swap: 'innerMorph' }),
);

/** The server beats every 4 s. */
const SILENCE_MS = 13_000;
if (live) {
  const conversation = live.dataset.conversation ?? '';
  const isOld = new URL(location.href).searchParams.has('before');
  let heardAt = new Date();
  let known = null;
  let lost = false;
  const heard = () => {
    heardAt = new Date();
    if (lost) {
      lost = false;
      tell('');
      known = null;
    }
  };
  const source = new EventSource(`/console/stream?conversation=${conversation}`);
  source.addEventListener('beat', heard);
  source.addEventListener('news', (event) => {
    heard();
    const news = JSON.parse(event.data);
    if (known === null || known.lists !== news.lists) void refreshList();
    if (conversation !== '' && !isOld && (known === null || known.thread !== news.thread)) void refreshThread();
    known = news;
  });
  source.addEventListener('away', (event) => {
    heardAt = new Date();
    tell(
      `O banco de dados não responde desde ${clock(new Date(JSON.parse(event.data).since))}. O que está na tela pode estar velho; nada se perde.`,
    );
  });
  source.addEventListener('back', () => {
    tell('');
    void refreshList();
    if (conversation !== '') void refreshThread();
  });
  source.addEventListener('over', () => location.replace('/console/login'));
  const gone = () => {
    lost = true;
    tell(`Sem conexão ao vivo desde ${clock(heardAt)}. O que está na tela pode estar velho; tentando de novo.`);
  };
  source.addEventListener('error', gone);
  window.addEventListener('offline', gone);
  setInterval(() => {
    if (Date.now() - heardAt.getTime() > SILENCE_MS) gone();
  }, 2_000);
}

/* ---- keys ---- */

function rows() {
  return [...document.querySelectorAll('[data-row]')];
}
function step(by) {
  const all = rows();
  const at = all.indexOf(document.activeElement);
  const from = at >= 0 ? at : all.findIndex((row) => row.hasAttribute('aria-current'));
  all[Math.min(all.length - 1, Math.max(0, from + by))]?.focus();
}
document.addEventListener('keydown', (event) => {
  const field = event.target;
  const isText = field.matches?.('input, textarea, select');
  if (isText) {
    if (event.key === 'Escape') field.blur();
    if (event.key === 'Enter' && !event.shiftKey && field.dataset.send !== undefined && !event.isComposing) {
      event.preventDefault();
      field.form.requestSubmit();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'j' || event.key === 'k') return step(event.key === 'j' ? 1 : -1);
  const found = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!found) return;
  event.preventDefault();
  if (found.matches('input, textarea')) found.focus();
  else found.click();
});

// A file travels as a field of its form, so that one way of posting is enough.
for (const input of document.querySelectorAll('input[type=file][data-file]')) {
  input.addEventListener('change', async () => {
    const { form } = input;
    const [file] = input.files;
    form.elements.base64.value = '';
    if (!file) return;
    const reader = new FileReader();
    reader.addEventListener('load', () => {
      form.elements.base64.value = String(reader.result).split(',')[1] ?? '';
      form.elements.file.value = file.name;
      if (form.elements.name.value === '') form.elements.name.value = file.name;
    });
    reader.readAsDataURL(file);
  });
}

// On a phone the pages stand in one row: the one that is open is in sight.
document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
