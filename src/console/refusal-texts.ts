/** Why an admin command refused, in Portuguese. Pure. */
import type { Refusal } from '../admin/command.ts';

const KINDS: Readonly<Record<Refusal['kind'], string>> = {
  not_found: 'Isso não existe mais. Recarregue a página.',
  conflict: 'Não dá agora: o estado mudou. Recarregue a página.',
  forbidden: 'O seu acesso não permite isto.',
  bad_request: 'Falta alguma coisa, ou está errada.',
  unavailable: 'O que isto precisa não responde agora. Tente de novo.',
  upstream: 'A Evolution respondeu com um erro.',
};

/** The command's own words are for who runs it; they are told beside. */
export function refusalText({ kind, message }: Refusal): string {
  return `${KINDS[kind]} (${message})`;
}
