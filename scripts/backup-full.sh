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

# What a command writes becomes the file NAME, sealed (age) where there is a key, or nothing.
part() {
  local name=$1 what=$2
  shift 2
  local file="$dir/evolution-$stamp-$name"
  [ -z "${BACKUP_ENCRYPTION_KEY:-}${BACKUP_ENCRYPTION_KEY_FILE:-}" ] || file="$file.age"
  printf '...     %s\n' "$what"
  if "$@" | node "$top/src/backup/main.ts" seal >"$file.partial" && [ -s "$file.partial" ]; then
    mv "$file.partial" "$file"
    printf 'ok      %s: %s\n' "$what" "$file"
  else
    rm -f "$file.partial"
    printf 'FAILED  %s\n' "$what"
    failed=1
  fi
}

if "$top/scripts/backup-db.sh"; then printf 'ok      database\n'; else printf 'FAILED  database\n'; failed=1; fi

if ! command -v docker >/dev/null; then
  printf 'skipped Evolution and Redis: there is no docker here; back them up where they run\n'
  exit "$failed"
fi
part postgres.dump "Evolution's database" "${compose[@]}" exec -T evolution-postgres pg_dump --username=evolution --format=custom evolution
part sessions.tar "Evolution's sessions" "${compose[@]}" exec -T evolution-api tar -C /evolution/instances -cf - .
part redis.rdb 'Redis' "${compose[@]}" exec -T redis redis-cli --rdb -
find "$dir" -maxdepth 1 -name 'evolution-*' -mtime "+${BACKUP_KEEP_DAYS:-30}" -delete
exit "$failed"
