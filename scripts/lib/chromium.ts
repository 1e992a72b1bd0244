import { withProgress } from './progress.ts';
import { findOnPath, installPackages } from './tools.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** A Chromium of this machine for playwright-core's `executablePath`; null when there is none. */
export function findChromium(): string | null {
  for (const name of NAMES) {
    const found = findOnPath(name);
    if (found !== null) return found;
  }
  return null;
}

/** The same; as root it is installed when missing. Throws with what to do by hand otherwise. */
export async function ensureChromium(): Promise<string> {
  const found = findChromium();
  if (found !== null) return found;
  try {
    await withProgress('installing Chromium', () => installPackages('chromium'));
  } catch (error) {
    throw new Error(
      `The browser test needs Chromium, and installing it failed. Install it (Debian, as root: apt-get install chromium) and try again.\n${String(error)}`,
      { cause: error },
    );
  }
  const installed = findChromium();
  if (installed === null) throw new Error('The package "chromium" brought no Chromium. Install one by hand and try again.');
  return installed;
}
