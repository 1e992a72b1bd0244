#!/usr/bin/env bash
# See --help.
set -uo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/backup-full.sh

Everything that a new machine needs, into BACKUP_DIR (./backups): the database (scripts/backup-db.sh), and of the compose file, where docker runs it: the
database of Evolution, its volume with the WhatsApp sessions (evolution-data) and a fresh snapshot of Redis. Each file appears under its name only when it is whole;
encrypted when BACKUP_ENCRYPTION_KEY is set. What is older than BACKUP_KEEP_DAYS (30) is deleted. One line for each part; exit code 1 when one failed.
The secrets in .env are not in it: keep a copy of that file elsewhere.

Where the compose file runs, this needs nothing but docker on the machine: the database is backed up in the container of the scheduler, which has the
address, the key and the client tools (BACKUP_DIR=/backups and POSTGRES_CLIENT=17 in .env, then build and up -d), and copied here.
TEXT
}

case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  '') ;;
  *) usage >&2; exit 2 ;;
esac

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH="$top/node_modules/node/bin:$PATH"
dir=${BACKUP_DIR:-backups}
stamp=$(date -u +%Y-%m-%dT%H-%M-%SZ)
compose=(docker compose -f "$top/docker-compose.prod.yml")
failed=0
umask 077 && mkdir -p "$dir"

# The container whose environment and programs are used; empty: those of this machine. With RUN_MODE=all there is no scheduler.
service=
if command -v docker >/dev/null; then
  for each in scheduler api; do
    [ -n "$service" ] || [ -z "$("${compose[@]}" ps -q "$each" 2>/dev/null)" ] || service=$each
  done
fi
inside() {
  if [ -n "$service" ]; then "${compose[@]}" exec -T "$service" "$@"; else (cd "$top" && "$@"); fi
}

keep=$(inside printenv BACKUP_KEEP_DAYS) && [ -n "$keep" ] || keep=30

# What a command writes becomes the file NAME, sealed (age) where there is a key, or nothing.
part() {
  local name=$1 what=$2
  shift 2
  local file="$dir/evolution-$stamp-$name"
  ! $sealed || file="$file.age"
  printf '...     %s\n' "$what"
  if "$@" | inside node src/backup/main.ts seal >"$file.partial" && [ -s "$file.partial" ]; then
    mv "$file.partial" "$file"
    printf 'ok      %s: %s\n' "$what" "$file"
  else
    rm -f "$file.partial"
    printf 'FAILED  %s\n' "$what"
    failed=1
  fi
}

database() {
  [ -n "$service" ] || { "$top/scripts/backup-db.sh"; return; }
  local there
  there=$(inside printenv BACKUP_DIR) && [ -n "$there" ] || { printf 'BACKUP_DIR is not set for %s: set BACKUP_DIR=/backups and POSTGRES_CLIENT=17 in .env, build, up -d\n' "$service" >&2; return 1; }
  # The copy here is a second one: the container deletes its own, and keeps the newest proven one.
  inside scripts/backup-db.sh && "${compose[@]}" cp "$service:$there/." "$dir" && find "$dir" -maxdepth 1 -name 'whats-agents-20*' -mtime "+$keep" -delete
}

if database; then printf 'ok      database\n'; else printf 'FAILED  database\n'; failed=1; fi

if ! command -v docker >/dev/null; then
  printf 'skipped Evolution and Redis: there is no docker here; back them up where they run\n'
  exit "$failed"
fi
sealed=false
# shellcheck disable=SC2016 # expanded inside
inside sh -c '[ -n "${BACKUP_ENCRYPTION_KEY:-}${BACKUP_ENCRYPTION_KEY_FILE:-}" ]' && sealed=true
part postgres.dump "Evolution's database" "${compose[@]}" exec -T evolution-postgres pg_dump --username=evolution --format=custom evolution
part sessions.tar "Evolution's sessions" "${compose[@]}" exec -T evolution tar -C /evolution/instances -cf - .
part redis.rdb 'Redis' "${compose[@]}" exec -T redis redis-cli --rdb -
find "$dir" -maxdepth 1 -name 'evolution-*' -mtime "+$keep" -delete
exit "$failed"
