/** Pages of a PDF, counted before anybody is paid to read it. */

export type Pages = { kind: 'pages'; count: number } | { kind: 'locked' } | { kind: 'broken'; detail: string };

/** Contract: never throws. The library is loaded with the first PDF: it takes 30 MB. */
export async function pagesOf(bytes: Buffer): Promise<Pages> {
  const { getDocumentProxy } = await import('unpdf');
  try {
    // It takes the memory that it is given, so it gets a copy; and it is to say nothing on the console.
    const pdf = await getDocumentProxy(new Uint8Array(bytes), { verbosity: 0 });
    const count = pdf.numPages;
    await pdf.loadingTask.destroy();
    return count > 0 ? { kind: 'pages', count } : { kind: 'broken', detail: 'it has no pages' };
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    return name === 'PasswordException' ? { kind: 'locked' } : { kind: 'broken', detail: `${name}: ${message}` };
  }
}
