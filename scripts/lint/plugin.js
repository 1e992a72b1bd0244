/**
 * The one rule that oxlint has no setting for: `new Date()` reads the clock, `new Date(ms)` does not. Code in src/core may
 * only do the second. Plain JavaScript because oxlint loads it by itself.
 */
const noClock = {
  meta: { type: 'problem', docs: { description: 'no `new Date()` and no `Date()` without an argument' } },
  create(context) {
    function check(node) {
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'Date') return;
      if (node.type === 'NewExpression' && node.arguments.length > 0) return;
      context.report({ node, message: 'src/core is pure: take the time as an argument (new Date(ms)), do not read the clock.' });
    }
    return { NewExpression: check, CallExpression: check };
  },
};

const plugin = { meta: { name: 'whats-agents' }, rules: { 'no-clock': noClock } };

// oxlint's plugin format wants a default export
export default plugin;
