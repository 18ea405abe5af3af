import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { Random } from '../support/agreement-random.js';
import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/http.js';
import { RegisterAttack } from '../support/register-attack.js';

/** REGISTER_SEED replays the choices of an earlier run; as long as the soak, when it is asked for. */
const ATTACK_MS = Number(process.env.PROOF_SECONDS ?? 1) * 1000;

let service: TestApp;
let other: TestApp;
let logId: string;

beforeAll(async () => {
  service = await startApp({ ENGINE_TTL_SECONDS: '600' });
  other = await startApp({ ENGINE_TTL_SECONDS: '600' }, service.database);
  logId = String((await service.api.get('/lora/status')).body.log_id);
});
afterAll(async () => {
  await other.close();
  await service.close();
});

const report = (generation: number | null) => ({
  observed_generation: generation,
  log_id: generation === null ? null : logId,
  observed_adapters: [],
  state: generation === null ? 'pending' : 'converged',
});

async function put(fleet: string, engine: string, generation: number | null): Promise<boolean> {
  const path = `/engines/${fleet}-${engine}?fleet=${fleet}`;
  return (await service.api.send('PUT', path, { body: report(generation) })).status === 200;
}

async function newFleet(fleet: string, ...engines: string[]): Promise<void> {
  await service.api.send('PUT', `/fleets/${fleet}`);
  for (const engine of engines) await put(fleet, engine, null);
}

const kill = async (fleet: string): Promise<number> =>
  Number((await service.api.post(`/lora/disable?fleet=${fleet}`)).body.generation);

const rollOf = (generation: number) =>
  service.database.query('select engines from kill_rolls where generation = $1', [generation]);

async function counted(fleet: string, generation: number) {
  const asked = `fleet=${fleet}&generation=${generation}&counted=at-commit`;
  return (await service.api.get(`/lora/convergence?${asked}`)).body;
}

/** What another replica has done and not committed yet. @returns waits until it holds somebody up, and commits it */
async function uncommitted(sql: string, ...parameters: unknown[]): Promise<() => Promise<void>> {
  const client = await service.database.connect();
  await client.query('begin');
  await client.query(sql, parameters);
  return async () => {
    const held = 'select from pg_stat_activity where wait_event = $1 and datname = current_database()';
    await eventually(async () => (await service.database.query(held, ['advisory'])).length > 0);
    await client.query('commit');
    await client.end();
  };
}

const reported = (fleet: string, engine: string, generation: number | null) =>
  uncommitted(
    'select report_engines_of($1, 600)',
    JSON.stringify([{ engine: `${fleet}-${engine}`, fleet, only_own: false, report: report(generation) }]),
  );

/** Sent again if it had to wait for too long. */
const taken = (sent: Promise<boolean>, again: () => Promise<boolean>) =>
  eventually(async () => (await sent) || (await again()));

it('an engine that registers while a kill commits is on the roll, although its row shows later', async () => {
  await newFleet('early', 'a');
  const commit = await reported('early', 'b', null);
  const generation = await kill('early');
  // The first acknowledgement writes the roll: not before it is certain who was registered.
  const acknowledge = () => put('early', 'a', generation);
  const sent = acknowledge();
  await commit();
  await taken(sent, acknowledge);
  expect(await rollOf(generation)).toEqual([{ engines: ['early-a', 'early-b'] }]);
  expect(await counted('early', generation)).toMatchObject({ converged: false, engines: 2, acknowledged: 1 });
});

it('an engine that registers while a roll is written is not on it, and counts from then on', async () => {
  await newFleet('late', 'a');
  const generation = await kill('late');
  const commit = await reported('late', 'a', generation);
  const register = () => put('late', 'b', null);
  const sent = register();
  await commit();
  await taken(sent, register);
  expect(await rollOf(generation)).toEqual([{ engines: ['late-a'] }]);
  expect(await counted('late', generation)).toMatchObject({ converged: true, engines: 1 });
  const today = await service.api.get('/lora/convergence?fleet=late');
  expect(today.body).toMatchObject({ converged: false, engines: 2 });
});

it('an engine that is removed while a kill commits is gone for the roll as for everybody', async () => {
  await newFleet('gone', 'a', 'b');
  const commit = await uncommitted("select remove_engine('gone-b', 'token:ana', null, 600)");
  const generation = await kill('gone');
  const acknowledge = () => put('gone', 'a', generation);
  const sent = acknowledge();
  await commit();
  await taken(sent, acknowledge);
  expect(await rollOf(generation)).toEqual([{ engines: ['gone-a'] }]);
  expect(await counted('gone', generation)).toMatchObject({ converged: true, engines: 1 });
});

it(
  'claims nothing that the engines have not sent, whoever reports, lies, comes, goes and kills meanwhile',
  async () => {
    const seed = Number(process.env.REGISTER_SEED ?? Date.now() % 2 ** 31);
    console.log(`seed ${seed}`);
    const fleet = 'attacked';
    await newFleet(fleet);
    const attack = new RegisterAttack([service.api, other.api], fleet, ['r-1', 'r-2', 'r-3', 'r-4']);
    await attack.run(new Random(seed), ATTACK_MS);
    expect({ seed, violations: attack.record.violations }).toEqual({ seed, violations: [] });

    await attack.obey();
    const settled = await other.api.get(`/lora/convergence?fleet=${fleet}`);
    expect(settled.body).toMatchObject({ converged: true, engines: 4, acknowledged: 4 });
    const { rows, acknowledgements } = await evidence(fleet);
    // On every roll are those that stood registered at the kill, and it was written with an acknowledgement.
    for (const { engines, registered, acknowledged } of rows) {
      expect({ seed, engines, acknowledged }).toEqual({ seed, engines: registered, acknowledged: true });
    }
    const proofs = acknowledgements.map(({ engine, generation }) => `${engine} ${generation}`);
    expect({ seed, unsent: proofs.filter((proof) => !attack.record.proofs.has(proof)) }).toEqual({
      seed,
      unsent: [],
    });
    console.log(
      `${attack.kills} kills, ${rows.length} rolls, ${acknowledgements.length} acknowledgements, ${attack.claims} claims`,
    );
  },
  ATTACK_MS + 60_000,
);

/** What the database has kept of the kills of a fleet. */
async function evidence(fleet: string) {
  const rows = await service.database.query<{
    engines: string[];
    registered: string[];
    acknowledged: boolean;
  }>(
    `select engines, array(select r.engine from engine_registrations r where r.fleet = k.fleet
        and r.registered_at <= k.killed_at and (r.removed_at is null or r.removed_at > k.killed_at)
        order by r.engine) as registered,
      exists (select from kill_acknowledgements a where a.generation = k.generation) as acknowledged
     from kill_rolls k where k.fleet = $1`,
    [fleet],
  );
  const acknowledgements = await service.database.query<{ engine: string; generation: number }>(
    'select engine, generation::int from kill_acknowledgements where fleet = $1',
    [fleet],
  );
  return { rows, acknowledgements };
}
