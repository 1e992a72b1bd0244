// Command line of the simulator. Prints one line with its address; SIGTERM and SIGINT end it.
//
//   node simulator/main.ts --port 4010 --webhook URL --secret S --instance julia-dev [--instance other]
//     [--version 2.3.6|2.3.7|2.4] [--api-key KEY] [--time-scale N] [--claude persona|proxy] [--claude-api-key KEY]
//     [--product URL --agent NAME --company NAME, with an operator's token in PRODUCT_TOKEN: the chat page then says who answers]

import { parseArgs } from 'node:util';
import { WEBHOOK_EVENTS } from '../src/whatsapp/webhook-setting.ts';
import { startSimulator } from './index.ts';
import { versionOf } from './version.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4010' },
    webhook: { type: 'string' },
    secret: { type: 'string' },
    instance: { type: 'string', multiple: true, default: ['julia-dev'] },
    'api-key': { type: 'string' },
    'time-scale': { type: 'string', default: '1' },
    claude: { type: 'string', default: 'persona' },
    'claude-api-key': { type: 'string' },
    version: { type: 'string' },
    product: { type: 'string' },
    agent: { type: 'string', default: 'o agente' },
    company: { type: 'string' },
  },
});

const claudeApiKey = values['claude-api-key'] ?? process.env['ANTHROPIC_API_KEY'];
if (values.claude !== 'persona' && values.claude !== 'proxy') {
  throw new Error('--claude is persona or proxy');
}
if (values.claude === 'proxy' && claudeApiKey === undefined) {
  throw new Error('--claude proxy needs --claude-api-key or ANTHROPIC_API_KEY');
}

const simulator = await startSimulator({
  version: versionOf(values.version),
  port: Number(values.port),
  instances: values.instance,
  webhook: values.webhook === undefined ? undefined : { url: values.webhook, secret: values.secret, events: WEBHOOK_EVENTS }, // as `instance connect` asks for
  apiKey: values['api-key'],
  timeScale: Number(values['time-scale']),
  claude: values.claude,
  // The token comes by the environment, so that no list of processes shows it.
  product:
    values.product === undefined
      ? undefined
      : { url: values.product, token: process.env['PRODUCT_TOKEN'] ?? '', agent: values.agent, company: values.company ?? null },
  claudeApiKey,
});
// Someone to write as, so that the chat page is not empty.
simulator.addContact({ name: 'Maria Souza', phone: '5511988887777' });
console.log(`simulator on ${simulator.url} (chat page: ${simulator.url}/chat)`);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void simulator.close());
}
