// A finished message as the Messages API's event stream.

import type { Block } from './claude-check.ts';
import type { Json } from './types.ts';

export function streamMessage(message: Json, headers: Record<string, string>): Response {
  const content = message['content'] as Block[];
  const usage = message['usage'] as Json;
  const started = { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } };
  const events: Json[] = [{ type: 'message_start', message: started }];
  for (const [index, block] of content.entries()) events.push(...blockEvents(index, block));
  const delta = { stop_reason: message['stop_reason'], stop_sequence: null };
  events.push({ type: 'message_delta', delta, usage: { output_tokens: usage['output_tokens'] } });
  events.push({ type: 'message_stop' });
  const body = events.map((event) => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`).join('');
  return new Response(body, { headers: { ...headers, 'content-type': 'text/event-stream' } });
}

function blockEvents(index: number, block: Block): Json[] {
  const isTool = block.type === 'tool_use';
  const empty = isTool ? { ...block, input: {} } : { type: 'text', text: '' };
  const delta = isTool
    ? { type: 'input_json_delta', partial_json: JSON.stringify(block['input']) }
    : { type: 'text_delta', text: block['text'] };
  return [
    { type: 'content_block_start', index, content_block: empty },
    { type: 'content_block_delta', index, delta },
    { type: 'content_block_stop', index },
  ];
}
