// The simulator's one context: options, clock, world, wire log, faults and the event bus, handed to every module.

import type { OrderBook } from './orders.ts';
import type { Agent } from 'node:http';
import type { Clock, Random } from './clock.ts';
import type { Faults } from './faults.ts';
import type { Fault, Product, SimulatorEvent, SimulatorOptions, Wire } from './types.ts';
import type { VersionRules } from './version.ts';
import type { World } from './world.ts';
import type { Post, WebhookLog } from './webhooks.ts';
import type { GoogleState } from './google.ts';
import type { ClaudeState } from './claude-answer.ts';

export type Core = {
  options: SimulatorOptions;
  /** What this Evolution does; `setVersion` changes it between two calls. */
  rules: VersionRules;
  licensed: boolean;
  /** Null: the chat page knows of no product. */
  product: Product | null;
  /** The simulator's own address; known once the server listens. */
  url: string;
  clock: Clock;
  /** Ids. Not the same in two runs unless a seed is given, so that a kept database sees no repeated message. */
  random: Random;
  /** Chance: the race of `send.message`, the jitter of retries. Always seeded. */
  chance: Random;
  world: World;
  wire: Wire;
  orders: OrderBook;
  faults: Faults;
  bus: Bus;
  webhookLog: WebhookLog;
  /** How a webhook gets to its receiver. */
  post: Post;
  claude: ClaudeState;
  google: GoogleState;
  agent: Agent;
  /** Ends the sockets of requests that a `hang` fault holds. */
  hung: Set<() => void>;
};

export type Bus = {
  emit(event: SimulatorEvent): void;
  /** Contract: the listener may not throw. Returns the way to end it. */
  on(listener: (event: SimulatorEvent) => void): () => void;
};

export function createBus(): Bus {
  const listeners = new Set<(event: SimulatorEvent) => void>();
  return {
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
    on: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Long runs must not fill the memory: the oldest tenth goes when a list is full. */
export function remember<T>(list: T[], entry: T, limit = 100_000): void {
  list.push(entry);
  if (list.length > limit) list.splice(0, Math.ceil(limit / 10));
}

export function faultsEvent(faults: Fault[]): SimulatorEvent {
  return { type: 'faults', faults };
}
