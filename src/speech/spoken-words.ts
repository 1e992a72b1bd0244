/** What was said, out of what a speech model answers: it writes words for silence too. Pure. */

export type Heard = {
  text: string;
  segments?:
    | readonly {
        text: string;
        no_speech_prob?: number | null | undefined;
        avg_logprob?: number | null | undefined;
        compression_ratio?: number | null | undefined;
      }[]
    | null
    | undefined;
};

/** Whisper's own rule for a part without speech: it thinks so, and is not sure of its words. Source: `no_speech_threshold`, `logprob_threshold` of openai/whisper. */
const NO_SPEECH = 0.6;
const UNSURE = -1;
/** The same words over and over. Source: `compression_ratio_threshold`. */
const REPEATED = 2.4;

/** Captions that whisper models have learned from films and write for silence, music and taps; nobody says them in a voice note. Source: docs/media.md. */
const CAPTIONS =
  /^(legendas? (pela|por|da|de) comunidade.*|(tradução e )?legendas? (por|de|do|da) .*|amara\.org.*|.*\bamara\.org\b.*|(música|musica|aplausos|silêncio|silencio|risos)|\[.*\]|\(.*\)|♪.*|inscreva-se no canal.*|obrigad[oa] por assistir.*|subtítulos .*|subtitles by .*|thanks for watching.*|\.+)$/i;

/** The words; null: nothing was said. */
export function spoken({ text, segments }: Heard): string | null {
  const said = segments == null || segments.length === 0 ? [text] : segments.filter((each) => !isEmpty(each)).map((each) => each.text);
  const words = said
    .map((each) => each.trim())
    .filter((each) => each !== '' && !CAPTIONS.test(each.replace(/[.!]+$/, '')))
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();
  return /[\p{L}\p{N}]/u.test(words) ? words : null;
}

function isEmpty({
  no_speech_prob: noSpeech,
  avg_logprob: sure,
  compression_ratio: ratio,
}: NonNullable<Heard['segments']>[number]): boolean {
  return ((noSpeech ?? 0) > NO_SPEECH && (sure ?? 0) < UNSURE) || ((ratio ?? 0) > REPEATED && (sure ?? 0) < UNSURE);
}
