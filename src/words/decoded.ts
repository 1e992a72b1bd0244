/** The text of a file that somebody saved. Excel in Brazil saves CSV as Windows-1252; `guessed` says that it was read so. Pure and total. */
export function decoded(bytes: Uint8Array): { text: string; guessed: boolean } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), guessed: false };
  } catch {
    return { text: new TextDecoder('windows-1252').decode(bytes), guessed: true };
  }
}
