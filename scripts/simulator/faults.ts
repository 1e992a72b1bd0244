// Faults on demand: a list that the routes ask "does one of you hit this call?". The first match wins and is used up.

import type { Fault, FaultInput, FaultTarget } from './types.ts';

export type FaultScope = { instance?: string; text?: string; event?: string };

export type Faults = {
  list(): Fault[];
  add(input: FaultInput): Fault;
  /** False when there is none of that id. */
  remove(id: string): boolean;
  clear(): void;
  /** The fault that hits this call, counted as used; null for none. */
  take(target: FaultTarget, scope: FaultScope): Fault | null;
};

/** Contract: `onChange` may not throw; it is called after every change of the list. */
export function createFaults(onChange: (faults: Fault[]) => void): Faults {
  let faults: Fault[] = [];
  let counter = 0;
  function replace(next: Fault[]): void {
    faults = next;
    onChange(faults);
  }
  return {
    list: () => faults,
    add: (input) => {
      const times = input.times === undefined ? 1 : input.times;
      const fault: Fault = { ...input, id: `fault-${++counter}`, times };
      replace([...faults, fault]);
      return fault;
    },
    remove: (id) => {
      const rest = faults.filter((fault) => fault.id !== id);
      const found = rest.length < faults.length;
      if (found) replace(rest);
      return found;
    },
    clear: () => {
      if (faults.length > 0) replace([]);
    },
    take: (target, scope) => {
      const hit = faults.find((fault) => fault.target === target && matches(fault, scope));
      if (!hit) return null;
      const taken = { ...hit };
      if (hit.times !== null) {
        hit.times -= 1;
        replace(hit.times > 0 ? faults : faults.filter((fault) => fault !== hit));
      }
      return taken;
    },
  };
}

function matches(fault: Fault, scope: FaultScope): boolean {
  const match = fault.match ?? {};
  if (match.instance !== undefined && match.instance !== scope.instance) return false;
  if (match.text !== undefined && !(scope.text ?? '').includes(match.text)) return false;
  if (fault.target !== 'webhook') return true;
  // Without a wish, a webhook fault means the message itself and not the chats.update beside it.
  const event = match.event ?? 'messages.upsert';
  return event === '*' || event === scope.event;
}

/** A number argument of a fault, or the fallback. */
export function faultNumber(fault: Fault, name: string, fallback: number): number {
  const value = fault[name];
  return typeof value === 'number' ? value : fallback;
}
