/**
 * What a folder at Google says becomes what is proposed to the team. No model reads it: a sentence of a briefing is a directive as it stands, so that whoever says yes
 * has read what the agent will read.
 */
import { createHash } from 'node:crypto';
import type { Door } from '../db/door.ts';
import type { Drive, DriveFile } from '../google/client.ts';
import { setNoticeTemplate } from '../orders/calls.ts';
import { TYPE_NAMES } from '../orders/notice-texts.ts';
import { NOTICE_TYPES, templateFault } from '../orders/notice-words.ts';
import type { NoticeType } from '../orders/notice-words.ts';
import { foldWords } from '../words/fold.ts';
import { zoneOf } from '../words/zone.ts';
import { readingOf, sentencesOf } from './briefing-words.ts';
import { knownDocuments, saveDocument, withdrawDocuments } from './calls.ts';
import type { Folder, KnownDocument } from './calls.ts';
import { endIn } from './end-words.ts';

export type Synced = {
  /** Documents that were read anew. */
  read: number;
  proposed: number;
  /** Directives that a document says no more, and documents that are gone. */
  withdrawn: number;
  /** Of which documents something is proposed: name, how much, and a key that changes with its words. */
  news: { name: string; proposed: number; withdrawn: number; key: string }[];
  /** What could not be read, in words; what was read before stays as it is. */
  faults: string[];
};

export type Setting = { db: Door; drive: Drive; tenant: string; folderId: string; timeZone: string; now: Date };

/** Reads what has changed. Contract: throws what the database throws; may be cut off anywhere and run twice at once. */
export async function syncBriefings(setting: Setting, signal: AbortSignal): Promise<Synced> {
  const zone = zoneOf(setting.timeZone);
  return syncFolder(setting, 'briefings', signal, {
    async take(text, _, known) {
      const { added, gone } = readingOf(known?.sentences ?? [], sentencesOf(text));
      return { gone, added: added.map((each) => ({ ...each, text: each.sentence, ends_at: endIn(each.sentence, setting.now, zone) })) };
    },
    async gone() {},
  });
}

/** Texts of order notices, a document each by the name of its type: what is wrong in one is told now, and not at a send. A document that is gone gives its type the product's words again. */
export async function syncTemplates(setting: Setting, signal: AbortSignal): Promise<Synced> {
  const { db, tenant } = setting;
  const change = async (name: string, text: string | null): Promise<string | null> => {
    const type = typeNamed(name);
    if (type === null) return `"${name}" is the name of no notice (template list)`;
    const fault = text === null ? null : templateFault(text);
    if (fault === null) await setNoticeTemplate(db, tenant, { type, text }, 'google');
    return fault === null ? null : `"${name}": ${fault}`;
  };
  return syncFolder(setting, 'templates', signal, {
    async take(text, { name }) {
      return (await change(name, text.trim())) ?? { added: [], gone: [] };
    },
    async gone({ name }) {
      await change(name, null);
    },
  });
}

function typeNamed(name: string): NoticeType | null {
  const plain = (words: string): string => foldWords(words.replace(/\.(?:txt|md)$/i, '').replaceAll('_', ' '));
  return NOTICE_TYPES.find((type) => [type, TYPE_NAMES[type]].some((each) => plain(each) === plain(name))) ?? null;
}

type Saved = Pick<Parameters<typeof saveDocument>[1], 'added' | 'gone'>;

type Taking = {
  /** What is to become of a document's words, or what is wrong with them: it is looked at again the next time then. */
  take: (text: string, file: DriveFile, known: KnownDocument | null) => Promise<Saved | string>;
  /** The document is there no more. */
  gone: (document: KnownDocument) => Promise<void>;
};

async function syncFolder(
  { db, drive, tenant, folderId }: Setting,
  folder: Folder,
  signal: AbortSignal,
  { take, gone }: Taking,
): Promise<Synced> {
  const synced: Synced = { read: 0, proposed: 0, withdrawn: 0, news: [], faults: [] };
  const listed = await drive.list(folderId, signal);
  if (!listed.ok) return { ...synced, faults: [listed.message] };
  const known = await knownDocuments(db, tenant, folder);
  for (const file of listed.files) {
    if (signal.aborted) return synced;
    const old = known.find((each) => each.external_id === file.id) ?? null;
    if (old !== null && isSame(old, file)) continue;
    const words = await drive.words(file, signal);
    if (!words.ok) {
      synced.faults.push(words.message);
      continue;
    }
    const hash = createHash('sha256').update(words.text).digest('hex');
    const isKnown = old?.hash === hash && old.name === file.name && old.status === 'current';
    const saved = isKnown ? { added: [], gone: [] } : await take(words.text, file, old);
    if (typeof saved === 'string') {
      synced.faults.push(saved);
      continue;
    }
    const document = { external_id: file.id, name: file.name, modified_at: file.modifiedTime, hash };
    const { proposed, withdrawn } = await saveDocument(db, { tenant, folder, document, ...saved });
    synced.read++;
    synced.proposed += proposed;
    synced.withdrawn += withdrawn;
    if (proposed + withdrawn > 0) synced.news.push({ name: file.name, proposed, withdrawn, key: hash.slice(0, 16) });
  }
  const present = listed.files.map(({ id }) => id);
  for (const document of known) if (document.status === 'current' && !present.includes(document.external_id)) await gone(document);
  synced.withdrawn += await withdrawDocuments(db, tenant, folder, present);
  return synced;
}

function isSame(old: KnownDocument, file: DriveFile): boolean {
  return old.status === 'current' && old.name === file.name && old.modified_at.getTime() === Date.parse(file.modifiedTime);
}
