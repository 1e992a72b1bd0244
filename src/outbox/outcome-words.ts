/** What became of an outbound message, in one sentence for who asks the API. Pure. */
import { because, LOOK_YOURSELF } from '../words/reasons.ts';

/** `format` writes a moment for the reader. */
export function messageInWords(
  message: { status: string; reason: string | null; goes_at: string | null },
  format: (at: Date) => string,
): string {
  const { status, reason } = message;
  const at = message.goes_at === null ? null : format(new Date(message.goes_at));
  switch (status) {
    case 'queued':
      if (reason === null) return at === null ? 'waits for its turn' : `waits for its turn, from ${at} on`;
      return at === null
        ? `held because ${because(reason)}; it goes when that ends`
        : `held because ${because(reason)}, goes at ${at} at the earliest`;
    case 'sending':
      return 'is being sent at this moment';
    case 'sent':
      return 'left; WhatsApp has not said that it arrived';
    case 'delivered':
      return 'arrived';
    case 'read':
      return 'was read';
    case 'failed':
      return `did not leave because ${because(reason)}`;
    case 'uncertain':
      return `may have left: ${because(reason)}`;
    case 'unproven':
      return `may have left: ${because(reason)}. ${LOOK_YOURSELF}`;
    case 'deduped':
      return 'is a repeat of a message with the same Idempotency-Key, which is sent once';
    default:
      // blocked, expired, cancelled
      return `will not be sent because ${because(reason)}`;
  }
}
