import { afterEach, describe, expect, it } from '@jest/globals';
import { getMetadataStorage } from 'class-validator';

import { ControlPlane } from '../../src/agent/control-plane.js';
import { EngineError } from '../../src/agent/driver.js';
import { type EngineState, reportOf, type ReportSource } from '../../src/agent/engine-report.js';
import { Reporter } from '../../src/agent/reporter.js';
import type { Sight } from '../../src/agent/reconciler.js';
import type { Target } from '../../src/agent/target.js';
import { TIMING } from '../../src/agent/timing.js';
import { REPORTED_STATES, type ReportedState } from '../../src/engines/convergence.js';
import { ReportBody } from '../../src/engines/engines.dto.js';
import { BODY_MAX_BYTES, parsePlainJson } from '../../src/http/json-body.js';
import { faultsOf } from '../../src/http/validation.js';
import { eventually } from '../support/http.js';
import { FakeControlPlane, OTHER_LOG, state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { cleanUp, later, serves, startAgent } from './running-agent.js';

afterEach(cleanUp);

const under = (rest: Partial<Target> = {}): Target => ({
  desired: { adapter: 'v1', why: 'state' },
  state: state(3),
  held: null,
  localKill: false,
  at: 0,
  ...rest,
});
const seen = (target: Target, ...adapters: string[]): Sight => ({
  observed: { adapters, baseModel: 'base' },
  under: target,
});
const killed = under({ desired: { adapter: null, why: 'killed' }, state: state(4, { enabled: false }) });
const expired = under({ desired: { adapter: null, why: 'lease-expired' } });
const down = new EngineError('unreachable', 'refused');
const cannot = new EngineError('unsupported', 'needs-restart');
const engine = new MemoryEngine();
const many = (count: number, name: string): string[] =>
  Array.from({ length: count }, (_, nth) => `${name}${nth}`);
const INSTANCE = '33333333-0000-4000-8000-000000000000';

describe('what is reported', () => {
  const source: ReportSource = {
    sight: seen(under(), 'v1'),
    trouble: undefined,
    failure: undefined,
    mayStillLand: [],
    localKill: false,
    driver: engine,
    agentVersion: '1.2.3',
    instance: INSTANCE,
  };

  it('is everything that the control plane shows of an engine', () => {
    expect(reportOf(source)).toEqual({
      observed_generation: 3,
      log_id: state(3).log_id,
      observed_adapters: ['v1'],
      state: 'converged',
      local_kill: false,
      capabilities: { runtime_load: true, kill_is_sticky: true, observes_path: true, drains: false },
      base_model: 'base',
      agent_version: '1.2.3',
      instance_id: INSTANCE,
      last_error: null,
    });
  });

  it('is what the service takes: the same fields, each of which it finds in order', () => {
    const report = reportOf({ ...source, failure: down });
    expect(faultsOf(ReportBody, report).faults).toEqual([]);
    expect(faultsOf(ReportBody, { ...report, more: 1 }).faults).toHaveLength(1);
    const taken = getMetadataStorage().getTargetValidationMetadatas(ReportBody, '', false, false);
    const fields = new Set(taken.map(({ propertyName }) => propertyName));
    expect([...fields].sort()).toEqual(Object.keys(report).sort());
    // Does not compile when one of the two knows a state that the other does not.
    const states: readonly EngineState[] = REPORTED_STATES;
    const known: readonly ReportedState[] = states;
    for (const state of known) expect(faultsOf(ReportBody, { ...report, state }).faults).toEqual([]);
  });

  it.each<[string, Partial<ReportSource>]>([
    ['an error with half a character', { failure: new EngineError('refused', `${'x'.repeat(499)}😀`) }],
    ['an error with a NUL, or without a word', { failure: new EngineError('refused', '\0 ') }],
    ['an error of spaces', { failure: new EngineError('refused', '  ') }],
    ['more adapters than anybody needs', { sight: seen(under(), ...many(300, 'v')) }],
    ['adapters from long paths', { sight: seen(under(), ...many(150, '/p'.repeat(200))) }],
    ['names that are none', { sight: seen(under(), '', ' ', '\0', '\ud83d') }],
    [
      'a base model with a long name',
      { sight: { observed: { adapters: [], baseModel: '😀'.repeat(200) }, under: killed } },
    ],
  ])('is taken from an engine with %s', (_what, rest) => {
    const report = reportOf({ ...source, ...rest });
    const bytes = Buffer.from(JSON.stringify(report));
    expect(bytes.length).toBeLessThan(BODY_MAX_BYTES);
    expect(faultsOf(ReportBody, parsePlainJson(bytes, 'body')).faults).toEqual([]);
    const adapters = rest.sight?.observed.adapters ?? [];
    expect(report.observed_adapters.length).toBeGreaterThanOrEqual(Math.min(2, adapters.length));
  });

  it.each<[string, Partial<ReportSource>, EngineState]>([
    ['nothing seen yet', { sight: undefined }, 'pending'],
    [
      'no state known yet',
      { sight: seen(under({ state: null, desired: { adapter: null, why: 'never-heard' } })) },
      'pending',
    ],
    ['not loaded yet', { sight: seen(under()) }, 'pending'],
    ['something beside it', { sight: seen(under(), 'v1', 'v2') }, 'pending'],
    ['a kill obeyed', { sight: seen(killed) }, 'converged'],
    ['a kill not obeyed yet', { sight: seen(killed, 'v1') }, 'pending'],
    ['no answer', { trouble: down, failure: down }, 'unreachable'],
    ['no answer since the start', { sight: undefined, trouble: down, failure: down }, 'unreachable'],
    ['a list refused', { trouble: new EngineError('refused', '401') }, 'pending'],
    ['a list that there is not', { trouble: cannot, failure: cannot }, 'unsupported'],
    ['a load that there is not', { sight: seen(under()), failure: cannot }, 'unsupported'],
    ['a lease expired', { sight: seen(expired) }, 'conflict'],
    [
      'a local kill',
      { sight: seen(under({ desired: { adapter: null, why: 'local-kill' }, localKill: true })) },
      'conflict',
    ],
    ['a local kill of what is killed', { sight: seen({ ...killed, localKill: true }) }, 'converged'],
    [
      'a log that is not believed',
      { sight: seen(under({ held: state(1, { log_id: OTHER_LOG }) }), 'v1') },
      'conflict',
    ],
    ['an engine that can be got round', { driver: { ...engine, advisory: true } }, 'advisory'],
    [
      'one that is not as desired either',
      { driver: { ...engine, advisory: true }, sight: seen(under()) },
      'pending',
    ],
  ])('of %s', (_what, rest, wanted) => {
    expect(reportOf({ ...source, ...rest }).state).toBe(wanted);
  });

  it('has no more than a line of an error', () => {
    const failure = new EngineError('refused', 'x'.repeat(9_999));
    expect(reportOf({ ...source, failure }).last_error).toHaveLength(500);
  });
});

describe('reports', () => {
  const start = async (planes: FakeControlPlane[], own = new MemoryEngine(), heartbeatMs = 60_000) => {
    return { own, running: await startAgent({ planes, engine: own, settings: { heartbeatMs } }) };
  };
  const newPlane = async (): Promise<FakeControlPlane> => {
    const plane = await FakeControlPlane.start();
    later(() => plane.down());
    return plane;
  };

  it('come at once after a change, and else with the heartbeat', async () => {
    const plane = await newPlane();
    const { own, running } = await start([plane], undefined, 200);
    await serves(running, own, 'v1');
    await eventually(() => plane.puts.filter((put) => put.state === 'converged').length > 3);
    const paths = plane.requests.filter(({ method }) => method === 'PUT').map(({ path }) => path);
    expect(new Set(paths)).toEqual(new Set(['/engines/engine-1?fleet=default']));
  });

  it('never claim a generation that the engine was not looked at under', async () => {
    const plane = await newPlane();
    const own = new MemoryEngine();
    const { running } = await start([plane], own);
    await serves(running, own, 'v1');
    await eventually(() => plane.last?.state === 'converged' && plane.streams.size > 0);
    // A list is under way when the next state comes.
    own.hold = (call) => call === 'list';
    await eventually(() => own.held.has('list'));
    plane.tell(state(2));
    await eventually(() => running.effective().generation === 2);
    own.release('list');
    await eventually(() => own.held.has('list'));
    expect(plane.last?.observed_generation).toBe(1);
    own.hold = () => false;
    own.release('list');
    await eventually(() => plane.last?.observed_generation === 2);
  });

  it('go one at a time, the latest next', async () => {
    const plane = await newPlane();
    const own = new MemoryEngine();
    const answers: (() => void)[] = [];
    let most = 0;
    let open = 0;
    const bodies: number[] = [];
    plane.engines = (request, response) => {
      most = Math.max(most, ++open);
      let text = '';
      request.setEncoding('utf8').on('data', (part: string) => (text += part));
      answers.push(() => {
        open--;
        bodies.push(
          (JSON.parse(text === '' ? '{}' : text) as { observed_generation: number }).observed_generation,
        );
        response.end('{}');
      });
    };
    const { running } = await start([plane], own);
    await serves(running, own, 'v1');
    await eventually(() => plane.streams.size > 0 && answers.length === 1);
    for (let generation = 2; generation < 20; generation++) {
      plane.tell(state(generation));
      await eventually(() => running.agent.report().observed_generation === generation);
    }
    expect(answers).toHaveLength(1);
    answers[0]?.();
    await eventually(() => answers.length === 2);
    answers[1]?.();
    await eventually(() => bodies.length === 2);
    expect(bodies[1]).toBe(19);
    expect(most).toBe(1);
    plane.engines = undefined;
  });

  it('wait until what they rest on is kept', async () => {
    const plane = await newPlane();
    let keep = (): void => undefined;
    const kept = new Promise<void>((resolve) => (keep = resolve));
    let asked = 0;
    const wait = (): Promise<void> => {
      asked++;
      return kept;
    };
    const report = () =>
      reportOf({
        sight: seen(killed),
        trouble: undefined,
        failure: undefined,
        mayStillLand: [],
        localKill: false,
        driver: engine,
        agentVersion: '1',
        instance: INSTANCE,
      });
    const replicas = [new ControlPlane(plane.url, 'default')];
    const reporter = new Reporter(
      { id: 'e', instance: INSTANCE },
      replicas,
      report,
      wait,
      10,
      TIMING,
      () => undefined,
    );
    reporter.start();
    later(() => reporter.stop(false));
    await eventually(() => asked === 1);
    await new Promise((resume) => setTimeout(resume, 50));
    expect(plane.puts).toEqual([]);
    keep();
    await eventually(() => plane.last?.observed_generation === 4);
  });

  it('go to another replica when one does not take them', async () => {
    const [one, two] = [await newPlane(), await newPlane()];
    one.engines = (_request, response) => void response.writeHead(503).end();
    const { own, running } = await start([one, two]);
    await serves(running, own, 'v1');
    await eventually(() => two.last?.state === 'converged');
    expect(one.puts).toEqual([]);
  });

  it('are taken away within a bound, although nobody answers', async () => {
    const plane = await newPlane();
    plane.engines = () => undefined;
    const { running } = await start([plane]);
    const began = performance.now();
    await running.stop();
    expect(performance.now() - began).toBeLessThan(2_500);
  });
});
