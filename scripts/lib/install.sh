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

# Packages, tools and data live below this directory.
mkdir -p "$root/.data" 2>/dev/null
[ -w "$root/.data" ] && [ -w "$root" ] || fail "$root cannot be written to by $(id -un 2>/dev/null || id -u). Clone it to a directory of your own and try again."

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

# Runs npm quietly, with a line each 10 s.
npm_with_progress() {
  npm "$@" --no-audit --no-fund --loglevel=error >>.data/npm.log 2>&1 &
  local npm_pid=$! next=$((SECONDS + 10))
  while kill -0 "$npm_pid" 2>/dev/null; do
    sleep 0.2
    if [ "$SECONDS" -ge "$next" ]; then
      printf 'installing npm packages ... %d s\n' "$((SECONDS - install_started))" >&2
      next=$((next + 10))
    fi
  done
  wait "$npm_pid"
}

# .npmrc keeps all of them from running: npm by itself asks nobody.
allowed_scripts() {
  node -p 'Object.entries(require("./package.json").allowScripts).flatMap(([name, may]) => may ? [name] : []).join(" ")'
}

install_packages() {
  packages_current && return
  : >.data/npm.log
  install_started=$SECONDS
  printf 'installing npm packages ...\n' >&2
  # `npm ci` refuses a lock file when the registry lacks packages for systems other than this one (mirrors do);
  # `npm install` takes the same versions and does not mind. --no-save leaves the lock file as it is.
  if ! npm_with_progress ci && ! npm_with_progress install --no-save; then
    tail -n 30 .data/npm.log >&2
    fail 'Installing the npm packages failed; the last lines are above.'
  fi
  # shellcheck disable=SC2046 # one word each; those for other systems are not installed and are passed over
  if ! npm_with_progress rebuild --ignore-scripts=false $(allowed_scripts); then
    tail -n 30 .data/npm.log >&2
    fail 'Installing Node 24 or Postgres from their npm packages failed; the last lines are above.'
  fi
  packages_current || fail 'npm ran, but what it installed is not what the lock file says (see .data/npm.log).'
  printf 'installing npm packages: done in %d s\n' "$((SECONDS - install_started))" >&2
}

install_packages
export PATH="$root/node_modules/.bin:$PATH"
# Compiled code of one process serves the next ones: each start takes half of the time.
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$root/.data/compile-cache}"
