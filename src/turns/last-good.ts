/**
 * Versions of agents at one worker. What comes with a claim is what is in force, so a publication holds from the next claim on. A version that nobody could save
 * (a row that was written by hand) is not read to a contact: the last good one of its agent answers, or, when this worker has seen none, the agent that comes
 * with the product.
 */
import type { AgentVersion } from './calls.ts';
import { faultsOf } from './agent-words.ts';
import type { WordsFault } from './agent-words.ts';
import { defaultAgent } from './default-agent.ts';

export type Versions = {
  /** `faults`: of the version in force, when another one stands in for it. */
  usable(version: AgentVersion): { agent: AgentVersion; faults: WordsFault[] };
};

/** `company`: what NOME_EMPRESA says. */
export function createVersions(company: string | null): Versions {
  const good = new Map<string, AgentVersion>();
  return {
    usable(version) {
      const agent = `${version.tenant_id} ${version.slug}`;
      const last = good.get(agent);
      // A version never changes, so one that was good is.
      if (last?.id === version.id) return { agent: version, faults: [] };
      const faults = faultsOf(version, company);
      if (faults.length === 0) {
        good.set(agent, version);
        return { agent: version, faults };
      }
      return { agent: last ?? { ...version, ...defaultAgent, language: 'pt-BR', sentences: {} }, faults };
    },
  };
}
