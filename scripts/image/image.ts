/** The unchanged Dockerfile, built, and what the result says of itself. */
import { z } from 'zod';
import { projectRoot } from '../lib/tools.ts';
import { buildah } from './store.ts';

export const IMAGE = 'localhost/whats-agents:check';

export type Image = {
  entrypoint: string[];
  healthcheck: string[];
  env: string[];
  user: string;
  workdir: string;
  stopSignal: string;
  megabytes: number;
  /** what our layers add to the base */
  ownMegabytes: number;
};

const inspected = z.object({
  Docker: z.object({
    config: z.object({
      User: z.string(),
      Env: z.array(z.string()),
      Entrypoint: z.array(z.string()),
      WorkingDir: z.string(),
      StopSignal: z.string(),
      Healthcheck: z.object({ Test: z.array(z.string()) }),
    }),
  }),
});
const listed = z.array(z.object({ names: z.array(z.string()).nullable(), size: z.string() }));

/** The Docker format, because the other one has no HEALTHCHECK. */
export async function buildImage(base: string, identity: { gitSha: string; buildTime: string }, signal: AbortSignal): Promise<Image> {
  const settings = ['--build-arg', `GIT_SHA=${identity.gitSha}`, '--build-arg', `BUILD_TIME=${identity.buildTime}`, '-t', IMAGE];
  await buildah(
    'building the image',
    ['bud', '--isolation', 'chroot', '--pull-never', '--format', 'docker', ...settings, projectRoot],
    signal,
  );
  const { config } = inspected.parse(JSON.parse(await buildah('reading the image', ['inspect', '--type', 'image', IMAGE], signal))).Docker;
  const images = listed.parse(JSON.parse(await buildah('listing images', ['images', '--json'], signal)));
  const size = (name: string) => megabytes(images.find((image) => image.names?.includes(name))?.size ?? '');
  return {
    entrypoint: config.Entrypoint,
    healthcheck: config.Healthcheck.Test.slice(1),
    env: config.Env,
    user: config.User,
    workdir: config.WorkingDir,
    stopSignal: config.StopSignal,
    megabytes: size(IMAGE),
    ownMegabytes: size(IMAGE) - size(base),
  };
}

function megabytes(size: string): number {
  const [, number = '', unit = ''] = /^([\d.]+) ?(\w+)$/.exec(size) ?? [];
  const factor = { KB: 0.001, MB: 1, GB: 1000 }[unit.toUpperCase()];
  if (factor === undefined) throw new Error(`buildah tells the size as ${size}`);
  return Number(number) * factor;
}
