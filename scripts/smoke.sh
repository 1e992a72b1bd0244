#!/bin/sh
# Asks a running installation whether it works: `scripts/smoke.sh URL` (`--help` says the rest). Needs Node 22.18 or newer and nothing else, so
# it runs in a fresh clone, in CI and inside the image.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
own="$here/../node_modules/.bin/node"
[ -x "$own" ] || own=node
exec "$own" --disable-warning=ExperimentalWarning "$here/smoke.ts" "$@"
