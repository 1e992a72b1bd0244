/** What an operator reads of a breaker. */
import { because } from '../words/reasons.ts';
import type { Circuit } from './circuits.ts';

/** One line. `format` writes a time as the reader's zone has it. */
export function circuitInWords(each: Circuit, format: (at: Date) => string): string {
  const name = each.instance === null ? each.name : `${each.name} of ${each.instance}`;
  if (each.state === 'closed') return `${name} (${each.process}): closed${each.on_trial ? ', one call at a time until one succeeds' : ''}`;
  const probe = each.next_probe_at === null ? '' : `, next probe ${format(new Date(each.next_probe_at))}`;
  return `${name} (${each.process}): ${each.state === 'open' ? 'OPEN' : 'half open'}, because ${because(each.reason)}${probe}`;
}
