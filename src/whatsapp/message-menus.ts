/** Choices that were offered or made: buttons, lists, templates, native flows, carousels. Pure and total. Field names: contract 2.3 and Baileys' protobuf. */
import { cut } from '../words/cut.ts';
import type { MessageContent } from './inbound-event.ts';
import { at, idAt, listAt, objectAt, stringAt } from '../words/json.ts';
import { readableWords } from './message-fallback.ts';
import { contentOf, inline, inlineAt, joined, moneyOf, note, ours, parsed, shown, told, typed } from './message-parts.ts';

export function choice(type: 'button' | 'list', chosen: string | null): MessageContent {
  return chosen === null ? note(type, 'escolha sem texto') : contentOf(type, [typed(chosen)]);
}

type Menu = { heading?: string | null; text: string | null; footer?: string | null; options: readonly (string | null)[] };

/** What stands on the phone, of which only the text counts as typed; the options as a note; and whatever else is readable in it. */
function menu(type: 'button' | 'list', { heading = null, text, footer = null, options: offered }: Menu, part: unknown): MessageContent {
  const names = told(offered, (option) => (typeof option === 'string' ? inline(option, MAX_OPTION_CHARS) : null), MAX_OPTIONS);
  const body = text?.trim() ?? null;
  const options = names.length > 0 ? ours(`opções: ${names.join('; ')}`) : null;
  const lines = [shown(heading), typed(body), shown(footer), options];
  const rest = readableWords(part, contentOf(type, lines).text).map(shown);
  const content = contentOf(type, [...lines, ...rest]);
  return content.text === '' ? note(type, 'menu') : content;
}

const MAX_OPTIONS = 20;
const MAX_OPTION_CHARS = 300;

export function buttons(part: unknown): MessageContent {
  return menu(
    'button',
    {
      heading: stringAt(part, 'text'),
      text: stringAt(part, 'contentText'),
      footer: stringAt(part, 'footerText'),
      options: listAt(part, 'buttons').map(
        (button) => stringAt(button, 'buttonText', 'displayText') ?? nativeButton(at(button, 'nativeFlowInfo')),
      ),
    },
    part,
  );
}

export function list(part: unknown): MessageContent {
  return menu(
    'list',
    {
      text: joined('\n', stringAt(part, 'title'), stringAt(part, 'description')),
      footer: stringAt(part, 'footerText'),
      options: listAt(part, 'sections')
        .flatMap((section) => listAt(section, 'rows'))
        .map((row) => joined(', ', stringAt(row, 'title'), stringAt(row, 'description'))),
    },
    part,
  );
}

/** Meta's templates come filled in, in one of four forms. */
export function template(part: unknown): MessageContent {
  const modern = objectAt(part, 'interactiveMessageTemplate');
  if (modern !== null) return interactive(modern);
  const filled = objectAt(part, 'hydratedTemplate') ?? objectAt(part, 'hydratedFourRowTemplate');
  return menu(
    'button',
    {
      heading: stringAt(filled, 'hydratedTitleText'),
      text: stringAt(filled, 'hydratedContentText'),
      footer: stringAt(filled, 'hydratedFooterText'),
      options: listAt(filled, 'hydratedButtons').map(templateButton),
    },
    part,
  );
}

function templateButton(button: unknown): string | null {
  const link = at(button, 'urlButton');
  const call = at(button, 'callButton');
  return (
    stringAt(button, 'quickReplyButton', 'displayText') ??
    withDetail(stringAt(link, 'displayText'), stringAt(link, 'url')) ??
    withDetail(stringAt(call, 'displayText'), stringAt(call, 'phoneNumber'))
  );
}

export function interactive(part: unknown): MessageContent {
  const header = at(part, 'header');
  return menu(
    'button',
    {
      heading: joined('\n', stringAt(header, 'title'), stringAt(header, 'subtitle')),
      text: stringAt(part, 'body', 'text'),
      footer: stringAt(part, 'footer', 'text'),
      options: [...listAt(part, 'nativeFlowMessage', 'buttons').map(nativeButton), ...listAt(part, 'carouselMessage', 'cards').map(card)],
    },
    part,
  );
}

/** A card of a carousel is a small message with buttons of its own. */
function card(part: unknown): string | null {
  const names = told(listAt(part, 'nativeFlowMessage', 'buttons'), nativeButton, 10);
  return joined(
    ', ',
    stringAt(part, 'header', 'title'),
    stringAt(part, 'header', 'subtitle'),
    stringAt(part, 'body', 'text'),
    stringAt(part, 'footer', 'text'),
    names.length > 0 ? `(${names.join(' | ')})` : null,
  );
}

/** What a native-flow button says; what it does is in JSON beside its name. */
function nativeButton(button: unknown): string | null {
  const params = parsed(at(button, 'buttonParamsJson') ?? at(button, 'paramsJson'));
  const payments = listAt(params, 'payment_settings')
    .map(payment)
    .filter((found) => found !== null);
  if (payments.length > 0) return joined(', ', stringAt(params, 'display_text'), order(params), ...payments);
  const label = stringAt(params, 'display_text') ?? stringAt(params, 'flow_cta') ?? stringAt(params, 'title');
  const rows = listAt(params, 'sections').flatMap((section) => listAt(section, 'rows'));
  if (rows.length > 0) return joined(': ', label, told(rows, rowText).join(' | '));
  return withDetail(label, stringAt(params, 'url') ?? stringAt(params, 'phone_number') ?? stringAt(params, 'copy_code'));
}

function rowText(row: unknown): string | null {
  return joined(', ', stringAt(row, 'header'), stringAt(row, 'title'), stringAt(row, 'description'));
}

/** The Pix card shows whose key it is, and the key, whatever it looks like (one kind of key is a uuid). */
function payment(setting: unknown): string | null {
  const pix = objectAt(setting, 'pix_static_code') ?? objectAt(setting, 'pix_dynamic_code');
  if (pix !== null) {
    const key = inlineAt(pix, 'key');
    return joined(', ', 'Pix', inlineAt(pix, 'merchant_name'), key === null ? null : `chave ${cut(key, 80)}`);
  }
  return withDetail('link de pagamento', stringAt(setting, 'payment_link', 'uri'));
}

/** What is to be paid, of `review_and_pay`. */
function order(params: unknown): string | null {
  const currency = inlineAt(params, 'currency');
  const items = told(listAt(params, 'order', 'items'), (item) =>
    joined(' ', idAt(item, 'quantity'), inlineAt(item, 'name'), moneyOf(at(item, 'amount'), currency)),
  );
  return joined(', ', ...items, moneyOf(at(params, 'total_amount'), currency));
}

/** `label (detail)`; null without any label. */
function withDetail(label: string | null, detail: string | null): string | null {
  return label !== null && detail !== null ? `${label} (${detail})` : label;
}

/** The answer to a native-flow button, or to a form, whose fields are told by name. */
export function interactiveReply(part: unknown): MessageContent {
  const answers = parsed(at(part, 'nativeFlowResponseMessage', 'paramsJson'));
  const body = stringAt(part, 'body', 'text');
  const label = stringAt(answers, 'display_text') ?? stringAt(answers, 'title') ?? idAt(answers, 'id');
  if (label !== null) return choice('button', stringAt(answers, 'display_text') ?? body ?? label);
  const fields = formFields(answers);
  if (fields.length > 0) return choice('button', joined('\n', body, `[formulário: ${fields.join('; ')}]`));
  return choice('button', body);
}

/** Fields of a form may be lists (boxes that were ticked) or groups (an address). */
function formFields(answers: unknown, depth = 0): string[] {
  const form = objectAt(answers) ?? {};
  return Object.keys(form)
    .filter((name) => name !== 'flow_token' && name !== 'wa_flow_response_params')
    .slice(0, 30)
    .flatMap((name) => {
      const value = stringAt(form, name) ?? idAt(form, name);
      if (value !== null) return [`${inline(name)}: ${inline(value)}`];
      const many = told(listAt(form, name), (one) => stringAt({ one }, 'one') ?? idAt({ one }, 'one'));
      if (many.length > 0) return [`${inline(name)}: ${many.map((one) => inline(one)).join(', ')}`];
      return depth < 3 && !Array.isArray(at(form, name)) ? formFields(at(form, name), depth + 1) : [];
    });
}
