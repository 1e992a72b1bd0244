/**
 * Runs `work` and tells on stderr when it takes longer than a person waits without wondering: one line after 2 s, then one
 * each 10 s, and one when it is done. Quick work says nothing. Rethrows what `work` throws.
 */
export async function withProgress<T>(what: string, work: () => Promise<T>, say: (line: string) => void = toStderr): Promise<T> {
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  let told = false;
  const first = setTimeout(() => {
    told = true;
    say(`${what} ...`);
  }, 2_000);
  const more = setInterval(() => say(`${what} ... ${seconds()} s`), 10_000);
  try {
    const result = await work();
    if (told) say(`${what}: done in ${seconds()} s`);
    return result;
  } finally {
    clearTimeout(first);
    clearInterval(more);
  }
}

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
