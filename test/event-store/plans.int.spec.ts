import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';

import { AnswerReader } from '../../src/event-store/answer-reader.js';
import type { LogConnection } from '../../src/event-store/log-connection.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { through } from './batches.js';
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
  const plans = await Promise.all(
    asked.map(([sql, parameters]) =>
      client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`explain (analyze, format json) ${sql}`, parameters),
    ),
  );
  return plans.reduce((sum, { rows: [row] }) => sum + (row ? rowsOf(row['QUERY PLAN'][0].Plan) : NaN), 0);
}

interface Plan {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

function rowsOf(plan: Plan): number {
  const each = plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0);
  const own = plan['Relation Name'] === undefined ? 0 : each * plan['Actual Loops'];
  return (plan.Plans ?? []).reduce((sum, inner) => sum + rowsOf(inner), own);
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
