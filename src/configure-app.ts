import { setTimeout as pause } from 'node:timers/promises';

import { Logger, type LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

import { DESCRIPTION_PATHS } from './access/roles.js';
import { AccessGuard } from './access/access.guard.js';
import { AccessRecord } from './access/access-record.js';
import { RefusalRecord } from './access/refusal-record.js';
import { AppModule } from './app.module.js';
import { AuditWatch } from './audit/audit-watch.js';
import type { Settings } from './config/settings.js';
import { VERSION } from './config/version.js';
import { Database } from './database/database.js';
import { reasonOf, UnfitDatabaseError } from './database/prepare-database.js';
import { ConvergenceService } from './engines/convergence.service.js';
import { EventStore } from './event-store/event-store.js';
import { AnswerAdapter } from './http/answer.js';
import { answerClientErrors } from './http/client-error.js';
import { corsFor } from './http/cors.js';
import { meet, nameAnswers } from './http/edge.js';
import { limit } from './http/limits.js';
import { ProblemBody } from './http/openapi.js';
import { ProblemFilter } from './http/problem.filter.js';
import { pageHeaders } from './http/safe-headers.js';
import { FirstStart } from './lora/first-start.js';
import { Gate } from './stream/gate.js';
import { StreamHub } from './stream/stream-hub.js';

/** The service, not yet open: the same edge in production and in tests. */
export async function createApp(settings: Settings, logger: LoggerService): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.with(settings),
    new AnswerAdapter(),
    {
      logger,
      bodyParser: false,
      forceCloseConnections: true,
      abortOnError: false,
    },
  );
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', settings.trustProxy);
  nameAnswers(app.getHttpAdapter().getInstance());
  app.use(meet(settings.corsOrigins));
  if (settings.corsOrigins.length > 0) app.enableCors(corsFor(settings.corsOrigins));
  app.use('/docs', pageHeaders);
  const server = app.getHttpServer();
  answerClientErrors(server);
  limit(server);
  app.get(Gate).guard(server);
  if (settings.access === 'required') app.use([...DESCRIPTION_PATHS], app.get(AccessGuard).describe);
  const refusals = app.get(RefusalRecord);
  app.useGlobalFilters(
    new ProblemFilter((problem, request) => {
      refusals.note(problem, request);
    }),
  );
  describeApi(app);
  return app;
}

/** Engines of a replica that has gone come all at once: who finds this queue full tries again after seconds. */
const BACKLOG = 4096;

/** Listens at once: while the log cannot be reached the service is live, not ready. @returns its address */
export async function listen(app: NestExpressApplication, { port, host }: Settings): Promise<string> {
  // Nest hands it to Node's server as it is; its types do not know this form.
  await app.listen({ port, host, backlog: BACKLOG } as unknown as number);
  return (await app.getUrl()).replace('[::1]', 'localhost');
}

/**
 * Opens the database and the log, and sees to the first start. Waits for a database that cannot be reached.
 * @throws UnfitDatabaseError when the database is not one that can keep the log
 */
export async function openLog(app: NestExpressApplication, signal: AbortSignal): Promise<void> {
  const logger = new Logger('Log');
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      await app.get(Database).open();
      await app.get(EventStore).open();
      await app.get(FirstStart).run();
      await app.get(AccessRecord).begin();
      await app.get(AuditWatch).begin();
      return;
    } catch (error) {
      if (error instanceof UnfitDatabaseError) throw error;
      if (failures % LOG_EVERY === 0) logger.warn(`Waiting for the database: ${reasonOf(error)}`);
      await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

const RETRY_MS = 250;
const LOG_EVERY = 40;

/** How long requests under way may take to end when the service stops. */
const DRAIN_MS = 3000;

/**
 * Takes no new connections, ends streams so that their clients go elsewhere, lets commands under way end, closes the
 * connections, and leaves the database. Within 5 s.
 */
export async function closeApp(app: NestExpressApplication): Promise<void> {
  const server = app.getHttpServer();
  const drained = new Promise((resolve) => server.close(resolve));
  app.get(Gate).close();
  app.get(StreamHub).end();
  app.get(ConvergenceService).end();
  const idle = setInterval(() => {
    server.closeIdleConnections();
  }, 20);
  await Promise.race([drained, pause(DRAIN_MS, undefined, { ref: false })]);
  clearInterval(idle);
  const database = app.get(Database);
  await app.close();
  await database.leave();
}

function describeApi(app: NestExpressApplication): void {
  const description = new DocumentBuilder()
    .setTitle('LoRA control plane')
    .setDescription('Kill-switch, rollback and history of LoRA adapters.')
    .setVersion(VERSION)
    .setOpenAPIVersion('3.1.0')
    .addBearerAuth()
    .addSecurityRequirements('bearer')
    .build();
  SwaggerModule.setup(
    'docs',
    app,
    () => SwaggerModule.createDocument(app, description, { extraModels: [ProblemBody] }),
    { jsonDocumentUrl: 'openapi.json', yamlDocumentUrl: 'openapi.yaml' },
  );
}
