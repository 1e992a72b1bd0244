// The dialog to make a contact or to change one: name, phone, and how WhatsApp addresses it.
import { call, post } from './api.js';
import { el, showDialog, toast } from './dom.js';
import { phoneDigits, phoneLabel } from './format.js';
import { applyEvent } from './store.js';

/** Opens the dialog; `contact` when it is to be changed (the phone then stays). `onSaved(contact)` after success. */
export function contactForm({ contact = null, onSaved = () => {} }) {
  const name = el('input', {
    name: 'name',
    required: true,
    maxlength: 60,
    autocomplete: 'off',
    testid: 'contact-name',
    value: contact?.name ?? '',
  });
  const phone = el('input', {
    name: 'phone',
    type: 'tel',
    inputmode: 'tel',
    autocomplete: 'off',
    placeholder: '11 90000-1234',
    testid: 'contact-phone',
    value: phoneLabel(contact?.phone),
    disabled: contact !== null,
    oninput: () => phone.setCustomValidity(''),
  });
  const error = el('p', { class: 'form-error', role: 'alert' });
  const form = el(
    'form',
    { method: 'dialog' },
    el('h2', {}, contact === null ? 'Novo contato' : 'Dados do contato'),
    el('label', { class: 'field' }, el('span', {}, 'Nome'), name),
    el(
      'label',
      { class: 'field' },
      el('span', {}, 'Telefone'),
      phone,
      contact === null && el('small', {}, 'Com DDD. Vazio: o simulador escolhe um.'),
    ),
    el(
      'fieldset',
      { class: 'field choices' },
      el('legend', {}, 'Endereçamento'),
      ...ADDRESSINGS.map((item) => choice(item, contact?.addressing ?? 'pn')),
    ),
    error,
    el(
      'div',
      { class: 'dialog-actions' },
      el('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancelar'),
      el('button', { type: 'submit', class: 'button button-main', testid: 'contact-save' }, contact === null ? 'Criar' : 'Salvar'),
    ),
  );
  const dialog = el(
    'dialog',
    { class: 'dialog', 'aria-label': contact === null ? 'Novo contato' : 'Dados do contato', testid: 'contact-form' },
    form,
  );

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const typed = phone.value.trim();
    const digits = typed === '' ? undefined : phoneDigits(typed);
    if (digits === null) {
      phone.setCustomValidity('Informe o número com DDD, por exemplo 11 90000-1234.');
      phone.reportValidity();
      return;
    }
    const addressing = new FormData(form).get('addressing');
    const save =
      contact === null
        ? post('/contacts', { name: name.value.trim(), ...(digits === undefined ? {} : { phone: digits }), addressing })
        : call('PATCH', `/contacts/${encodeURIComponent(contact.id)}`, { name: name.value.trim(), addressing });
    try {
      const saved = (await save)?.contact ?? { ...contact, name: name.value.trim(), addressing };
      applyEvent({ type: 'contact', contact: saved });
      dialog.close();
      toast(contact === null ? `${saved.name} entrou nos contatos.` : 'Contato salvo.');
      onSaved(saved);
    } catch (failure) {
      error.textContent = failure.message;
    }
  });
  showDialog(dialog);
  name.focus();
}

function choice({ value, title, detail }, current) {
  return el(
    'label',
    { class: 'choice' },
    el('input', { type: 'radio', name: 'addressing', value, checked: value === current, testid: `contact-addressing-${value}` }),
    el('span', {}, el('b', {}, title), el('small', {}, detail)),
  );
}

const ADDRESSINGS = [
  { value: 'pn', title: 'Número', detail: 'Chega como 55…@s.whatsapp.net' },
  { value: 'lid', title: 'LID', detail: 'Chega como @lid, com o número ao lado' },
  { value: 'lid-hidden', title: 'LID oculto', detail: 'Chega como @lid, sem o número' },
];
