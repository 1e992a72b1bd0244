# One image, three modes: RUN_MODE=api | worker | scheduler. There is no build step: Node 24 runs the TypeScript as it is.

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force

FROM node:24-slim
WORKDIR /app

# npm is only for `migrate` and `admin`; with a read-only root it may write below /tmp.
ENV NODE_ENV=production \
    npm_config_cache=/tmp/npm \
    npm_config_update_notifier=false

COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY supabase/migrations ./supabase/migrations
COPY scripts/entrypoint.sh ./scripts/entrypoint.sh
COPY src ./src

# Last, because they differ at each build and would empty the cache of everything after them.
ARG GIT_SHA=
ARG BUILD_TIME=
# With PORT set every mode serves /health, so the check below holds for all three.
ENV GIT_SHA=$GIT_SHA \
    BUILD_TIME=$BUILD_TIME \
    PORT=8000

USER node
EXPOSE 8000

# A mode that serves its operations routes on OPS_PORT is asked there; the API always answers on PORT.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --start-interval=2s --retries=3 \
  CMD ["node", "-e", "const { RUN_MODE, PORT, OPS_PORT } = process.env; fetch(`http://127.0.0.1:${RUN_MODE === 'api' ? PORT : OPS_PORT || PORT}/health`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

ENTRYPOINT ["/app/scripts/entrypoint.sh"]
