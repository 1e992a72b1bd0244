/** What the agent of ./scripts/dev begins with: the sample shop's words and documents, or whose agent it is. What somebody has taught it since stays. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Door } from '../../src/db/door.ts';
import { openPostgres } from '../../src/db/door.ts';
import { listKnowledge } from '../../src/knowledge/calls.ts';
import { addDocument } from '../../src/knowledge/documents.ts';
import { listAudit } from '../../src/people/audit-calls.ts';
import { listVersions, publishVersion, readVersion, saveVersion } from '../../src/turns/agent-calls.ts';
import { defaultAgent } from '../../src/turns/default-agent.ts';
import { TOOLS } from '../../src/turns/tools/all.ts';
import { parseVersion } from '../../src/turns/version-words.ts';
import { ORDERS_TOKEN } from '../../simulator/orders.ts';
import { sealSecret } from '../../src/process/secrets.ts';
import type { SecretKeys } from '../../src/process/secrets.ts';
import { listTools, saveTool, setTenantSecret } from '../../src/tools/calls.ts';
import { secretOwner } from '../../src/tools/client.ts';
import { readDefinition } from '../../src/tools/definition-words.ts';
import { projectRoot } from './tools.ts';

/** The sample shop: somebody to speak for, and something to say. */
export const SAMPLE_COMPANY = 'Loja Pitanga';
const AGENT = path.join(projectRoot, 'samples/agente.md');
const DOCUMENTS = path.join(projectRoot, 'samples/loja');

/** Whose agent it is; null: the sample shop's. */
export type Who = { company: string; name: string } | null;

const TOOL_FILES = path.join(projectRoot, 'samples/ferramentas');

/** Where the sample shop's orders are, and what seals the secret for it. */
export type Shop = { origin: string; secrets: SecretKeys };

const OF = { tenant: 'default', slug: 'default', by: 'dev' };
/** Longer than the audit of one day of trying. */
const MOST = 1_000;

/** Resolves with what was taught, in words; null: somebody has done it before. Idempotent. Errors: those of the database and of the sample's files. */
export async function teach(databaseUrl: string, who: Who, shop: Shop): Promise<string | null> {
  return withDoor(databaseUrl, async (db) => {
    const versions = await listVersions(db, OF.tenant, OF.slug, MOST);
    if (versions.some((each) => each.created_by !== 'setup')) return null;
    const sample = parseVersion(who === null ? await readFile(AGENT, 'utf8') : '');
    if (!sample.ok) throw new Error(`${AGENT}: ${sample.fault}`);
    const words = {
      ...defaultAgent,
      company: null,
      language: 'pt-BR',
      sentences: {},
      model: null,
      model_complex: null,
      ...sample.file,
      ...who,
    } as const;
    const version = await saveVersion(db, OF, { ...words, tools: TOOLS.map(({ name }) => name), note: 'the first start' });
    await publishVersion(db, { ...OF, version, reason: null });
    if (who !== null) return `${who.name} of ${who.company} answers; npm run admin -- agent show says what is missing`;
    return `${words.name} of ${SAMPLE_COMPANY}, the sample shop, answers${await teachDocuments(db)}${await teachTools(db, shop)}`;
  });
}

/** Who removed them, or has documents of its own, keeps what it has. */
async function teachDocuments(db: Door): Promise<string> {
  const wasTaught = (await listAudit(db, OF.tenant, MOST, null)).some(({ action }) => action === 'knowledge.add');
  if (wasTaught || (await listKnowledge(db, OF.tenant)).length > 0) return '';
  const files = (await readdir(DOCUMENTS)).filter((name) => !name.endsWith('.json'));
  for (const name of files) {
    const read = await addDocument(db, OF.tenant, { name, bytes: await readFile(path.join(DOCUMENTS, name)) }, OF.by);
    if (!read.ok) throw new Error(read.message);
  }
  return `, and knows its ${files.length} documents (npm run admin -- knowledge list)`;
}

/** The sample's tools, for the simulator's order service. Who has some, or removed them, keeps what it has. */
async function teachTools(db: Door, { origin, secrets }: Shop): Promise<string> {
  const wasTaught = (await listAudit(db, OF.tenant, MOST, null)).some(({ action }) => action === 'tool.add');
  if (wasTaught || (await listTools(db, OF.tenant)).length > 0) return '';
  await setTenantSecret(db, OF.tenant, 'LOJA', sealSecret(secrets, ORDERS_TOKEN, secretOwner(OF.tenant, 'LOJA')), OF.by);
  for (const name of (await readdir(TOOL_FILES)).toSorted()) {
    const given = JSON.parse(await readFile(path.join(TOOL_FILES, name), 'utf8')) as object;
    const read = readDefinition({ ...given, origin }, []);
    if (!read.ok) throw new Error(`${name}: ${read.faults.join('; ')}`);
    await saveTool(db, OF.tenant, read.definition, MOST, OF.by);
  }
  return '; it looks up and cancels orders (npm run admin -- tool list)';
}

/** Who answers, for the chat page. */
export async function answering(databaseUrl: string): Promise<{ name: string; company: string }> {
  const agent = await withDoor(databaseUrl, (db) => readVersion(db, OF.tenant, OF.slug, null));
  return { name: agent?.name ?? defaultAgent.name, company: agent?.company ?? process.env['NOME_EMPRESA'] ?? SAMPLE_COMPANY };
}

async function withDoor<T>(databaseUrl: string, work: (db: Door) => Promise<T>): Promise<T> {
  const db = openPostgres(databaseUrl, { onError: () => {}, onPooler: () => {} });
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}
