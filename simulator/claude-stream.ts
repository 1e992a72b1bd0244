// A finished message as the Messages API's event stream.

import type { Block } from './claude-check.ts';
import type { Json } from './types.ts';

export function streamMessage(message: Json, headers: Record<string, string>): Response {
  const content = message['content'] as Block[];
  const usage = message['usage'] as Json;
  const started = { ...message, content: [], stop_reason: null, stop_details: null, usage: { ...usage, output_tokens: 1 } };
  const events: Json[] = [{ type: 'message_start', message: started }];
  for (const [index, block] of content.entries()) events.push(...blockEvents(index, block));
  const delta = { stop_reason: message['stop_reason'], stop_sequence: null, stop_details: message['stop_details'] };
  events.push({
    type: 'message_delta',
    delta,
    usage: { output_tokens: usage['output_tokens'], output_tokens_details: usage['output_tokens_details'] },
  });
  events.push({ type: 'message_stop' });
  const body = events.map((event) => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`).join('');
  return new Response(body, { headers: { ...headers, 'content-type': 'text/event-stream' } });
}

function blockEvents(index: number, block: Block): Json[] {
  return [
    { type: 'content_block_start', index, content_block: emptied(block) },
    ...deltasOf(block).map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ];
}

function emptied(block: Block): Block {
  switch (block.type) {
    case 'tool_use':
      return { ...block, input: {} };
    case 'thinking':
      return { type: 'thinking', thinking: '', signature: '' };
    case 'text':
      return { type: 'text', text: '' };
    default:
      return block;
  }
}

function deltasOf(block: Block): Json[] {
  switch (block.type) {
    case 'tool_use':
      return [{ type: 'input_json_delta', partial_json: JSON.stringify(block['input']) }];
    case 'thinking': {
      const thinking = { type: 'thinking_delta', thinking: block['thinking'] };
      return [...(block['thinking'] === '' ? [] : [thinking]), { type: 'signature_delta', signature: block['signature'] }];
    }
    case 'text':
      return [{ type: 'text_delta', text: block['text'] }];
    default:
      return [];
  }
}
