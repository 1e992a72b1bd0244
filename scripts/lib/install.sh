# Sourced by scripts/test and scripts/dev: from a fresh clone to node_modules with Node 24, with nothing but Node >= 20 and npm.
# Leaves PATH with node_modules/.bin in front, so that `node` is the Node 24 of the lock file.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

command -v node >/dev/null || fail 'Node.js is missing. Install Node 20 or newer (https://nodejs.org) and try again.'
command -v npm >/dev/null || fail 'npm is missing. It comes with Node.js (https://nodejs.org).'
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
  fail "Node $(node --version) is too old. Install Node 20 or newer (https://nodejs.org) and try again."

# npm wants to write a cache below the home directory: give it one where there is no such directory.
if [ -z "${HOME:-}" ] || [ ! -w "$HOME" ]; then
  mkdir -p "$root/.data/home"
  export HOME="$root/.data/home"
fi

# What is installed is compared with the lock file by content, not by date: a checkout gives files new dates.
packages_current() {
  [ -x node_modules/.bin/node ] && node_modules/.bin/node -e '
    const { readFileSync } = require("node:fs");
    const packages = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
    const wanted = packages("package-lock.json");
    const installed = packages("node_modules/.package-lock.json");
    const current = Object.entries(wanted).every(([name, { version, optional, devOptional, peer }]) =>
      name === "" || (installed[name] ? installed[name].version === version : optional || devOptional || peer));
    process.exit(current && Number(process.versions.node.split(".")[0]) >= 24 ? 0 : 1);
  ' 2>/dev/null
}

install_packages() {
  packages_current && return
  mkdir -p .data
  printf 'installing npm packages ...\n' >&2
  local started=$SECONDS
  npm ci --no-audit --no-fund --loglevel=error >.data/npm-ci.log 2>&1 &
  local npm_pid=$!
  local next=10
  while kill -0 "$npm_pid" 2>/dev/null; do
    sleep 0.2
    if [ $((SECONDS - started)) -ge "$next" ]; then
      printf 'installing npm packages ... %d s\n' "$next" >&2
      next=$((next + 10))
    fi
  done
  if ! wait "$npm_pid"; then
    tail -n 30 .data/npm-ci.log >&2
    fail 'npm ci failed; its last lines are above.'
  fi
  packages_current || fail "npm ci ran, but Node 24 did not arrive in node_modules/.bin (see .data/npm-ci.log). Were install scripts forbidden (ignore-scripts)?"
  printf 'installing npm packages: done in %d s\n' "$((SECONDS - started))" >&2
}

install_packages
export PATH="$root/node_modules/.bin:$PATH"
