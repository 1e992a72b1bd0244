#!/usr/bin/env bash
# See --help. Node 24 of the project, where it is installed, else the one on PATH (as in the image).
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH="$top/node_modules/node/bin:$PATH"
exec node "$top/src/backup/main.ts" backup "$@"
