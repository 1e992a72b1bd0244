/** Waits until the work is done or so many milliseconds have passed. Rejects as the work does; the work is not cut off, and the timer keeps no process alive. */
export async function waitAtMost(limitMs: number, work: Promise<unknown>): Promise<void> {
  const timeout = AbortSignal.timeout(limitMs);
  const late = new Promise<void>((resolve) => timeout.addEventListener('abort', () => resolve(), { once: true }));
  await Promise.race([work, late]);
}

/** Rejects when it takes longer; the work itself goes on. */
export async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
