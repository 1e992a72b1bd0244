#!/bin/sh
# The image's entry point: one mode, by RUN_MODE (checked by src/main.ts), or one of these commands:
#   migrate [...]   admin COMMAND [...]   smoke URL [...]   any other program
# Start commands of the Python image that this one replaces are understood where they are the container's command (docker compose); on
# Railway a start command replaces this file, so leave it empty there.
set -eu
cd "$(dirname "$0")/.."

case "$*" in
  '') ;;
  'python -m app.workers.fila_worker' | 'python -m app.workers fila') export RUN_MODE=worker ;;
  'python -m app.workers.scheduler' | 'python -m app.workers scheduler') export RUN_MODE=scheduler ;;
  'uvicorn app.main:app' | 'uvicorn app.main:app '*) export RUN_MODE=api ;;
  migrate | 'migrate '*) shift && exec node src/migrate.ts "$@" ;;
  admin | 'admin '*) shift && exec node src/admin/cli.ts "$@" ;;
  smoke | 'smoke '*) shift && exec scripts/smoke.sh "$@" ;;
  *) exec "$@" ;;
esac

# Compiled once, read at each start: without it every start loads the compiler of TypeScript and keeps its 20 MB. The image brings its own.
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-.data/compile-cache}"

# Node sizes its heap by the machine: after a load a worker would keep 300 MB for the 50 that it uses. These let it collect sooner, for some milliseconds an
# answer; the api has the larger young generation, since a quarter of what a webhook cost it was collecting.
case "${RUN_MODE:-}" in
  api | all) heap='--max-semi-space-size=8 --heap-growing-percent=40' ;;
  *) heap='--max-semi-space-size=2 --heap-growing-percent=25' ;;
esac
# And glibc gives back what is free: one arena for all threads, and larger pieces outside of it. 15 to 25 MB of a worker.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}" MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-32768}" MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-131072}"

# Whoever execs is gone: node gets the signals itself.
# shellcheck disable=SC2086 # two options
exec node $heap --import ./src/telemetry.ts src/main.ts
