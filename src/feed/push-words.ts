/** When a post is made again, and what people are told of one that never was taken. */

/** For so long a post is made again; then its subscription is disabled. Milliseconds. */
export const PATIENCE_MS = 3 * 24 * 3_600_000;
/** The wait doubles from a quarter of a minute to half an hour. Milliseconds. */
const FIRST_WAIT_MS = 15_000;
const LONGEST_WAIT_MS = 1_800_000;

/** `failures`: in a row, before this one. */
export function waitMs(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 10));
}

export function disabledText(id: number, host: string, fault: string): string {
  return `A assinatura de eventos ${id} (${host}) foi desligada depois de 3 dias de falhas; a última: ${fault}. Nada se perdeu ainda: corrija o destino e rode subscription replay ${id}. Eventos ficam guardados por 14 dias.`;
}
