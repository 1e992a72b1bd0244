/** What a campaign says and to whom, as it is asked for. Pure. */

/** Of a campaign's text; the agent's company is {loja}. SQL campaign_words puts in what they stand for. */
export const CAMPAIGN_PLACEHOLDERS = ['nome', 'primeiro_nome', 'loja'] as const;
/** Characters. */
export const MOST_CAMPAIGN_TEXT = 2_000;

const NAMES: readonly string[] = CAMPAIGN_PLACEHOLDERS;
const ALL = CAMPAIGN_PLACEHOLDERS.map((name) => `{${name}}`).join(' ');

export type Audience = {
  /** Who has all of these. */
  tags?: string[];
  /** And none of these. */
  not_tags?: string[];
  /** Who wrote within so many days. */
  wrote_days?: number;
  /** Who wrote once, but not within so many days. */
  silent_days?: number;
};

/** What is wrong with a campaign's text; null: nothing. */
export function campaignTextFault(text: string, shop: string | null): string | null {
  if (text.trim() === '') return 'text: must not be empty';
  if (text.length > MOST_CAMPAIGN_TEXT) return `text: must have at most ${MOST_CAMPAIGN_TEXT} characters`;
  const wrong = text.match(/\{[^{}\n]*\}/g)?.find((each) => !NAMES.includes(each.slice(1, -1)));
  if (wrong !== undefined) return `text: there is no placeholder ${wrong}; there are ${ALL}`;
  if (/[{}]/.test(text.replaceAll(/\{[^{}\n]*\}/g, ''))) return `text: a brace stands alone; placeholders are ${ALL}`;
  if (text.includes('{loja}') && shop === null) return 'text: {loja} has no value (NOME_EMPRESA, or the company of the agent)';
  return null;
}

/** Everybody is nobody's audience: it has to be said who is meant. */
export function audienceFault({ tags = [], wrote_days, silent_days }: Audience): string | null {
  return tags.length > 0 || wrote_days !== undefined || silent_days !== undefined
    ? null
    : 'audience: say who is meant: a tag, a list, or a filter (wrote_days, silent_days)';
}

/** A tag as it is stored: a short word or two in small letters; null: it is none. */
export function tagOf(raw: string): string | null {
  const tag = raw.trim().toLowerCase().replaceAll(/\s+/g, '-');
  return /^[\p{L}\p{N}][\p{L}\p{N}:._-]{0,59}$/u.test(tag) ? tag : null;
}
