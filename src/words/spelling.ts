/**
 * Words as people type them on a phone, made those of a dictionary: abbreviations, letters that were held down, one letter wrong. For the recognition of what
 * surely asks for something: never for what is shown. Takes what words.ts leaves of a clause. Pure.
 */

/** A clause with the words that matter spelled as a dictionary has them. */
export function asSpelled(clause: string): string {
  return clause
    .split(' ')
    .map(
      (word, index, words) =>
        SHORT.get(word) ??
        (word === 'num' && /^(?:quero|me|mand|envi|aceit|autoriz)/.test(words[index + 1] ?? '') ? 'nao' : corrected(word)),
    )
    .join(' ');
}

/** Without the tilde, which is taken off before. */
const SHORT: ReadonlyMap<string, string> = new Map([
  ...['vc', 'ce', 'vcê', 'voçe', 'voçê'].map((word) => [word, 'voce'] as const),
  ...['vcs', 'vcss', 'ces', 'vces', 'voceis', 'oceis'].map((word) => [word, 'voces'] as const),
  ...['msg', 'mgs', 'mg', 'msn', 'mensage', 'mensagi', 'menssage', 'mensag', 'sms'].map((word) => [word, 'mensagem'] as const),
  ...['msgs', 'msns', 'mensages', 'mensagis', 'mensags'].map((word) => [word, 'mensagens'] as const),
  ...['n', 'nn', 'naum', 'nao', 'ñ', 'nã', 'naõ'].map((word) => [word, 'nao'] as const),
  ...['q', 'ki', 'qe'].map((word) => [word, 'que'] as const),
  ...['pra', 'p', 'pro'].map((word) => [word, 'para'] as const),
  ...['d'].map((word) => [word, 'de'] as const),
  ...['qro', 'kero', 'kro'].map((word) => [word, 'quero'] as const),
  ...['zapp', 'zapzap', 'whatss'].map((word) => [word, 'zap'] as const),
  ...['wats', 'watsapp', 'whatzap', 'whatsap', 'wathsapp', 'watsap', 'uatsap', 'zapi'].map((word) => [word, 'whatsapp'] as const),
  ...['obgd', 'obgda', 'obgdo', 'obrigadu', 'brigadu', 'obrigad'].map((word) => [word, 'obrigado'] as const),
  ...['pfvor', 'pofavor', 'pofavo', 'pvf', 'pls'].map((word) => [word, 'pfv'] as const),
  ...['tao', 'tão'].map((word) => [word, 'tao'] as const),
  ...['recebe', 'receb', 'receiber'].map((word) => [word, 'receber'] as const),
]);

/** What an opt-out turns on; all are long, so that one wrong letter leaves no doubt. */
const LONG = [
  'mensagem',
  'mensagens',
  'propaganda',
  'propagandas',
  'promocao',
  'promocoes',
  'publicidade',
  'notificacoes',
  'receber',
  'autorizo',
  'autorizei',
  'mandarem',
  'perturbar',
  'incomodar',
  'descadastrar',
  'descadastre',
  'descadastra',
  'descadastro',
  'obrigado',
  'obrigada',
  'cancelar',
  'whatsapp',
  'unsubscribe',
  'messages',
];
const KNOWN = new Set([...LONG, 'remover', 'cancelara']);

function corrected(word: string): string {
  // A letter that was held down: "paraaaa", "pareeee".
  const held = word.replaceAll(/([a-z])\1{2,}/g, '$1');
  if (held.length < 6 || held.length > 14 || KNOWN.has(held)) return held;
  return LONG.find((known) => isNear(held, known)) ?? held;
}

/** One letter too many, too few, another one, or two changed places; the first one is right. */
export function isNear(word: string, known: string): boolean {
  if (Math.abs(word.length - known.length) > 1 || word[0] !== known[0]) return false;
  let at = 0;
  while (at < known.length && word[at] === known[at]) at++;
  const [rest, wanted] = [word.slice(at), known.slice(at)];
  return (
    rest.slice(1) === wanted ||
    rest === wanted.slice(1) ||
    rest.slice(1) === wanted.slice(1) ||
    (rest[0] === wanted[1] && rest[1] === wanted[0] && rest.slice(2) === wanted.slice(2))
  );
}
