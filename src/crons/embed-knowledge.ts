import { WHOLE_CHARS } from '../knowledge/knowledge.ts';
import { embedMissing } from '../knowledge/vectors.ts';
import type { CronJob } from '../schedule/job.ts';

/** Vectors that could not be made when a document was added, and those of another model. */
export const embedKnowledgeJob: CronJob = {
  name: 'embed_knowledge',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'makes the vectors of documents that are missing (VOYAGE_API_KEY)',
  async run(ctx, { signal }) {
    if (ctx.voyage === null) return { skipped: 'VOYAGE_API_KEY is not set' };
    const { made, failure } = await embedMissing(ctx.db, ctx.voyage, WHOLE_CHARS, signal);
    if (failure !== null && failure.reason !== 'resting') ctx.log.warning({ ...failure }, 'Vectors of documents could not be made');
    return made;
  },
};
