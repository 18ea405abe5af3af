import pg from 'pg';

import { UnfitDatabaseError } from '../database/prepare-database.js';

export interface ConnectionSettings {
  /** What the server shows as application_name. */
  readonly name: string;
  /** The server gives a statement up after this long. */
  readonly statementTimeoutMs: number;
  /** Opened again when it was lost or cut, before anybody needs it. */
  readonly keptOpen?: boolean;
}

const CONNECT_TIMEOUT_MS = 1000;
const CLOSE_TIMEOUT_MS = 300;
const REOPEN_MS = 250;

/**
 * One session of the server. When it is lost its queries fail for ever: what belongs to one transaction never goes on
 * in another session.
 */
export class LogSession {
  constructor(private readonly client: pg.Client) {}

  /** Calls a function of the log, whose result is the column `answer` of one row. */
  async query<T>(sql: string, parameters?: unknown[]): Promise<T> {
    const { rows } = await this.client.query<{ answer: T }>(sql, parameters);
    const row = rows.at(-1);
    if (row === undefined) throw new Error('A function of the log gave no row.');
    return row.answer;
  }

  /** Statements in one round trip. */
  async run(sql: string): Promise<pg.QueryResult[]> {
    const results: unknown = await this.client.query(sql);
    return Array.isArray(results) ? (results as pg.QueryResult[]) : [results as pg.QueryResult];
  }
}

/**
 * A connection to the log that is opened when it is needed, opened again when it was lost, and can be cut off at
 * once: a cut makes every query under way fail now, whatever the network or the server does.
 */
export class LogConnection {
  private opening: Promise<LogSession> | undefined;
  private client: pg.Client | undefined;
  private ready = false;
  private closed = false;

  constructor(
    private readonly connectionString: () => string,
    private readonly settings: ConnectionSettings,
    /** Runs on every new connection before anything else. */
    private readonly prepare: (client: pg.Client) => Promise<void> = () => Promise.resolve(),
    /** Called when an open connection is found lost. */
    private readonly onLost: () => void = () => undefined,
  ) {}

  /** Whether it is open, as far as is known: a query goes out at once. */
  get isOpen(): boolean {
    return this.ready;
  }

  /** Opens it ahead of time; a failure shows at the next query. */
  warm(): void {
    this.session().catch(() => undefined);
  }

  /** The present session, or a new one. */
  session(): Promise<LogSession> {
    if (this.closed) return Promise.reject(new Error('The service is stopping.'));
    if (this.opening) return this.opening;
    const opening = this.connect();
    this.opening = opening;
    opening.catch(() => {
      if (this.opening === opening) this.opening = undefined;
    });
    return opening;
  }

  async query<T>(sql: string, parameters?: unknown[]): Promise<T> {
    return (await this.session()).query(sql, parameters);
  }

  async run(sql: string): Promise<pg.QueryResult[]> {
    return (await this.session()).run(sql);
  }

  /** As `query`; cut when the answer takes longer: a network that swallows everything brings no time-out of the server's. */
  async queryWithin<T>(ms: number, sql: string, parameters?: unknown[]): Promise<T> {
    const timer = setTimeout(() => {
      this.cut();
    }, ms);
    try {
      return await this.query<T>(sql, parameters);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Queries under way fail at once; the next one opens a new connection. */
  cut(): void {
    this.forget()?.connection.stream.destroy();
  }

  async close(): Promise<void> {
    this.closed = true;
    const client = this.forget();
    if (!client) return;
    // A server that hangs never says goodbye.
    const patience = setTimeout(() => {
      client.connection.stream.destroy();
    }, CLOSE_TIMEOUT_MS);
    await client.end().catch(() => undefined);
    clearTimeout(patience);
  }

  /** @returns what was the client */
  private forget(): pg.Client | undefined {
    const { client } = this;
    this.client = undefined;
    this.opening = undefined;
    this.ready = false;
    if (this.settings.keptOpen && !this.closed) {
      setTimeout(() => {
        this.warm();
      }, REOPEN_MS).unref();
    }
    return client;
  }

  private async connect(): Promise<LogSession> {
    const client = new pg.Client({
      connectionString: this.connectionString(),
      application_name: `lora-control-plane ${this.settings.name}`,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      // A peer that is gone without a word is noticed before the kernel's two hours.
      keepAliveInitialDelayMillis: 5000,
    });
    // While it opens, a cut must reach it too.
    this.client = client;
    const lost = (): void => {
      if (this.client !== client) return;
      this.forget();
      this.onLost();
    };
    client.on('error', lost).on('end', lost);
    try {
      await client.connect();
      await this.settle(client);
      await this.prepare(client);
      this.ready = this.client === client;
      return new LogSession(client);
    } catch (error) {
      lost();
      client.connection.stream.destroy();
      throw error;
    }
  }

  /**
   * What the session rests on, whatever the role or the database has as its defaults. As statements: a pooler refuses
   * or drops most settings that come with the start of a session.
   * @throws UnfitDatabaseError of a standby, which shows an older log: an address may have moved since the last session
   */
  private async settle(client: pg.Client): Promise<void> {
    const results: unknown = await client.query(`
      set statement_timeout = ${this.settings.statementTimeoutMs};
      set idle_in_transaction_session_timeout = 250;
      set lock_timeout = 0;
      set default_transaction_isolation = 'read committed';
      set synchronous_commit = on;
      select pg_is_in_recovery() as standby`);
    const asked = (results as pg.QueryResult<{ standby: boolean }>[]).at(-1);
    if (asked?.rows[0]?.standby !== false)
      throw new UnfitDatabaseError('The database is a standby; the service needs the primary.');
  }
}

/** Whether the server, not the network, said no: then the session is well and the statement is at fault. */
export function isStatementError(error: unknown): error is pg.DatabaseError {
  // Classes 08 and 28, and what a server says that stops, starts or is full, mean that there is no session.
  return (
    error instanceof pg.DatabaseError &&
    error.code !== undefined &&
    !/^(08|28)/.test(error.code) &&
    !/^(57P0[1-5]|25P0[34]|53300)$/.test(error.code)
  );
}
