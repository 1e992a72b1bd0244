// Where the contact writes: text, answer and edit bars, attachments, voice notes; tells the number that they type.
import { post } from './api.js';
import { el, iconButton, toast } from './dom.js';
import { summary } from './format.js';
import { sendInbound } from './outbox.js';
import { recordingBar } from './recording-bar.js';
import { toBase64 } from './voice.js';

/** Fills `root`; returns {show(chat), replyTo(message), edit(message), focus()}. Each chat keeps its own draft. */
export function mountComposer(root) {
  let chat = null;
  let reply = null;
  let editing = null;
  const drafts = new Map();
  const presence = typingPresence(() => chat);

  const bar = el('div', { class: 'reply-bar', testid: 'reply-bar', hidden: true });
  const input = el('textarea', {
    rows: 1,
    placeholder: 'Mensagem',
    'aria-label': 'Mensagem',
    testid: 'composer',
    enterkeyhint: 'send',
    oninput: () => {
      fit();
      presence.typed(input.value !== '');
    },
    onkeydown: (event) => {
      // While an input method composes, Enter picks a candidate.
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        submit();
      } else if (event.key === 'Escape' && (reply !== null || editing !== null)) {
        event.stopPropagation();
        leaveBar();
      }
    },
    onpaste: (event) => {
      const file = event.clipboardData?.files[0];
      if (file === undefined) return;
      event.preventDefault();
      attach(file);
    },
  });
  const picker = el('input', {
    type: 'file',
    hidden: true,
    testid: 'file-input',
    onchange: () => picker.files[0] && attach(picker.files[0]),
  });
  const clip = iconButton('plus', 'Anexar foto, vídeo, áudio ou documento', {
    testid: 'attach',
    onclick: () => {
      picker.value = '';
      picker.click();
    },
  });
  const send = iconButton('send', 'Enviar', { class: 'round', testid: 'send', onclick: () => submit() });
  const mic = iconButton('mic', 'Gravar mensagem de voz', { class: 'round', testid: 'mic', onclick: () => record() });
  const line = el('div', { class: 'composer-line' }, clip, picker, el('div', { class: 'composer-field' }, input), mic, send);
  root.append(bar, line);

  function fit() {
    const empty = input.value.trim() === '';
    send.hidden = empty && editing === null;
    mic.hidden = !send.hidden;
    if (GROWS_BY_ITSELF) return;
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight}px`;
  }

  function submit() {
    const text = input.value.trim();
    if (text === '' || chat === null) return;
    presence.stop();
    if (editing !== null) {
      const { id, text: before } = editing;
      leaveBar();
      if (text !== before) post(`/inbound/${id}/edit`, { text }).catch((failure) => toast(failure.message, 'error'));
      return;
    }
    sendInbound({ instance: chat.instance, contactId: chat.contactId, text, ...takeReply() });
    input.value = '';
    fit();
    input.focus();
  }

  async function attach(file) {
    if (file.size > MAX_FILE_BYTES) return toast('O arquivo passa de 16 MB, o limite do WhatsApp.', 'error');
    const target = chat;
    const caption = input.value.trim();
    const kind = KINDS.find((item) => file.type.startsWith(`${item}/`)) ?? 'document';
    try {
      const media = { kind, base64: await toBase64(file), mimetype: file.type || 'application/octet-stream', fileName: file.name };
      if (caption !== '' && kind !== 'audio') {
        media.caption = caption;
        input.value = '';
        fit();
      }
      sendInbound({ instance: target.instance, contactId: target.contactId, media, previewUrl: URL.createObjectURL(file), ...takeReply() });
    } catch (failure) {
      toast(failure.message, 'error');
    }
    input.focus();
  }

  function record() {
    const target = chat;
    presence.stop();
    line.hidden = true;
    recordingBar(root, {
      onPresence: (name) => presence.tell(name),
      onDone: async (voice) => {
        line.hidden = false;
        if (voice !== null) {
          const media = { kind: 'audio', base64: await toBase64(voice.blob), mimetype: voice.blob.type, seconds: voice.seconds };
          sendInbound({
            instance: target.instance,
            contactId: target.contactId,
            media,
            previewUrl: URL.createObjectURL(voice.blob),
            ...takeReply(),
          });
        }
        mic.focus();
      },
    });
  }

  function takeReply() {
    if (reply === null) return {};
    const quotedId = reply.id;
    leaveBar();
    return { quotedId };
  }

  function openBar(title, message) {
    bar.replaceChildren(
      el('div', { class: `quote quote-${message.fromMe ? 'in' : 'out'}` }, el('b', {}, title), el('span', {}, summary(message))),
      iconButton('close', 'Cancelar', { testid: 'reply-cancel', onclick: () => leaveBar() }),
    );
    bar.hidden = false;
    fit();
    input.focus();
  }

  function leaveBar() {
    if (editing !== null) input.value = '';
    reply = null;
    editing = null;
    bar.hidden = true;
    fit();
    input.focus();
  }

  fit();
  return {
    focus: () => input.focus(),
    replyTo(message) {
      if (editing !== null) leaveBar();
      reply = message;
      openBar(message.fromMe ? 'Responder ao número' : 'Responder a você', message);
    },
    edit(message) {
      reply = null;
      editing = message;
      input.value = message.text;
      openBar('Editar mensagem', message);
    },
    show(next) {
      if (chat !== null && editing === null) drafts.set(`${chat.instance}\n${chat.contactId}`, input.value);
      presence.stop();
      root.querySelector('[data-testid="recording-cancel"]')?.click();
      reply = null;
      editing = null;
      bar.hidden = true;
      chat = next;
      input.value = next === null ? '' : (drafts.get(`${next.instance}\n${next.contactId}`) ?? '');
      fit();
    },
  };
}

/** WhatsApp's rhythm: composing again while typing goes on, paused after a silence or when the text is gone. */
function typingPresence(currentChat) {
  let toldAt = 0;
  let target = null;
  let timer = null;
  const send = (chat, presence) => {
    if (chat === null) return;
    // Nobody waits for a presence; one that is lost only costs the other side a "digitando…".
    post('/typing', { contactId: chat.contactId, instance: chat.instance, presence }).catch(() => {});
  };
  const stop = () => {
    clearTimeout(timer);
    if (target !== null) send(target, 'paused');
    target = null;
    toldAt = 0;
  };
  return {
    stop,
    tell: (presence) => send(currentChat(), presence),
    typed(hasText) {
      if (!hasText) return stop();
      clearTimeout(timer);
      timer = setTimeout(stop, PAUSED_AFTER_MS);
      if (performance.now() - toldAt < COMPOSING_EVERY_MS && target !== null) return;
      toldAt = performance.now();
      target = currentChat();
      send(target, 'composing');
    },
  };
}

// Where CSS lets a textarea follow its text, measuring it is not needed.
const GROWS_BY_ITSELF = CSS.supports('field-sizing', 'content');
const KINDS = ['image', 'audio', 'video'];
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const COMPOSING_EVERY_MS = 5_000;
const PAUSED_AFTER_MS = 3_000;
