/** The two calls over HTTP that an answer cannot do without, as the floors make them: no client, no retry, nothing read but what is needed. */

/** Asks the model; resolves with its text. */
export async function askModel(text: string): Promise<string> {
  const reply = await post(
    `${process.env['ANTHROPIC_BASE_URL']}/v1/messages`,
    { 'x-api-key': 'sk-bench', 'anthropic-version': '2023-06-01' },
    { model: 'claude-haiku-5-5', max_tokens: 300, thinking: { type: 'disabled' }, messages: [{ role: 'user', content: text }] },
  );
  return reply.content[0].text;
}

/** Sends a text; resolves with its id at WhatsApp. */
export async function sendText(number: string, text: string): Promise<string> {
  const sent = await post(
    `${process.env['EVOLUTION_API_URL']}/message/sendText/${process.env['EVOLUTION_INSTANCE']}`,
    { apikey: process.env['EVOLUTION_API_KEY'] ?? '' },
    { number, text },
  );
  return sent.key.id;
}

async function post(url: string, headers: Record<string, string>, body: unknown) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return JSON.parse(await response.text());
}
