// Faults on demand: a list that the routes ask "does one of you hit this call?". The first match wins and is used up.

import type { Fault, FaultInput, FaultTarget } from './types.ts';

export type FaultScope = { instance?: string; text?: string; event?: string; model?: string };

export type Faults = {
  list(): Fault[];
  add(input: FaultInput): Fault;
  /** False when there is none of that id. */
  remove(id: string): boolean;
  clear(): void;
  /** The fault that hits this call, counted as used; null for none. Refusals are not among them: what they say depends on the whole request. */
  take(target: FaultTarget, scope: FaultScope): Fault | null;
  /** Counts the one of that id as used. */
  use(id: string): void;
};

/** Contract: `onChange` may not throw; it is called after every change of the list. `now` in milliseconds. */
export function createFaults(onChange: (faults: Fault[]) => void, now: () => number): Faults {
  let faults: Fault[] = [];
  let counter = 0;
  function replace(next: Fault[]): void {
    faults = next;
    onChange(faults);
  }
  function forgetOver(): void {
    const rest = faults.filter((fault) => fault.endsAt === null || fault.endsAt > now());
    if (rest.length < faults.length) replace(rest);
  }
  function use(hit: Fault): void {
    if (hit.times === null) return;
    hit.times -= 1;
    replace(hit.times > 0 ? faults : faults.filter((fault) => fault !== hit));
  }
  return {
    list: () => {
      forgetOver();
      return faults;
    },
    add: (input) => {
      const lasts = input.kind === 'refuse' || input.forMs !== undefined;
      const times = input.times === undefined ? (lasts ? null : 1) : input.times;
      const fault: Fault = { ...input, id: `fault-${++counter}`, times, endsAt: input.forMs === undefined ? null : now() + input.forMs };
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
      forgetOver();
      const hit = faults.find((fault) => fault.target === target && fault.kind !== 'refuse' && matches(fault, scope));
      if (!hit) return null;
      const taken = { ...hit };
      use(hit);
      return taken;
    },
    use: (id) => {
      const hit = faults.find((fault) => fault.id === id);
      if (hit) use(hit);
    },
  };
}

function matches(fault: Fault, scope: FaultScope): boolean {
  const match = fault.match ?? {};
  if (match.instance !== undefined && match.instance !== scope.instance) return false;
  if (match.model !== undefined && match.model !== scope.model) return false;
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
