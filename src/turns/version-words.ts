/**
 * A version of an agent's words as a file that a person edits: a heading with the name, lines `Key: value`, and a section for each part. What a file leaves out
 * stays as it was. Pure.
 */
import { LANGUAGES } from '../words/sentences.ts';
import type { Language } from '../words/sentences.ts';
import { foldWords } from '../words/fold.ts';

export type VersionFile = {
  name?: string;
  company?: string | null;
  language?: Language;
  model?: string | null;
  model_complex?: string | null;
  tone?: string;
  instructions?: string;
  promises?: string;
  sentences?: Record<string, string>;
};

/** `fault`: for who wrote it. */
export function parseVersion(text: string): { ok: true; file: VersionFile } | { ok: false; fault: string } {
  const file: VersionFile = {};
  const sections = new Map<Section, string[]>();
  let section: Section | null = null;
  for (const line of text
    .replaceAll('\r\n', '\n')
    .replace(/^\u{FEFF}/u, '')
    .split('\n')) {
    const heading = /^##\s/.test(line) ? line.slice(2).trim() : null;
    const found = heading === null ? undefined : SECTIONS[foldWords(heading)];
    if (found !== undefined) {
      if (sections.has(found)) return { ok: false, fault: `there are two sections "${heading}"` };
      section = found;
      sections.set(found, []);
    } else if (section !== null) sections.get(section)?.push(line);
    else {
      const fault = head(file, line);
      if (fault !== null) return { ok: false, fault };
    }
  }
  for (const part of ['tone', 'instructions', 'promises'] as const) {
    const lines = sections.get(part);
    if (lines !== undefined) file[part] = lines.join('\n').trim();
  }
  const said = sections.get('sentences')?.filter((line) => line.trim() !== '');
  if (said !== undefined) {
    const pairs = said.map((line) => /^[-*]?\s*([a-z_]+):\s*(.*)$/.exec(line.trim()));
    const wrong = said[pairs.indexOf(null)];
    if (wrong !== undefined) return { ok: false, fault: `a sentence is a line "name: words", and this is none: ${wrong}` };
    file.sentences = Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? '', pair?.[2] ?? '']));
  }
  return { ok: true, file };
}

/** What `parseVersion` reads back as it is. */
export function versionFile(version: Required<Omit<VersionFile, 'sentences'>> & { sentences: Readonly<Record<string, unknown>> }): string {
  const said = Object.entries(version.sentences).map(([name, words]) => `${name}: ${String(words)}`);
  return [
    `# ${version.name}`,
    '',
    ...(version.company === null ? [] : [`Empresa: ${version.company}`]),
    `Idioma: ${version.language}`,
    ...(version.model === null ? [] : [`Modelo: ${version.model}`]),
    ...(version.model_complex === null ? [] : [`Modelo complexo: ${version.model_complex}`]),
    ...[
      ['Tom', version.tone],
      ['O que fazer', version.instructions],
      ['O que pode prometer', version.promises],
      ['Frases', said.join('\n')],
    ].flatMap(([heading, words]) => (words === '' && heading === 'Frases' ? [] : ['', `## ${heading}`, '', words ?? ''])),
    '',
  ].join('\n');
}

type Section = 'tone' | 'instructions' | 'promises' | 'sentences';

/** Headings as the file and what the model reads have them, in the three languages. */
const SECTIONS: Readonly<Record<string, Section>> = {
  tom: 'tone',
  tono: 'tone',
  tone: 'tone',
  'o que fazer': 'instructions',
  instrucoes: 'instructions',
  'que hacer': 'instructions',
  'what to do': 'instructions',
  instructions: 'instructions',
  'o que pode prometer': 'promises',
  promessas: 'promises',
  'que puedes prometer': 'promises',
  'what you may promise': 'promises',
  promises: 'promises',
  frases: 'sentences',
  sentences: 'sentences',
};

const KEYS: Readonly<Record<string, 'company' | 'language' | 'model' | 'model_complex'>> = {
  empresa: 'company',
  company: 'company',
  idioma: 'language',
  language: 'language',
  modelo: 'model',
  model: 'model',
  'modelo complexo': 'model_complex',
  'modelo complejo': 'model_complex',
  'complex model': 'model_complex',
};

/** A line before the first section; null: it is understood. */
function head(file: VersionFile, line: string): string | null {
  if (line.trim() === '') return null;
  const name = /^#\s/.test(line) ? line.slice(1).trim() : '';
  if (name !== '') {
    file.name = name;
    return null;
  }
  const [, key, rest] = /^([^:]{1,40}):(.*)$/.exec(line.trimEnd()) ?? [];
  const value = rest?.trim();
  const field = key === undefined ? undefined : KEYS[foldWords(key)];
  if (field === undefined || value === undefined)
    return `this line stands before the first section and says nothing known: ${line} (known: # NAME, Empresa:, Idioma:, Modelo:, Modelo complexo:, and the sections ## Tom, ## O que fazer, ## O que pode prometer, ## Frases)`;
  if (field === 'language') {
    const language = LANGUAGES.find((each) => each.toLowerCase() === value.toLowerCase());
    if (language === undefined) return `there is no language ${value}; there are ${LANGUAGES.join(', ')}`;
    file.language = language;
  } else file[field] = value === '' ? null : value;
  return null;
}
