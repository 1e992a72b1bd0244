/** The business tools of a tenant beside the agent's own. What they look up is data; what they write becomes true with the answer. */
import type { Known } from '../../knowledge/knowledge.ts';
import type { BusinessTool, Tools } from '../../tools/turn-tools.ts';
import type { TurnClaim } from '../calls.ts';
import type { Tool } from './tool.ts';

/** `done`: something was done by such a tool here of late, so the agent may say so. Errors: those of the database. */
export async function businessTools(tools: Tools, claim: TurnClaim, known: Known): Promise<{ tools: Tool[]; done: boolean }> {
  const given = await tools.forTurn({
    tenant: claim.tenant_id,
    conversation: claim.conversation_id,
    contact: claim.contact,
    words: wordsOf(claim),
    taint: taintOf(claim, known),
  });
  return { tools: given.tools.map(toolOf), done: given.done };
}

function toolOf(tool: BusinessTool): Tool {
  const { name, description, input } = tool;
  if ('lookup' in tool)
    return { name, description, input, lookup: (given, _situation, signal) => tool.lookup(given as Record<string, unknown>, signal) };
  return {
    name,
    description,
    input,
    effect(given) {
      // its schema is of an object
      const { write, ...said } = tool.ask(given as Record<string, unknown>);
      return { ...said, effect: write };
    },
  };
}

/** What the contact typed: no caption's note, no quote, no file. */
function wordsOf({ pending, history }: TurnClaim): string[] {
  const typed = ({ type, text, typed: words }: { type: string; text: string | null; typed: string | null }): string[] =>
    words === null ? (type === 'text' && text !== null ? [text] : []) : [words];
  return [
    ...history.filter(({ direction, author }) => direction === 'in' && author === 'contact').flatMap(typed),
    ...pending.flatMap(typed),
  ];
}

/** What of the text before the model was written by nobody whom this conversation is with. */
function taintOf({ pending, history }: TurnClaim, known: Known): string[] {
  const inbound = [...history.filter(({ direction }) => direction === 'in'), ...pending];
  return [
    ...(inbound.some(({ type }) => type !== 'text' && type !== 'reaction') ? ['media'] : []),
    ...(inbound.some(({ quoted_text: text, quoted_author: author }) => text !== null && author === null) ? ['quote'] : []),
    ...(known.any ? ['documents'] : []),
  ];
}
