import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';

import { AnswerReader } from '../../src/event-store/answer-reader.js';
import { historyQuery, ROWS_READ_MAX } from '../../src/event-store/history-query.js';
import type { LogConnection } from '../../src/event-store/log-connection.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { through } from './batches.js';
import { explained, looked, lookedAtBy } from './explained.js';
import { SimpleLog } from './simple-log.js';

const OLD = 2_000;
const ALL = 6_000;
/** More than the rows that an answer shows, and far fewer than lie between a fleet's last event and the end. */
const LOOKED_AT_MAX = 500;

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = await database.connect();
  const log = new SimpleLog(through(client));
  await log.write(OLD, ['common once']);
  await log.write(ALL - OLD, ['a', 'b', 'c']);
  // Versions that all fleets have in common: the planner thinks that any is found soon, also one that never was active.
  await client.query(`
    alter table events disable trigger all;
    update events set to_version = 'v1', adapter_version = 'never active';
    analyze`);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

/** How many rows of tables the database looked at for what a reader asks. */
async function lookedAt(ask: (reader: AnswerReader) => Promise<unknown>): Promise<number> {
  const asked: [sql: string, parameters: unknown[]][] = [];
  const connection = {
    queryWithin: (_ms: number, sql: string, parameters: unknown[]) => {
      asked.push([sql, parameters]);
      return Promise.resolve([]);
    },
  };
  await ask(new AnswerReader(connection as unknown as LogConnection));
  const plans = await Promise.all(asked.map(([sql, parameters]) => explained(client, sql, parameters)));
  const ofTables = plans.flat().filter((step) => step['Relation Name'] !== undefined);
  return ofTables.reduce((sum, step) => sum + lookedAtBy(step), 0);
}

describe('a fleet that was common once, at the end of a long log', () => {
  it('has its histories read without the events of others', async () => {
    expect(await lookedAt((reader) => reader.histories('common once', ALL))).toBeLessThan(LOOKED_AT_MAX);
  });

  it('has what a command meant told without the events of others', async () => {
    expect(await lookedAt((reader) => reader.accepted(OLD - 1, OLD))).toBeLessThan(LOOKED_AT_MAX);
    expect(await lookedAt((reader) => reader.accepted(ALL - 1, ALL))).toBeLessThan(LOOKED_AT_MAX);
  });
});

describe('a page of the history, wherever in a long log its events are,', () => {
  beforeAll(() => client.query('vacuum (analyze) events'));

  it.each([
    [{ fleets: ['common once'] }, 100],
    [{ fleets: ['common once'], type: 'LoraEnabled' }, 100],
    [{ fleets: ['common once', 'a', 'b'] }, 100],
    [{ fleets: ['common once', 'a'], type: 'LoraEnabled' }, 100],
    [{ fleets: ['common once', 'a'], actor: 'anonymous' }, 100],
    [{ fleets: ['common once'], reason: 'zzz' }, OLD],
    [{ fleets: ['common once', 'a'], actor: 'nobody' }, ROWS_READ_MAX],
    [{ fleets: null, adapter_version: 'never active' }, 100],
  ] as const)('reads no more than it shows, or may: %j', async (filter, most) => {
    for (const before of [undefined, ALL / 2]) {
      const { sql, parameters } = historyQuery(filter, before, 100);
      expect(looked(await explained(client, sql, parameters))).toBeLessThanOrEqual(most);
    }
  });
});
