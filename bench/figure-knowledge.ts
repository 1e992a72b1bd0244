/** What a company's knowledge costs a turn: none of it, 40,000 tokens whole in the prompt, and more than that with five passages: time, money, and what the cache has. */
import { addDocument } from '../src/knowledge/documents.ts';
import { PASSAGES } from '../src/knowledge/retrieve.ts';
import { WHOLE_CHARS } from '../src/knowledge/knowledge.ts';
import { openPostgres } from '../src/db/door.ts';
import { openDesk, probe } from './answers.ts';
import { openConnection } from './load.ts';
import type { Connection } from './load.ts';
import { CACHE_BAR } from './long-talk.ts';
import { phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH } from './messages.ts';
import type { Program } from './programs.ts';
import type { Row } from './report.ts';
import { ownRow } from './rows.ts';
import type { Stand } from './stand.ts';
import { median } from './statistics.ts';

/** Each has written before, so that a talk is under way. */
const CONTACTS = 10;
/** Characters of all documents. */
const SIDES = [
  { name: 'without knowledge', chars: 0 },
  { name: '40,000 tokens of knowledge in the prompt', chars: WHOLE_CHARS - 2_000 },
  { name: `${PASSAGES} passages of 200,000 tokens of knowledge`, chars: 5 * WHOLE_CHARS },
] as const;

type Side = { name: string; url: string; api: Program; worker: Program; line: Connection; group: number; times: number[]; failed: number };

export async function measureKnowledge(stand: Stand): Promise<Row[]> {
  const onRedis = stand.options.queues.includes('redis');
  const sides: Side[] = [];
  for (const [index, { name, chars }] of SIDES.entries()) {
    const url = await stand.database();
    await know(url, chars);
    const own = { ABUSE_GATES: 'false' };
    const api = await stand.product('api', url, onRedis, index, own);
    const worker = await stand.product('worker', url, onRedis, index, own);
    const line = await openConnection(api.port, WEBHOOK_PATH, WEBHOOK_HEADERS);
    sides.push({ name, url, api, worker, line, group: 80 + index, times: [], failed: 0 });
  }
  const desk = openDesk(stand.simulator);
  const rounds = Math.max(2, Math.round(stand.options.size.probes / 2));
  for (let index = -CONTACTS; index < rounds; index++) {
    for (const side of sides) {
      const took = await probe(desk, side.line, phoneOf(side.group, (index + CONTACTS) % CONTACTS));
      if (took === null) side.failed += 1;
      else if (index >= 0) side.times.push(took);
    }
    if (index > 0 && index % 25 === 0) stand.say(`knowledge ${index}/${rounds}`);
  }
  desk.close();
  for (const { line, worker, api } of sides) {
    line.close();
    for (const program of [worker, api]) await program.stop(5_000);
  }
  const [none] = sides;
  const rows: Row[] = [];
  for (const side of sides) rows.push(...(await rowsOf(stand, side, none ?? side)));
  return rows;
}

async function rowsOf(stand: Stand, side: Side, none: Side): Promise<Row[]> {
  const [paid] = await stand.query<{ usd: number; prompt: number; share: number }>(
    side.url,
    `select avg(cost_usd)::float as usd, avg(input_tokens + cache_read_tokens + cache_write_tokens)::float as prompt,
      sum(cache_read_tokens)::float / sum(input_tokens + cache_read_tokens + cache_write_tokens) as share
     from (select * from model_calls order by id offset ${CONTACTS}) c`,
  );
  const { name, times, failed } = side;
  const [product, floor] = [median(times), median(none.times)];
  const whole = name.startsWith('40,000');
  return [
    {
      figure: 'knowledge',
      name: `webhook -> send, p50, ${name}`,
      unit: 'ms',
      product,
      floor,
      floorName: 'none',
      compared: 'ratio',
      ratio: product / floor,
      bar: null,
      failed,
      samples: { product: times, floor: none.times },
    },
    ownRow({ figure: 'knowledge', name: `tokens read by a turn, ${name}`, unit: '', values: [paid?.prompt ?? 0] }),
    ownRow({ figure: 'knowledge', name: `cents (US$ 0.01) a turn, ${name}`, unit: '', values: [100 * (paid?.usd ?? 0)] }),
    ownRow({
      figure: 'knowledge',
      name: `input read from the model's cache, ${name}`,
      unit: '%',
      values: [100 * (paid?.share ?? 0)],
      bar: whole ? { atLeast: 100 * CACHE_BAR } : null,
    }),
  ];
}

/** Documents of so many characters in all, each product with a paragraph of its own. */
async function know(url: string, chars: number): Promise<void> {
  const db = openPostgres(url, { onError: () => {} });
  try {
    for (let part = 0, left = chars; left > 0; part++) {
      const text = catalogue(part, Math.min(left, WHOLE_CHARS));
      const added = await addDocument(db, 'default', { name: `catalogo-${part}.md`, bytes: Buffer.from(text) }, 'bench');
      if (!added.ok) throw new Error(added.message);
      left -= WHOLE_CHARS;
    }
  } finally {
    await db.close();
  }
}

const KINDS = ['Consulta', 'Limpeza', 'Retorno', 'Avaliação', 'Radiografia', 'Clareamento', 'Aparelho', 'Prótese'] as const;

function catalogue(part: number, chars: number): string {
  let text = '';
  for (let n = 0; text.length < chars; n++) {
    const kind = KINDS[n % KINDS.length] ?? '';
    const paragraph = `## ${kind} ${part}-${n}\n\n${kind} número ${n} do catálogo ${part}: custa R$ ${50 + (n % 400)},00, dura ${20 + (n % 70)} minutos e é feita de segunda a sexta das 8h às 19h, e no sábado das ${8 + (n % 4)}h às 13h. Traga um documento e os exames que já tem; para remarcar, avise com um dia de antecedência.\n\n`;
    if (text.length + paragraph.length > chars && text !== '') break;
    text += paragraph;
  }
  return text;
}
