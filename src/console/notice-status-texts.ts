/** States of messages as lists of the console say them. Pure. */
const STATES: Readonly<Record<string, string>> = {
  queued: 'na fila',
  sending: 'saindo',
  sent: 'enviado',
  delivered: 'entregue',
  read: 'lido',
  failed: 'não saiu',
  blocked: 'bloqueado',
  deduped: 'repetido',
  expired: 'vencido',
  cancelled: 'cancelado',
  uncertain: 'em dúvida',
  unproven: 'sem prova',
};

export function statusText(status: string): string {
  return STATES[status] ?? status;
}
