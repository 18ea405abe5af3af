import { type LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

import { AppModule } from './app.module.js';
import type { Settings } from './config/settings.js';
import { VERSION } from './config/version.js';
import { Database } from './database/database.js';
import { AnswerInterceptor } from './http/answer.js';
import { noteArrival } from './http/caller.js';
import { ProblemBody } from './http/openapi.js';
import { ProblemFilter } from './http/problem.filter.js';
import { FirstStart } from './lora/first-start.js';

/** The service, not yet open: the same edge in production and in tests. */
export async function createApp(settings: Settings, logger: LoggerService): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.with(settings), {
    logger,
    bodyParser: false,
    forceCloseConnections: true,
    abortOnError: false,
  });
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(noteArrival);
  app.useGlobalInterceptors(new AnswerInterceptor());
  app.useGlobalFilters(new ProblemFilter());
  describeApi(app);
  return app;
}

/** Opens the database, sees to the first start, and listens. @returns the address that it listens on */
export async function openApp(app: NestExpressApplication, settings: Settings): Promise<string> {
  await app.get(Database).open();
  await app.get(FirstStart).run();
  await app.listen(settings.port, settings.host);
  return (await app.getUrl()).replace('[::1]', 'localhost');
}

/** Ends what is under way, closes the connections, and leaves the database. */
export async function closeApp(app: NestExpressApplication): Promise<void> {
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
    .build();
  SwaggerModule.setup(
    'docs',
    app,
    () => SwaggerModule.createDocument(app, description, { extraModels: [ProblemBody] }),
    { jsonDocumentUrl: 'openapi.json', yamlDocumentUrl: 'openapi.yaml' },
  );
}
