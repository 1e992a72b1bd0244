/**
 * A program of its own (process/apart.ts): opens a file of somebody's and says what is in it. `pages` and `text [MOST]` of a PDF, `word` of a .docx; the file comes on
 * standard input, one JSON value goes to standard output.
 */
import { argv, stdin, stdout } from 'node:process';

const [what = '', most = '0'] = argv.slice(2);
const input: Buffer[] = [];
for await (const part of stdin) input.push(part as Buffer);
const bytes = Buffer.concat(input);

stdout.write(JSON.stringify(what === 'word' ? await word() : await pdf()));

async function pdf(): Promise<object> {
  const { extractText, getDocumentProxy } = await import('unpdf');
  try {
    // it is to say nothing on the console
    const document = await getDocumentProxy(new Uint8Array(bytes), { verbosity: 0 });
    const count = document.numPages;
    if (count < 1) return { kind: 'broken', detail: 'it has no pages' };
    if (what === 'pages' || count > Number(most)) return { kind: 'pages', count, text: null };
    const { text } = await extractText(document, { mergePages: false });
    return { kind: 'pages', count, text };
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    return name === 'PasswordException' ? { kind: 'locked' } : { kind: 'broken', detail: `${name}: ${message}` };
  }
}

async function word(): Promise<object> {
  const { default: mammoth } = await import('mammoth');
  try {
    // No pictures: they would stand in the text as base64.
    const convertImage = mammoth.images.imgElement(async () => Promise.resolve({ src: '' }));
    const { value } = await mammoth.convertToHtml({ buffer: bytes }, { convertImage });
    return { kind: 'html', html: value };
  } catch (error) {
    return { kind: 'broken', detail: error instanceof Error ? error.message : String(error) };
  }
}
