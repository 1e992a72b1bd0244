#!/bin/sh
# Replaces the containers of the api by ones of the image that is there now, without a moment in which none answers:
#   scripts/deploy/roll-compose.sh [SERVICE]      default: api; run it where docker-compose.prod.yml lies
#
# New containers are started beside the old ones, and only when all of them are healthy the old ones get SIGTERM. When one does not become
# healthy, the new ones are removed and the old ones go on: exit code 1, and nothing has happened.
set -eu

case "${1:-}" in
  --help | -h) echo 'Usage: scripts/deploy/roll-compose.sh [SERVICE]    replaces its containers (api) by the image that is there now; the head of the file says how'; exit 0 ;;
esac
service=${1:-api}
# how long a new container may take, and how long an old one has to end; seconds
patience=${ROLL_PATIENCE:-120}
grace=${ROLL_GRACE:-30}
compose="docker compose -f docker-compose.prod.yml"

old=$($compose ps --quiet "$service")
count=$(printf '%s' "$old" | grep -c . || true)
if [ "$count" -eq 0 ]; then
  echo "$service does not run: start it with up -d" >&2
  exit 1
fi

echo "$service: $count running, starting as many beside them"
$compose up --detach --no-deps --no-recreate --no-build --scale "$service=$((count * 2))" "$service"
new=
for container in $($compose ps --quiet "$service"); do
  case "$old" in *"$container"*) ;; *) new="$new $container" ;; esac
done

waited=0
for container in $new; do
  until [ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ]; do
    if [ "$waited" -ge "$patience" ]; then
      echo "$service: $container is not healthy after $waited s; its last lines:" >&2
      docker logs --tail 20 "$container" >&2 || true
      docker rm --force $new >/dev/null
      echo "$service: the new containers are removed, the old ones go on" >&2
      exit 1
    fi
    sleep "${ROLL_EVERY:-2}"
    waited=$((waited + 2))
  done
done
echo "$service: $(printf '%s' "$new" | wc -w | tr -d ' ') new ones are healthy"

for container in $old; do
  docker stop -t "$grace" "$container" >/dev/null
  docker rm "$container" >/dev/null
  echo "$service: $container is replaced"
done
