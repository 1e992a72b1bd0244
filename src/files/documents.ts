/** What is in a PDF or a Word file, opened in a process of its own. */
import { z } from 'zod';
import { runApart } from '../process/apart.ts';

const PROGRAM = new URL('./open.ts', import.meta.url);
/** A file that takes longer is broken to us. Milliseconds. */
const OPEN_MS = 30_000;

const broken = z.object({ kind: z.literal('broken'), detail: z.string() });
const pdf = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('pages'), count: z.number(), text: z.array(z.string()).nullable() }),
  z.object({ kind: z.literal('locked') }),
  broken,
]);
/** `text` null: it was not asked for, or there are more pages than were. */
export type Pdf = z.infer<typeof pdf>;

const word = z.discriminatedUnion('kind', [z.object({ kind: z.literal('html'), html: z.string() }), broken]);

/** How many pages a PDF has. Contract: never throws; what cannot be opened in time and within its memory is broken. */
export async function pagesOf(bytes: Buffer): Promise<Pdf> {
  return opened(await runApart(PROGRAM, ['pages'], { input: bytes, ms: OPEN_MS, answer: pdf }));
}

/** The text of each page of a PDF with at most `most` pages; likewise. */
export async function pdfText(bytes: Buffer, most: number): Promise<Pdf> {
  return opened(await runApart(PROGRAM, ['text', String(most)], { input: bytes, ms: OPEN_MS, answer: pdf }));
}

/** A Word file as the small HTML that mammoth makes of it; likewise. */
export async function wordHtml(bytes: Buffer): Promise<z.infer<typeof word>> {
  return opened(await runApart(PROGRAM, ['word'], { input: bytes, ms: OPEN_MS, answer: word }));
}

function opened<Value>(answer: Awaited<ReturnType<typeof runApart<Value>>>): Value | z.infer<typeof broken> {
  if (answer.ok) return answer.value;
  return {
    kind: 'broken',
    detail: answer.why === 'timeout' ? `it could not be opened within ${OPEN_MS / 1000} s` : 'it takes more memory than a file may',
  };
}
