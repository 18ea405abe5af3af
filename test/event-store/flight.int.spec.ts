import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { Flight } from '../../src/event-store/flight.js';
import { LaneQueue, type Pending } from '../../src/event-store/lane-queue.js';
import { LogConnection } from '../../src/event-store/log-connection.js';
import { LogMemory } from '../../src/event-store/log-memory.js';
import { ReadIndex } from '../../src/event-store/read-index.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { disable } from '../lora/domain/given.js';
import { on } from './batches.js';
import { SimpleLog } from './simple-log.js';
import { entryOf } from './submissions.js';

let database: TestDatabase;
let lane: LogConnection;
let asking: LogConnection;
let memory: LogMemory;
let readIndex: ReadIndex;
let log: SimpleLog;

beforeEach(async () => {
  database = await createDatabase();
  const connection = (name: string): LogConnection =>
    new LogConnection(() => database.url, { name, statementTimeoutMs: 1500 });
  [lane, asking] = [connection('lane'), connection('read index')];
  memory = new LogMemory();
  readIndex = new ReadIndex(asking, memory, () => undefined);
  log = new SimpleLog(on(database));
  await log.write(3);
  await readIndex.confirm();
});
afterEach(async () => {
  await Promise.all([lane.close(), asking.close()]);
  await database.drop();
});

const kill = (): Pending => ({
  ...entryOf('a', disable()),
  arrival: 1,
  conflicts: 0,
  alone: false,
  uncertain: false,
  settled: false,
  settle: () => undefined,
});
const flightOf = (...batch: Pending[]): Flight =>
  new Flight(batch, lane, { queue: new LaneQueue(), memory, readIndex });

it('reads what it misses under the lock of the head when that is one answer', async () => {
  await log.write(1000);
  const flight = flightOf(kill());
  expect(await flight.fly(true)).toMatchObject([{ type: 'appended', first: 1004 }]);
  expect(flight.behind).toBe(true);
});

it('lets the head go when more is missing, so that nobody waits for its reading, and has read it then', async () => {
  await log.write(1001);
  const pending = kill();
  const first = flightOf(pending);
  expect(await first.fly(true)).toEqual(['retry']);
  expect([first.mayCommit, first.behind, memory.position]).toEqual([false, true, 1004]);
  // Nobody holds the head.
  await database.query('select from log_head for update nowait');
  expect(await flightOf(pending).fly(true)).toMatchObject([{ type: 'appended', first: 1005 }]);
});

it('lets the head go when the log has got another name, and is at home in it then', async () => {
  await database.query('update log_head set log_id = gen_random_uuid()');
  const pending = kill();
  expect(await flightOf(pending).fly(true)).toEqual(['retry']);
  expect(await flightOf(pending).fly(true)).toMatchObject([
    { type: 'appended', logId: memory.logId, first: 4 },
  ]);
});
