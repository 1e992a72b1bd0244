/**
 * The log: one JSON object a line, `timestamp, level, service, message, context`, on standard output and written before the call returns,
 * so that the last line before a crash is there. Nothing here throws: a line that cannot be written is lost, the work goes on.
 *
 * Take a logger a subsystem: `const log = ctx.log.child({ subsystem: 'turn' })`, then `log.info({ turnId }, 'Turn committed')`:
 * fields first, a constant message second.
 */
import { createRequire } from 'node:module';

import { pino } from 'pino';
import type { DestinationStream } from 'pino';

import { LOG_LEVELS } from './log-levels.ts';
import type { LogLevel } from './log-levels.ts';
import { createPrivacy, readField } from './log-privacy.ts';
import type { Privacy } from './log-privacy.ts';
import { activeTraceId } from './trace.ts';

/** Fields of a line; an Error alone is logged as the field `error`. */
export type LogFields = Readonly<Record<string, unknown>> | Error;

export type Logger = {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warning(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  critical(fields: LogFields, message: string): void;
  /** An INFO line that is written at any LOG_LEVEL: `Worker started` and `Scheduler started` must be findable under LOG_LEVEL=WARNING. */
  always(fields: LogFields, message: string): void;
  /** A logger whose lines carry these fields too; the line's own fields win. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
};

export type LoggerOptions = {
  level: LogLevel;
  /** `config.app.service`. */
  service: string;
  /** For people at a terminal; falls back to JSON where pino-pretty is not installed, as in the image. */
  pretty: boolean;
  /** `config.log.secrets`. */
  secrets?: readonly string[];
  /** Standard output when left out. Gets whole lines. */
  destination?: { write(line: string): unknown };
};

/** `message` is unknown because a caller without types must not lose its line. */
type Write = (level: LogLevel, fields: object, message: unknown) => void;

export function createLogger(options: LoggerOptions): Logger {
  const privacy = createPrivacy(options.secrets ?? []);
  const write = lineWriter(options, privacy);
  return loggerOf(write, LOG_LEVELS.indexOf(options.level), {});
}

function loggerOf(write: Write, threshold: number, bound: Readonly<Record<string, unknown>>): Logger {
  const at = (level: LogLevel) =>
    function log(fields: LogFields, message: string): void {
      if (LOG_LEVELS.indexOf(level) >= threshold) write(level, merged(bound, fields), message);
    };
  return {
    debug: at('DEBUG'),
    info: at('INFO'),
    warning: at('WARNING'),
    error: at('ERROR'),
    critical: at('CRITICAL'),
    always: (fields, message) => write('INFO', merged(bound, fields), message),
    child: (fields) => loggerOf(write, threshold, merged(bound, fields)),
  };
}

/** The line's own fields win. A getter that throws costs its field, a revoked proxy all of its fields. */
function merged(bound: Readonly<Record<string, unknown>>, fields: LogFields): Record<string, unknown> {
  const all: Record<string, unknown> = Object.assign(Object.create(null), bound); // no prototype: `__proto__` is a name like others
  try {
    if (fields instanceof Error) return Object.assign(all, { error: fields });
    for (const name of Object.keys(fields)) all[name] = readField(fields, name);
  } catch {
    all['fields'] = '[unreadable]';
  }
  return all;
}

const PINO_LEVELS = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error', CRITICAL: 'fatal' } as const;
const LABELS: Record<string, LogLevel> = { debug: 'DEBUG', info: 'INFO', warn: 'WARNING', error: 'ERROR', fatal: 'CRITICAL' };

/** pino writes the line; what goes into it has been copied and masked before, so its serializers and redaction have nothing to do. */
function lineWriter(options: LoggerOptions, privacy: Privacy): Write {
  const output = pino(
    {
      level: 'debug', // the threshold is ours, because of `always`
      base: { service: options.service },
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: LABELS[label] ?? 'INFO' }) },
    },
    destinationOf(options),
  );
  return function write(level, fields, message) {
    try {
      const traceId = activeTraceId();
      const all = traceId === null ? fields : { ...fields, trace_id: traceId };
      const detail = { stack: level === 'DEBUG' || level === 'ERROR' || level === 'CRITICAL', text: level === 'DEBUG' };
      output[PINO_LEVELS[level]]({ context: privacy.copy(all, detail) }, privacy.text(String(message)));
    } catch {
      // The destination is gone or the fields are hostile beyond the copy's reach. There is nowhere left to say so.
    }
  };
}

function destinationOf(options: LoggerOptions): DestinationStream {
  const output = options.destination ?? standardOutput();
  const pretty = options.pretty ? prettyFormat() : null;
  return { write: (line) => void output.write(pretty === null ? line : pretty(line)) };
}

function standardOutput(): DestinationStream {
  const stdout = pino.destination({ dest: 1, sync: true });
  stdout.on('error', () => {}); // the reader of the pipe has gone; without a listener that would end the process
  return stdout;
}

/** null where pino-pretty, a development dependency, is not installed. */
function prettyFormat(): ((line: string) => string) | null {
  try {
    const require = createRequire(import.meta.url);
    const { prettyFactory }: typeof import('pino-pretty') = require('pino-pretty');
    return prettyFactory({
      messageKey: 'message',
      timestampKey: 'timestamp',
      levelKey: 'level',
      ignore: 'service',
      singleLine: true,
      customLevels: { DEBUG: 20, INFO: 30, WARNING: 40, ERROR: 50, CRITICAL: 60 },
      customColors: { DEBUG: 'blue', INFO: 'green', WARNING: 'yellow', ERROR: 'red', CRITICAL: 'bgRed' },
      useOnlyCustomProps: true,
    });
  } catch {
    return null;
  }
}
