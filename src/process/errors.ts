/**
 * How a thing that can go wrong is told. An expected failure is a value: the caller reads `kind` in a `switch` and `retryable` before it
 * tries again. A programming error is an exception. Whatever a library throws passes `toError` once, where it is caught.
 */
import { types } from 'node:util';

/** An expected failure. `message` says in English what went wrong, without phone numbers, keys or message text: it may be logged and shown. */
export type Failure<Kind extends string = string> = {
  readonly ok: false;
  readonly kind: Kind;
  /** The same call may succeed later, unchanged. */
  readonly retryable: boolean;
  readonly message: string;
  readonly cause?: Error;
};

/** Makes a failure; `cause` is what was caught, of any type. */
export function failure<Kind extends string>(kind: Kind, details: { retryable: boolean; message: string; cause?: unknown }): Failure<Kind> {
  const { retryable, message } = details;
  const told = { ok: false, kind, retryable, message } as const;
  return details.cause === undefined ? told : { ...told, cause: toError(details.cause) };
}

/** The caught value as an Error; an Error comes back as it is, anything else becomes the `cause` of a new one. Never throws. */
export function toError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
  return new Error(describe(thrown), { cause: thrown });
}

/** `instanceof` alone misses errors of other realms (a vm context, a worker) and throws on a revoked proxy. */
function isError(thrown: unknown): thrown is Error {
  try {
    return types.isNativeError(thrown) || thrown instanceof Error;
  } catch {
    return false;
  }
}

function describe(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  try {
    if (typeof thrown === 'object' && thrown !== null && 'message' in thrown && typeof thrown.message === 'string') return thrown.message;
    return `thrown: ${String(thrown)}`;
  } catch {
    return 'thrown: a value that cannot be read';
  }
}
