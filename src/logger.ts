import { ConsoleLogger } from '@nestjs/common';

import type { Settings } from './config/settings.js';

/** What Nest tells of its own start-up is of no use to who runs the service. */
const CHATTER = new Set([
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestFactory',
  'NestApplication',
]);

/** One line per message, for people or as JSON, with times in UTC. */
export class Logger extends ConsoleLogger {
  constructor({ logFormat }: Settings) {
    super({
      json: logFormat === 'json',
      colors: logFormat === 'text' && process.stdout.isTTY,
      prefix: 'lora',
      logLevels: ['log', 'warn', 'error', 'fatal'],
    });
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (CHATTER.has(String(rest.at(-1)))) return;
    super.log(message, ...(rest as [string]));
  }

  override error(message: unknown, ...rest: unknown[]): void {
    // What keeps the service from starting is thrown too, and said once by main.
    if (rest.at(-1) === 'NestApplication') return;
    super.error(message, ...(rest as [string]));
  }

  protected override getTimestamp(): string {
    return new Date().toISOString();
  }
}
