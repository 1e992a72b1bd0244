/**
 * `npm run docs:configuration` writes what is told about variables, from their fields in src/config/fields: .env.example,
 * docs/configuration.md and docs/configuration.pt-BR.md. A test compares the three with what this file would write.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { wordsOf } from '../src/config/told.ts';
import type { Told } from '../src/config/told.ts';
import { SECRET_VARIABLES, SUBJECTS, variables } from '../src/config/variables.ts';
import { projectRoot } from './lib/tools.ts';

type Language = 'en' | 'pt';
type Variable = Omit<Told, 'standard'> & { readonly name: string; readonly standard: string | undefined };

const COMMENT_WIDTH = 138;

const ENV_HEAD = `# Written by \`npm run docs:configuration\` from src/config/fields: change the sentences there.
# Copy to .env and change what you need; \`set -a; . ./.env; set +a\` puts it into a shell. It starts a development api as it is.
# An empty value means "not set". A line that begins with "# NAME=" shows the default of a variable, or an example of one that has none.
# Booleans are true, false, 1 or 0. In production every missing or wrong variable is listed at start-up, by name only.
`;

const PAGE_HEAD: Record<Language, string> = {
  en: `# Configuration

<!-- Written by \`npm run docs:configuration\` from src/config/fields: change the sentences there. -->

Everything comes from the environment, is read once at the start, and is checked as a whole: a process that misses something lists all problems by name in one line and exits with 1. An empty value means "not set"; booleans are \`true\`, \`false\`, \`1\` or \`0\`. [.env.example](../.env.example) has all of them as a file, and starts an api for development as it is; [.env.production.example](../.env.production.example) is the one for [docker compose](docker.md).
`,
  pt: `# Configuração

<!-- Escrito por \`npm run docs:configuration\` a partir de src/config/fields: mude as frases lá. -->

Tudo vem do ambiente, é lido uma vez no início e checado por inteiro: um processo a que falta algo lista todos os problemas pelo nome em uma linha e sai com 1. Um valor vazio quer dizer "não definida"; booleanos são \`true\`, \`false\`, \`1\` ou \`0\`. [.env.example](../.env.example) tem todas em um arquivo, e inicia uma api de desenvolvimento como está; [.env.production.example](../.env.production.example) é o do [docker compose](docker.pt-BR.md).
`,
};

const TABLE_HEAD: Record<Language, string> = {
  en: '| variable | default | meaning |\n| --- | --- | --- |',
  pt: '| variável | padrão | significado |\n| --- | --- | --- |',
};

const FILES: Record<Language, { heading: string; text: string }> = {
  en: {
    heading: 'Secrets from files',
    text: 'Each of these can be read from a file instead, as Docker and Kubernetes mount them: set `DATABASE_URL_FILE` to its path in place of `DATABASE_URL`, and so on.',
  },
  pt: {
    heading: 'Segredos em arquivos',
    text: 'Cada um destes pode ser lido de um arquivo, como o Docker e o Kubernetes os montam: defina `DATABASE_URL_FILE` com o caminho no lugar de `DATABASE_URL`, e assim por diante.',
  },
};

/** Every file that this command writes, by its path from the root of the project. */
export function configurationDocs(): Record<string, string> {
  return {
    '.env.example': environmentExample(),
    'docs/configuration.md': page('en'),
    'docs/configuration.pt-BR.md': page('pt'),
  };
}

function environmentExample(): string {
  const sections = SUBJECTS.map((subject) => {
    const note = subject.note === undefined ? '' : `${comment(plain(subject.note.en))}\n`;
    const lines = variablesOf(subject.fields).map((variable) => `${comment(plain(sentence(variable.en)))}\n${assignment(variable)}`);
    return `${ruler(subject.title.en)}\n${note}\n${lines.join('\n')}\n`;
  });
  const files = SECRET_VARIABLES.map((name) => `# ${name}_FILE=/run/secrets/${name.toLowerCase()}`);
  return `${ENV_HEAD}\n${sections.join('\n')}\n${ruler(FILES.en.heading)}\n${comment(plain(FILES.en.text))}\n\n${files.join('\n')}\n`;
}

function page(language: Language): string {
  const sections = SUBJECTS.map((subject) => {
    const note = subject.note === undefined ? '' : `${subject.note[language]}\n\n`;
    const rows = variablesOf(subject.fields).map(
      ({ name, standard, [language]: words }) => `| \`${name}\` | ${standard === undefined ? '—' : `\`${standard}\``} | ${words} |`,
    );
    return `## ${subject.title[language]}\n\n${note}${TABLE_HEAD[language]}\n${rows.join('\n')}\n`;
  });
  const { heading, text } = FILES[language];
  const secrets = SECRET_VARIABLES.map((name) => `\`${name}\``).join(', ');
  return `${PAGE_HEAD[language]}\n${sections.join('\n')}\n## ${heading}\n\n${text}\n\n${secrets}\n`;
}

function variablesOf(fields: (typeof SUBJECTS)[number]['fields']): Variable[] {
  const defaults: Record<string, string | number | boolean | readonly unknown[] | undefined> = variables.parse({});
  return Object.entries(fields).map(([name, field]) => {
    const words = wordsOf(name, field);
    const value = defaults[name];
    // A list is told in the words of people, or is empty.
    const own = typeof value === 'object' || value === undefined ? undefined : String(value);
    return { ...words, name, standard: words.standard ?? own };
  });
}

function assignment({ name, start, standard, example }: Variable): string {
  return start === undefined ? `# ${name}=${quoted(standard ?? example ?? '')}` : `${name}=${quoted(start)}`;
}

/** As a shell and docker compose read it alike. */
function quoted(value: string): string {
  return /^[\w./:@,+=*%-]*$/.test(value) ? value : `"${value}"`;
}

function sentence(words: string): string {
  return `${words.replace(/^[a-z]/, (first) => first.toUpperCase())}${/[.)]$/.test(words) ? '' : '.'}`;
}

/** Without Markdown; a link names its page. */
function plain(words: string): string {
  return words.replaceAll(/\[([^\]]+)\]\(([^)]+)\)/g, '$1 (docs/$2)').replaceAll('`', '');
}

function comment(words: string): string {
  const lines = [''];
  for (const word of words.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + word.length + 1 > COMMENT_WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((line) => `# ${line}`).join('\n');
}

function ruler(title: string): string {
  return `# ---- ${title} `.padEnd(COMMENT_WIDTH, '-');
}

if (import.meta.main) {
  for (const [file, text] of Object.entries(configurationDocs())) {
    await writeFile(path.join(projectRoot, file), text);
    process.stdout.write(`wrote ${file}\n`);
  }
}
