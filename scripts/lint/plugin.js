/**
 * Rules that oxlint has no setting for. Plain JavaScript because oxlint loads it by itself.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** `new Date()` reads the clock, `new Date(ms)` does not. Pure files may only do the second. */
const noClock = {
  meta: { type: 'problem', docs: { description: 'no `new Date()` and no `Date()` without an argument' } },
  create(context) {
    function check(node) {
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'Date') return;
      if (node.type === 'NewExpression' && node.arguments.length > 0) return;
      context.report({ node, message: 'this file is pure: take the time as an argument (new Date(ms)), do not read the clock.' });
    }
    return { NewExpression: check, CallExpression: check };
  },
};

/** The folders of src, by tier, with those that are to come. A folder that stands in none of them is an error: say what it is. */
export const TIERS = {
  door: ['routes', 'console', 'admin', 'operators', 'crons'],
  room: [
    'inbox',
    'turns',
    'knowledge',
    'tools',
    'outbox',
    'orders',
    'numbers',
    'people',
    'campaigns',
    'later',
    'directives',
    'feed',
    'tenants',
    'notices',
    'watch',
    'schedule',
    'breakers',
    'backup',
    'spend',
  ],
  ground: ['config', 'whatsapp', 'claude', 'chatwoot', 'google', 'voyage', 'speech', 'files', 'db', 'process', 'words'],
};

/** The steps of a message never call each other; a turn runs the agent. */
const STEPS = ['inbox/receive.ts', 'turns/turn.ts', 'turns/agent.ts', 'outbox/send.ts'];
/** Files below the root that are entries of their own: they read the environment and open a context. */
const ENTRIES = ['admin/cli.ts', 'admin/token.ts', 'admin/doctor-checks.ts', 'backup/main.ts'];

/** What a file of src may not import, in words; null: it may. Both are paths below src, with slashes; `onlyType` for `import type`. */
export function importFault(from, to, onlyType) {
  if (to === 'telemetry.ts') return 'telemetry.ts is loaded with --import and imported by nobody.';
  if (STEPS.includes(from) && STEPS.includes(to) && !(from === 'turns/turn.ts' && to === 'turns/agent.ts'))
    return 'steps never import each other; only turn imports agent.';
  const [here, there] = [tierOf(from), tierOf(to)];
  if (here === null || there === null) return 'this folder is no door, no room and no ground: say in scripts/lint/plugin.js which it is.';
  if (here === 'root') return null;
  if (there === 'root')
    return onlyType || to === 'config.ts' || ENTRIES.includes(from)
      ? null
      : 'only types come from the root of src: pass the context, or move the code to its room.';
  if (here === 'room' && there === 'door') return 'a room imports no door.';
  if (here === 'ground' && there !== 'ground') return 'the ground knows no subject: it imports neither rooms nor doors.';
  if (here === 'room' && to.startsWith('watch/') && !from.startsWith('watch/')) return 'watch reads all rooms, and no room reads it.';
  return null;
}

function tierOf(file) {
  const [folder, ...below] = file.split('/');
  if (below.length === 0) return 'root';
  return Object.keys(TIERS).find((tier) => TIERS[tier].includes(folder)) ?? null;
}

/** Doors, rooms, ground: who may import whom. */
const tiers = {
  meta: { type: 'problem', docs: { description: 'a door imports rooms, a room imports no door, the ground knows no subject' } },
  create(context) {
    const src = /^(.*[\\/]src)[\\/]/.exec(context.filename)?.[1];
    if (src === undefined) return {};
    const below = (file) => path.relative(src, file).replaceAll('\\', '/');
    function check(node) {
      const specifier = node.source?.value;
      if (typeof specifier !== 'string' || !specifier.startsWith('.')) return;
      const to = below(path.resolve(path.dirname(context.filename), specifier));
      if (to.startsWith('..')) return;
      const fault = importFault(below(context.filename), to, node.importKind === 'type' || node.exportKind === 'type');
      if (fault !== null) context.report({ node, message: fault });
    }
    return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check, ImportExpression: check };
  },
};

/** The pure files: those for which .oxlintrc.json switches `pure-imports` on. */
const config = JSON.parse(readFileSync(new URL('../../.oxlintrc.json', import.meta.url), 'utf8'));
const PURE = config.overrides.filter(({ rules }) => rules?.['whats-agents/pure-imports'] !== undefined).flatMap(({ files }) => files);

/** A pure file takes values from pure files and zod only; types from anywhere. */
const pureImports = {
  meta: { type: 'problem', docs: { description: 'a pure file imports pure files, zod and types' } },
  create(context) {
    const root = /^(.*)[\\/]src[\\/]/.exec(context.filename)?.[1];
    if (root === undefined) return {};
    function check(node) {
      const specifier = node.source?.value;
      if (typeof specifier !== 'string' || specifier === 'zod' || node.importKind === 'type' || node.exportKind === 'type') return;
      const to = path.relative(root, path.resolve(path.dirname(context.filename), specifier)).replaceAll('\\', '/');
      if (specifier.startsWith('.') && PURE.some((pattern) => path.matchesGlob(to, pattern))) return;
      context.report({
        node,
        message: 'this file is pure: it takes values from pure files and zod only (.oxlintrc.json lists the pure ones).',
      });
    }
    return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check, ImportExpression: check };
  },
};

const plugin = { meta: { name: 'whats-agents' }, rules: { 'no-clock': noClock, 'pure-imports': pureImports, tiers } };

// oxlint's plugin format wants a default export
export default plugin;
