/**
 * Why a number is not connected, from what WhatsApp said when it closed the socket, and what to do about it. That differs: a number that was banned must not be
 * paired again. One table, as the runbook has it. Pure. Source of the codes: contract 3, connection.update.
 */

type Closed = {
  /** After "it is disconnected". */
  en: string;
  pt: string;
  /** What a person does; `{}` is the name of the number. */
  mend: string;
  mendPt: string;
};

const BANNED: Closed = {
  en: 'WhatsApp has banned or restricted it',
  pt: 'o WhatsApp baniu ou restringiu o número',
  mend: 'do not pair it again and do not restart it; npm run admin -- pause instance {}, and appeal in the app (runbook, "The number is disconnected")',
  mendPt:
    'Não pareie de novo, não reinicie e não feche o disjuntor: pause o número (npm run admin -- pause instance {}) e recorra pelo aplicativo; runbook, "O número está desconectado".',
};
const UNPAIRED: Closed = {
  en: 'its pairing is gone: somebody removed the linked device',
  pt: 'o pareamento acabou: alguém removeu o aparelho conectado',
  mend: 'npm run admin -- instance qr {}, and scan the code with the phone',
  mendPt: 'Peça um código novo e leia-o com o telefone: npm run admin -- instance qr {}.',
};
const LOST: Closed = {
  ...UNPAIRED,
  en: 'the connection was lost and its pairing with it, as Evolution 2.4 does',
  pt: 'a conexão caiu e o pareamento acabou com ela, como a Evolution 2.4 faz',
};
const REFUSED: Closed = {
  ...UNPAIRED,
  en: 'nobody scanned its codes in time',
  pt: 'ninguém leu os códigos a tempo',
};
const UNKNOWN: Closed = {
  en: 'nothing was said of the reason',
  pt: 'sem motivo informado',
  mend: 'npm run admin -- instance connect {}',
  mendPt: 'Reconecte-o: npm run admin -- instance connect {}.',
};

const BY_CODE: Readonly<Record<number, Closed>> = { 401: UNPAIRED, 402: BANNED, 403: BANNED, 406: BANNED, 408: LOST };

/** Whether WhatsApp itself has shut the number out. */
export function isBanned({ status, code }: { status: string; code?: number | null | undefined }): boolean {
  return status === 'close' && code != null && BY_CODE[code] === BANNED;
}

function closedBy({ status, code }: { status: string; code?: number | null | undefined }): Closed {
  if (status === 'refused') return REFUSED;
  return (status === 'close' && code != null ? BY_CODE[code] : undefined) ?? UNKNOWN;
}

/** `403: WhatsApp has banned or restricted it`; null when nothing was told. */
export function closedReason(number: { status: string; code?: number | null | undefined }): string | null {
  const closed = closedBy(number);
  if (closed === UNKNOWN) return number.status === 'close' && number.code != null ? String(number.code) : null;
  return number.status === 'refused' ? closed.en : `${number.code}: ${closed.en}`;
}

export function closedMend(number: { name: string; status: string; code?: number | null | undefined }): string {
  return closedBy(number).mend.replaceAll('{}', number.name);
}

/** Reason and advice for an alert. */
export function closedPt(number: { name: string; status: string; code?: number | null | undefined }): string {
  const closed = closedBy(number);
  const why = closed === UNKNOWN ? '' : ` ${number.status === 'refused' ? '' : `${number.code}: `}${closed.pt}.`;
  return `${why} ${closed.mendPt.replaceAll('{}', number.name)}`;
}
