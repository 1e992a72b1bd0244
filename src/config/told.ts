/** What people are told about a variable, on its field: `.env.example` and docs/configuration*.md are made of it (`npm run docs:configuration`). */
import { z } from 'zod';

/** Markdown that fits into a cell of a table; links go from docs/. */
export type Told = {
  readonly en: string;
  readonly pt: string;
  /** What holds when it is not set, where config.ts says that and not the field. */
  readonly standard?: string;
  /** The value with which .env.example starts an api for development. */
  readonly start?: string;
  /** A value to show, where there is none that holds. */
  readonly example?: string;
};

/** The variables of one subject, under one heading. */
export type Subject = {
  readonly title: { readonly en: string; readonly pt: string };
  readonly note?: { readonly en: string; readonly pt: string };
  readonly fields: Readonly<Record<string, z.ZodType>>;
};

const registry = z.registry<Told>();

export function told<Field extends z.ZodType>(field: Field, words: Told): Field {
  registry.add(field, words);
  return field;
}

/** Throws for a field that tells nothing: that is a mistake in this folder. */
export function wordsOf(name: string, field: z.ZodType): Told {
  const words = registry.get(field);
  if (words === undefined) throw new Error(`${name}: says nothing about itself; wrap its field in told(...)`);
  return words;
}
