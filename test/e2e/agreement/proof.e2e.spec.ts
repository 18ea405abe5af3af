import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';

import { check, type Verdict } from '../../support/agreement-checker.js';
import { Engines } from '../../support/agreement-engines.js';
import { Faults } from '../../support/agreement-faults.js';
import { Front } from '../../support/agreement-front.js';
import type { CommandRecord, LogEntry } from '../../support/agreement-history.js';
import { Load } from '../../support/agreement-load.js';
import { Node } from '../../support/agreement-node.js';
import { OwnPostgres } from '../../support/agreement-postgres.js';
import { Random } from '../../support/agreement-random.js';
import { Stopwatch } from '../../support/agreement-stopwatch.js';

const seconds = Number(process.env.PROOF_SECONDS ?? 20);
const seed = Number(process.env.PROOF_SEED ?? randomInt(2 ** 31));

/** PROOF_SEED replays the schedule of an earlier run, PROOF_SECONDS makes it longer (`npm run test:soak`). */
describe('three replicas on one log, under load and faults', () => {
  let postgres: OwnPostgres;
  let front: Front;
  const nodes: Node[] = [];

  beforeAll(async () => {
    postgres = await OwnPostgres.create();
    nodes.push(...(await Promise.all(['one', 'two', 'three'].map((name) => Node.start(name, postgres)))));
    front = await Front.before(nodes);
  }, 60_000);
  afterAll(async () => {
    await front.close();
    await Promise.all(nodes.map((node) => node.stop()));
    await postgres.remove();
  }, 30_000);

  it(
    'agree',
    async () => {
      const random = new Random(seed);
      const fleets = ['default', 'alpha', 'beta'];
      for (const fleet of fleets.slice(1))
        expect(await front.call({ method: 'PUT', path: `/fleets/${fleet}` })).toMatchObject({ status: 201 });
      const places = [...nodes, front];
      const load = new Load(places, [...fleets], `s${seed}`);
      const engines = new Engines(places);
      const faults = new Faults(nodes, postgres, random.fork());
      const stopwatch = new Stopwatch(nodes);

      const working = load.go(random.fork(), { writers: 8, readers: 8, waiters: 4 });
      engines.start(random.fork(), fleets, 6);
      await faults.run(performance.now() + seconds * 1000);
      await Promise.all(nodes.map((node) => node.healed()));
      load.stop();
      await working;
      await load.readAll();
      const log = await finalLog(postgres);
      await engines.endAt(new Map(log.map(({ event, position }) => [event.fleet, position])));
      stopwatch.stop();
      const late = stopwatch.late(load.answers);

      const { commands, reads } = load;
      const verdict = check({ log, commands, reads, streams: engines.streams });
      process.stdout.write(`${summary(verdict, load)}\n`);
      if (process.env.PROOF_VERBOSE)
        process.stdout.write(
          `${JSON.stringify({ ...faults.done, ...verdict.checked, stale: engines.stale })}\n`,
        );
      expect(verdict.violations.map((what) => `${what} ${told(what, commands)}`)).toEqual([]);
      expect(late).toEqual([]);
      expect(verdict.checked['linearizable reads']).toBeGreaterThan(100);
    },
    seconds * 1000 + 120_000,
  );
});

function summary({ checked, violations }: Verdict, { commands, reads, staleReads }: Load): string {
  const sent = commands.reduce((sum, { tries }) => sum + tries.length, 0);
  const of = (what: string): number => checked[what] ?? 0;
  return (
    `Proof: PROOF_SEED=${seed} PROOF_SECONDS=${seconds}: ${commands.length} commands in ${sent} tries ` +
    `(${of('commands acknowledged')} acknowledged, ${of('commands refused')} refused, ` +
    `${of('commands of unknown outcome')} of unknown outcome settled), ${of('events')} events, ` +
    `${reads.length} reads (${of('linearizable reads')} linearizable, ${staleReads} stale), ` +
    `${of('states streamed')} states in ${of('streams')} streams; ${violations.length} violations`
  );
}

/** The tries of the command that a violation names. */
function told(violation: string, commands: readonly CommandRecord[]): string {
  const command = commands.find(({ key }) => violation.split(' ').includes(key));
  return command === undefined ? '' : JSON.stringify(command);
}

async function finalLog(postgres: OwnPostgres): Promise<LogEntry[]> {
  return postgres.query<LogEntry & Record<string, unknown>>(
    `select e.position::int, rfc3339(e.recorded_at) as "recordedAt", e.body::jsonb as event, s.state
     from events e left join fleet_states s on s.fleet = e.fleet and s.generation = e.position
     order by e.position`,
  );
}
