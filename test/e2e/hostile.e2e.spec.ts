import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import type { Socket } from 'node:net';

import { bearer, newToken, TestAccessFile } from '../support/access.js';
import { attack, attacks, openSocket } from '../support/attacks.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { headOf } from '../support/problem.js';
import { type Replica, startReplica } from '../support/replica.js';

const ROUNDS = 4;
const KILLS_A_ROUND = 50;
const ATTACKERS = 4;
const SLOW_A_ROUND = 75;
const RATIO_MAX = 10;
const TIMES_MAX = 3;
const MEMORY_MB = 150;
/** What attacks are answered with (0: the connection was closed); a success and a failure of the service are not among it. */
const REFUSALS = [0, 400, 401, 404, 405, 413, 415, 429];

const [operator, owned] = [newToken(), newToken()];
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

let database: TestDatabase;
let file: TestAccessFile;
let service: Replica;

beforeAll(async () => {
  database = await createDatabase();
  file = await TestAccessFile.make([
    { name: 'ana', role: 'operator', token: operator },
    { name: 'eve', role: 'operator', token: owned },
  ]);
  service = await startReplica({ env: { DATABASE_URL: database.url, ACCESS_FILE: file.path } });
});
afterAll(async () => {
  agent.destroy();
  await service.stop();
  await database.drop();
  await file.remove();
});

/** A kill by somebody who may. @returns how long its answer took, in milliseconds */
function kill(): Promise<number> {
  const from = performance.now();
  return new Promise((resolve, reject) => {
    const call = request(
      `${service.api.url}/lora/disable`,
      { method: 'POST', agent, headers: bearer(operator) },
      (reply) => {
        reply.resume().once('end', () => {
          if (reply.statusCode === 200) resolve(performance.now() - from);
          else reject(new Error(`A kill was answered ${String(reply.statusCode)}.`));
        });
      },
    );
    call.once('error', reject).end();
  });
}

async function kills(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) times.push(await kill());
  return times;
}

const p99 = (times: readonly number[]): number =>
  [...times].sort((one, other) => one - other)[Math.ceil(times.length * 0.99) - 1] ?? Infinity;

async function memoryMb(): Promise<number> {
  const status = await readFile(`/proc/${service.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** Attackers send one thing after the other, until told to end. @returns the statuses of the answers */
async function attackUntil(ended: AbortSignal): Promise<Set<number>> {
  const all = attacks(owned);
  const statuses = new Set<number>();
  const attacker = async (from: number): Promise<void> => {
    for (let n = from; !ended.aborted; n++)
      statuses.add(await attack(service.api.url, all[n % all.length] ?? ''));
  };
  await Promise.all(Array.from({ length: ATTACKERS }, (_, n) => attacker(n * 10)));
  return statuses;
}

/** Kills in quiet and under attack in turn, so that what else the machine does meets both. */
async function measure(slow: Socket[]): Promise<{ quiet: number; hostile: number; statuses: Set<number> }> {
  const [quiet, hostile, statuses] = [[] as number[], [] as number[], new Set<number>()];
  for (let round = 0; round < ROUNDS; round++) {
    quiet.push(...(await kills(KILLS_A_ROUND)));
    // Half a head each, and no more of it.
    for (let n = 0; n < SLOW_A_ROUND; n++) {
      const socket = await openSocket(service.api.url);
      socket.write('POST /lora/disable HTTP/1.1\r\nHost: x\r\nX-Slow: ');
      slow.push(socket);
    }
    const ended = new AbortController();
    const attacking = attackUntil(ended.signal);
    hostile.push(...(await kills(KILLS_A_ROUND)));
    ended.abort();
    for (const status of await attacking) statuses.add(status);
  }
  return { quiet: p99(quiet), hostile: p99(hostile), statuses };
}

it('under attack a kill by somebody who may is answered as ever, nothing else gets in, and memory stays bounded', async () => {
  await kills(100);
  for (const bytes of attacks(owned)) await attack(service.api.url, bytes);
  const memory = await memoryMb();
  const head = await headOf(database);
  const slow: Socket[] = [];
  // A pause of the whole machine may meet one side alone: it is no other three times.
  let [times, ratio] = [0, Infinity];
  while (times < TIMES_MAX && ratio > RATIO_MAX) {
    const { quiet, hostile, statuses } = await measure(slow);
    times++;
    ratio = hostile / quiet;
    expect([...statuses].filter((status) => !REFUSALS.includes(status))).toEqual([]);
  }
  expect(ratio).toBeLessThanOrEqual(RATIO_MAX);
  expect((await memoryMb()) - memory).toBeLessThan(MEMORY_MB);
  for (const socket of slow) socket.destroy();
  expect(await headOf(database)).toBe(head + times * 2 * ROUNDS * KILLS_A_ROUND);
  const [row] = await database.query<{ strangers: number }>(
    "select count(*)::int as strangers from refusals where auth = 'none'",
  );
  expect(row?.strangers).toBeLessThanOrEqual(2 * 61);
}, 90_000);
