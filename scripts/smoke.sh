#!/bin/sh
# Asks a running installation whether it works: `scripts/smoke.sh URL` (`--help` says the rest). Needs Node 22.18 or newer and nothing else, so
# it runs in a fresh clone, in CI and inside the image.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
own="$here/../node_modules/.bin/node"
[ -x "$own" ] || own=node
"$own" -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 22 || (major === 22 && minor >= 18) ? 0 : 1)' || {
  echo "smoke.sh needs Node 22.18 or newer; inside the image there is one: docker compose exec api smoke URL" >&2
  exit 2
}
exec "$own" --disable-warning=ExperimentalWarning "$here/smoke.ts" "$@"
