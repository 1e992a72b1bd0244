/** The pages of the project as tests read them: all Markdown of the root and of docs/, whatever is added to it. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../scripts/lib/tools.ts';

const pagesOf = (folder: string): string[] =>
  readdirSync(path.join(projectRoot, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.posix.join(folder, name));

export const PAGES: readonly string[] = [...pagesOf('.'), ...pagesOf('docs')];

/** Pages in two languages: what is told to users and operators. */
export const TRANSLATIONS: readonly (readonly [string, string])[] = PAGES.filter((page) => page.endsWith('.pt-BR.md')).map((page) => [
  page.replace('.pt-BR.md', '.md'),
  page,
]);

export const MANUALS: readonly string[] = TRANSLATIONS.flat();

export type CodeBlock = { language: string; code: string };

export function codeBlocks(file: string): CodeBlock[] {
  return [...read(file).matchAll(/^( *)```(\w+)\n([^]*?)^\1```$/gm)].map(([, indent = '', language = '', code = '']) => ({
    language,
    code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

/** Without code blocks. */
export function prose(file: string): string {
  return read(file).replaceAll(/^( *)```\w*\n[^]*?^\1```$/gm, '');
}

export function headings(file: string): string[] {
  return prose(file).match(/^#+ .*$/gm) ?? [];
}

/** As GitHub makes anchors. */
export function slug(heading: string): string {
  const text = heading.replace(/^#+ /, '').toLowerCase();
  return text.replaceAll(/[^\p{L}\p{N}\s-]/gu, '').replaceAll(' ', '-');
}

export function filesBelow(folder: string): string[] {
  const entries = readdirSync(path.join(projectRoot, folder), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.relative(projectRoot, path.join(entry.parentPath, entry.name)));
}

export function read(file: string): string {
  return readFileSync(path.join(projectRoot, file), 'utf8');
}
