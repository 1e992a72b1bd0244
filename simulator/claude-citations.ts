// Citations of search results: where the request allows them, an answer comes in pieces, and a piece that says what stands in a source names it.
// Sources in docs/claude.md. The real model decides what it cites; here a sentence does whose figures, or most of whose long words, stand in one block.

import { sourcesIn, type ApiMessage, type Block } from './claude-check.ts';
import { textField, type Json } from './types.ts';

type Citable = { at: number; source: Block; index: number; words: Set<string>; text: string };

/** The text as one block, or as several of which some cite; put together they are the text. */
export function cited(messages: ApiMessage[], text: string): Block[] {
  const blocks = citable(messages);
  const pieces: Block[] = [];
  for (const sentence of blocks.length === 0 ? [text] : (text.match(/[^.!?\n]*(?:[.!?](?=\d)[^.!?\n]*)*[.!?\n]*\s*/g) ?? [text])) {
    if (sentence === '') continue;
    const found = bestFor(sentence, blocks);
    const last = pieces.at(-1);
    if (found === null && last !== undefined && last['citations'] === undefined) last['text'] = textField(last['text']) + sentence;
    else pieces.push(found === null ? { type: 'text', text: sentence } : { type: 'text', text: sentence, citations: [locationOf(found)] });
  }
  // No block of an answer is blank.
  return pieces.length === 0 ? [{ type: 'text', text }] : pieces;
}

function citable(messages: ApiMessage[]): Citable[] {
  const sources = messages.flatMap(sourcesIn).filter((source) => (source['citations'] as Json | undefined)?.['enabled'] === true);
  return sources
    .filter((source) => source.type === 'search_result')
    .flatMap((source, at) =>
      (source['content'] as Block[]).map((block, index) => {
        const own = textField(block['text']);
        return { at, source, index, text: own, words: new Set(wordsIn(own)) };
      }),
    );
}

function bestFor(sentence: string, blocks: Citable[]): Citable | null {
  const words = wordsIn(sentence);
  const figures = words.filter((word) => /\d/.test(word));
  const long = words.filter((word) => word.length >= 5);
  if (figures.length === 0 && long.length < 4) return null;
  const fits = blocks.filter((each) => figures.every((word) => each.words.has(word)));
  const scored = fits.map((each) => ({ each, share: long.filter((word) => each.words.has(word)).length / Math.max(1, long.length) }));
  const best = scored.reduce<(typeof scored)[number] | null>(
    (most, each) => (most === null || each.share > most.share ? each : most),
    null,
  );
  return best !== null && (best.share >= 0.6 || (figures.length > 0 && best.share > 0)) ? best.each : null;
}

function wordsIn(text: string): string[] {
  return (
    text
      .normalize('NFD')
      .replaceAll(/\p{M}/gu, '')
      .toLowerCase()
      .match(/\d+(?:[.,:]\d+)*|\p{L}+/gu) ?? []
  );
}

function locationOf({ at, source, index, text }: Citable): Json {
  return {
    type: 'search_result_location',
    source: source['source'],
    title: source['title'],
    cited_text: text,
    search_result_index: at,
    start_block_index: index,
    end_block_index: index + 1,
  };
}
