import pg from 'pg';

const CLOSE_TIMEOUT_MS = 300;

/**
 * A client of the pool that does not outlive a query which was never answered: the pool would hand it out again, and
 * every query after it would wait behind the one that the network has swallowed.
 */
export class PoolClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const end = this.end.bind(this);
    // The pool is told by a callback: it serves who waits for a place, and ends, only when it has heard.
    this.end = (async (told?: () => void): Promise<void> => {
      // A server that hangs never says goodbye.
      const patience = setTimeout(() => {
        this.connection.stream.destroy();
      }, CLOSE_TIMEOUT_MS);
      await end();
      clearTimeout(patience);
      told?.();
    }) as pg.Client['end'];
    const query = this.query.bind(this) as (...parameters: unknown[]) => unknown;
    this.query = ((...parameters: unknown[]): unknown => {
      const result = query(...parameters);
      if (result instanceof Promise) {
        result.catch((error: unknown) => {
          if (error instanceof Error && error.message === 'Query read timeout')
            this.connection.stream.destroy();
        });
      }
      return result;
    }) as pg.Client['query'];
  }
}
