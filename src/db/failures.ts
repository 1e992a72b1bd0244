/** The two ways in which a call of the database can fail, and what the setup makes impossible. */

/** The database could not be reached, or went away during the call: whether it took effect is unknown. Repeat later. */
export class DatabaseAway extends Error {
  override readonly name = 'DatabaseAway';
  constructor(call: string, detail: string, options?: ErrorOptions) {
    super(`database away during ${call}: ${detail}`, options);
  }
}

/** The database said no: `code` is the SQL state (WA001 and on are our own, see the function's header). Nothing took effect. */
export class DatabaseRefused extends Error {
  override readonly name = 'DatabaseRefused';
  readonly code: string;
  constructor(call: string, code: string, detail: string, options?: ErrorOptions) {
    super(`database refused ${call} (${code}): ${detail}`, options);
    this.code = code;
  }
}

/** The address leads to a pooler that keeps no session. The message is for whoever set it, and says what to set instead; it ends only with another setting. */
export class NeedsSession extends Error {
  override readonly name = 'NeedsSession';
}
