/** What follows from the release of Evolution that answers. Pure. */

/** Without it edits do not arrive, and a number that was logged out and paired again is deaf (contract 5.5). */
const LEAST = [2, 3, 7] as const;
/** The first whose sends take the id at WhatsApp from the caller (contract 5.3). */
const TAKES_MESSAGE_ID = [2, 4] as const;

/** False while nobody has said which release it is. */
export function takesMessageId(version: string | null): boolean {
  return isAtLeast(version, TAKES_MESSAGE_ID);
}

/** What is wrong with running this release, in words; null: nothing. */
export function releaseFault(version: string): string | null {
  return isAtLeast(version, LEAST)
    ? null
    : `Evolution ${version} does not tell edits and is deaf after a log-out: run ${LEAST.join('.')} or newer`;
}

/**
 * Whether a stranger's message can come as anybody's through it (CVE-2026-48063), in words; null: not as far as its release says. Baileys is fixed from 7.0.0-rc12 on,
 * which no release of Evolution carried when this was written; its branch for 2.4.0 does, and calls itself so before and after.
 */
export function libraryFault(version: string): string | null {
  if (isAtLeast(version, [2, 4, 1])) return null;
  return isAtLeast(version, TAKES_MESSAGE_ID)
    ? `Evolution ${version} may carry a Baileys before 7.0.0-rc12, through which strangers can write as anybody (CVE-2026-48063)`
    : `Evolution ${version} carries a Baileys through which strangers can write as anybody (CVE-2026-48063); no stable release is mended`;
}

/** A candidate (2.4.0-rc2) counts as its release. What is no version is older than any. */
function isAtLeast(version: string | null, least: readonly number[]): boolean {
  const parts = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version ?? '')?.slice(1);
  if (parts === undefined) return false;
  for (const [index, wanted] of least.entries()) {
    const part = Number(parts[index] ?? 0);
    if (part !== wanted) return part > wanted;
  }
  return true;
}
