# One image, three modes: RUN_MODE=api | worker | scheduler, or all in one process: RUN_MODE=all. There is no build step: Node 24 runs the TypeScript as it is.
#
#   docker build -t whats-agents --build-arg GIT_SHA=$(git rev-parse HEAD) --build-arg BUILD_TIME=$(date -u +%Y-%m-%dT%H:%M:%SZ) .
#
# The base is pinned to the Node version that package-lock.json tests with. A tag can be moved, a digest cannot: where that matters, look the
# digest up in your registry and pass it on, as --build-arg NODE_IMAGE=docker.io/library/node:24.21.0-slim@sha256:...
ARG NODE_IMAGE=docker.io/library/node:24.21.0-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No package may run a script here; the one native addon comes as a prebuilt binary. Types and source maps are more than half of the bytes and
# are never read. Licences and package.json stay, for whoever lists what is in here.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && find node_modules -type f \( -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.map' \) -delete

FROM ${NODE_IMAGE}
WORKDIR /app

# npm is here for `npm run admin` and `npm run migrate` by hand; with a read-only root it may write below /tmp.
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/.compile-cache \
    npm_config_cache=/tmp/npm \
    npm_config_update_notifier=false

# For backups from inside the image: the client tools of the Postgres that is backed up (17, say). Empty: none.
ARG POSTGRES_CLIENT=
RUN if [ -n "$POSTGRES_CLIENT" ]; then \
      apt-get update && apt-get install -y --no-install-recommends ca-certificates postgresql-common && \
      /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && \
      apt-get install -y --no-install-recommends "postgresql-client-$POSTGRES_CLIENT" && rm -rf /var/lib/apt/lists/*; \
    fi

COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json package-lock.json ./
COPY supabase/migrations ./supabase/migrations
COPY scripts/entrypoint.sh scripts/healthcheck.js scripts/smoke.sh scripts/smoke.ts scripts/warm-compile-cache.ts \
  scripts/backup-db.sh scripts/restore.sh scripts/health-check.sh ./scripts/
COPY src ./src
# `docker compose exec api admin status` and the like pass the entry point by, so its commands are programs too.
RUN for name in admin migrate smoke; do \
      printf '#!/bin/sh\nexec /app/scripts/entrypoint.sh %s "$@"\n' "$name" >"/usr/local/bin/$name" && chmod 755 "/usr/local/bin/$name"; \
    done
# As the user who will read it, because the number is in the directory's name; then it belongs to root like all the rest.
# /backups is for a volume: a new one takes its owner from here.
RUN install -d -o 1000 -g 1000 $NODE_COMPILE_CACHE /backups \
  && setpriv --reuid=1000 --regid=1000 --clear-groups node scripts/warm-compile-cache.ts \
  && chown -R 0:0 $NODE_COMPILE_CACHE && chmod -R a+rX $NODE_COMPILE_CACHE

# Last, because they differ at each build and would empty the cache of everything after them.
ARG GIT_SHA=
ARG BUILD_TIME=
# With PORT set every mode serves /health, so the check below holds for all three.
ENV GIT_SHA=$GIT_SHA \
    BUILD_TIME=$BUILD_TIME \
    PORT=8000
LABEL org.opencontainers.image.title=whats-agents \
      org.opencontainers.image.revision=$GIT_SHA \
      org.opencontainers.image.created=$BUILD_TIME

# By number: a platform that insists on a user other than root cannot look names up. It is the user `node` of the base.
USER 1000:1000
EXPOSE 8000
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/scripts/healthcheck.js"]

# Exec form, and the script execs: node itself is process 1 and gets SIGTERM. It starts no children, so it needs no init.
ENTRYPOINT ["/app/scripts/entrypoint.sh"]
