// Owns the way to PostgreSQL: the pool, roles, migrations on start, the embedded server.
// Must never know what the tables mean.
import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';

import { Database } from './database.js';
import { PoolClient } from './pool-client.js';
import { typeParsers } from './pg-time.js';

@Global()
@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      // The address is known when Database.open() has found or started the server.
      manualInitialization: true,
      autoLoadEntities: true,
      poolSize: 10,
      connectTimeoutMS: 1500,
      applicationName: 'lora-control-plane',
      extra: {
        types: typeParsers,
        Client: PoolClient,
        keepAlive: true,
        keepAliveInitialDelayMillis: 5000,
        statement_timeout: 5000,
        // The server's own time-out does not come back through a network that swallows everything.
        query_timeout: 6000,
        idle_in_transaction_session_timeout: 5000,
      },
    }),
  ],
  providers: [Database],
  exports: [Database],
})
export class DatabaseModule {}
