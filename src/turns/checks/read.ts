/** What an answer may draw on: all that the model has read in its turn. Pure. */
import { systemText } from '../system-texts.ts';
import type { PromptAgent } from '../system-texts.ts';
import type { Prompt } from '../prompt.ts';
import type { Read } from './output.ts';

export function readOf(
  agent: PromptAgent & { tools: readonly string[] },
  prompt: Prompt,
  calls: readonly { name: string; output: string; ok: boolean }[],
  rest: { now: Date; timeZone: string; acted: boolean },
): Read {
  const said = prompt.messages.flatMap(({ texts }) => texts);
  const documents = [...prompt.documents, ...prompt.passages].flatMap(({ title, passages }) => [
    title,
    ...passages.flatMap(({ heading, text }) => [heading, text]),
  ]);
  return {
    rules: systemText({ ...agent, instructions: '', promises: '' }, null, documents.length > 0),
    instructions: agent.instructions,
    all: [prompt.system, prompt.situation, ...documents, ...said, ...calls.map(({ output }) => output)],
    said,
    tools: agent.tools,
    called: calls.filter(({ ok }) => ok).map(({ name }) => name),
    ...rest,
  };
}
