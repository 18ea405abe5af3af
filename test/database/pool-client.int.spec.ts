import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import pg from 'pg';

import { PoolClient } from '../../src/database/pool-client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase('empty');
});
afterAll(() => database.drop());
beforeEach(() => {
  pool = new pg.Pool({ connectionString: database.url, max: 1, Client: PoolClient });
});

it('lets a pool end that somebody still had a client of', async () => {
  const client = await pool.connect();
  const ended = pool.end();
  client.release();
  await ended;
  expect(pool.totalCount).toBe(0);
});

it('makes room for who waits when a broken one is given back', async () => {
  const broken = await pool.connect();
  const waiting = pool.connect();
  broken.release(new Error('broken'));
  const next = await waiting;
  expect((await next.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  next.release();
  await pool.end();
});
