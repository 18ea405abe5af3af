FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json nest-cli.json ./
COPY src ./src
COPY migrations ./migrations
RUN npm run build

FROM node:24-bookworm-slim AS production
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 LOG_FORMAT=json
COPY package.json package-lock.json ./
# The embedded PostgreSQL is the one optional dependency. An image has DATABASE_URL instead.
RUN npm ci --omit=dev --omit=optional && npm cache clean --force
COPY --from=build /app/dist ./dist
# The files stay root's: the service cannot change its own code.
# Where the agent keeps its state, and the service its key: volumes mounted there belong to their user.
RUN mkdir /state /keys && chown node /state /keys && chmod 700 /keys
USER node
EXPOSE 8003
# Live, not ready: a replica whose database is away still serves stale reads and should get traffic.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8003) + '/health/live').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Node itself is process 1, without npm or a shell that would keep SIGTERM from it.
# A larger young generation: short-lived objects of a request are not copied on.
CMD ["node", "--min-semi-space-size=16", "--max-semi-space-size=32", "dist/src/main.js"]
