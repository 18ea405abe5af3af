import { Inject, Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

import { SETTINGS, type Settings } from '../config/settings.js';
import { type EmbeddedServer, joinEmbeddedServer } from './embedded-server.js';
import { prepareDatabase, reasonOf, UnfitDatabaseError } from './prepare-database.js';

/** The one way to the database: which server, as whom, migrated and open. */
@Injectable()
export class Database {
  private readonly logger = new Logger('Database');
  private embedded: EmbeddedServer | undefined;
  private url: string | undefined;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    @InjectDataSource() readonly dataSource: DataSource,
  ) {}

  /** How the service logs in; for connections that are not the pool's. */
  get serviceUrl(): string {
    if (this.url === undefined) throw new Error('The database is not open yet.');
    return this.url;
  }

  /**
   * Finds or starts the server, migrates, and opens the pool as the service's role. After a failure it may be tried again.
   * @throws UnfitDatabaseError where trying again is of no use
   */
  async open(): Promise<void> {
    const { databaseUrl, databaseOwnerUrl } = this.settings;
    const ownerUrl = databaseOwnerUrl ?? databaseUrl ?? (await this.joinEmbedded()).ownerUrl;
    this.url = await prepareDatabase(ownerUrl, databaseOwnerUrl && databaseUrl, this.logger);
    this.dataSource.setOptions({ url: this.url });
    if (!this.dataSource.isInitialized) await this.dataSource.initialize();
  }

  /** After the application has closed: the last service out stops the embedded server. */
  async leave(): Promise<void> {
    await this.embedded?.leave();
  }

  private async joinEmbedded(): Promise<EmbeddedServer> {
    try {
      this.embedded ??= await joinEmbeddedServer(this.settings.dataDir, (line) => {
        this.logger.log(line);
      });
      return this.embedded;
    } catch (error) {
      // Waiting would not mend what this machine lacks.
      throw new UnfitDatabaseError(reasonOf(error));
    }
  }
}
