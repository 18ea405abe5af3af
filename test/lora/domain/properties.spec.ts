import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { LoraCommand } from '../../../src/lora/domain/commands.js';
import { decide, type Meanwhile } from '../../../src/lora/domain/decide.js';
import { Refusal } from '../../../src/lora/domain/errors.js';
import type { LoraEvent } from '../../../src/lora/domain/events.js';
import { evolve, type FleetState, initialState } from '../../../src/lora/domain/state.js';
import { type StateView, viewOf } from '../../../src/lora/domain/view.js';
import { deepFreeze, deploy, disable, enable, initialize, LOG_ID, rollBack } from './given.js';

/** FC_SEED=<seed> repeats a run. */
const seed = Number(process.env.FC_SEED ?? Date.now()) | 0;
process.stdout.write(`seed ${seed}\n`);
fc.configureGlobal({ seed, numRuns: 50 });

type Version = string | null;

/** What the contract's tables say, step by step, with nothing derived and nothing shared with the source. */
class Model {
  readonly trail: string[] = [];
  /** Dropped by a step, and not named by a command since. */
  readonly abandoned = new Set<string>();
  /** Everything that engines were told to serve, in order. */
  private readonly served: Version[] = [];

  constructor(
    public enabled: boolean,
    version: Version,
  ) {
    if (version !== null) this.trail.push(version);
    this.served.push(this.active);
  }

  get current(): Version {
    return this.trail[this.trail.length - 1] ?? null;
  }
  get target(): Version {
    return this.trail[this.trail.length - 2] ?? null;
  }
  get active(): Version {
    return this.enabled ? this.current : null;
  }

  /** The last version that was active before the latest change of what is active. */
  get previous(): Version {
    let change = this.served.length - 1;
    while (change > 0 && this.served[change] === this.served[change - 1]) change--;
    return this.served.slice(0, change).findLast((version) => version !== null) ?? null;
  }

  refuses(command: LoraCommand, killed: boolean, versionChanged: boolean): Refusal['code'] | null {
    if (command.type === 'DisableLora') return null;
    if (killed) return 'killed-meanwhile';
    if (command.type === 'DeployAdapter' && !this.enabled) return 'kill-switch-active';
    if (command.type === 'RollBackLora' && command.adapterVersion === null && versionChanged) {
      return 'generation-mismatch';
    }
    return null;
  }

  accept(command: LoraCommand): void {
    switch (command.type) {
      case 'InitializeFleet':
        return;
      case 'DisableLora':
        this.enabled = false;
        break;
      case 'EnableLora':
        if (command.adapterVersion !== null) this.name(command.adapterVersion, !this.enabled);
        this.enabled = true;
        break;
      case 'RollBackLora':
        if (command.adapterVersion === null) this.dropLast();
        else this.name(command.adapterVersion, true);
        break;
      case 'DeployAdapter':
        this.name(command.adapterVersion, false);
        break;
    }
    this.served.push(this.active);
  }

  private name(version: string, leavesCurrent: boolean): void {
    if (this.trail.includes(version)) {
      while (this.current !== version) this.dropLast();
    } else {
      if (leavesCurrent) this.dropLast();
      this.trail.push(version);
      if (this.trail.length === 51) this.trail.shift();
    }
    this.abandoned.delete(version);
  }

  private dropLast(): void {
    const dropped = this.trail.pop();
    if (dropped !== undefined) this.abandoned.add(dropped);
  }
}

interface Choice {
  readonly command: LoraCommand;
  /** So many steps ago the command's replica confirmed the state it arrived at. */
  readonly late: number;
}

interface Walk {
  readonly first: { readonly on: boolean; readonly version: Version };
  readonly choices: readonly Choice[];
}

interface Step {
  readonly command: LoraCommand;
  readonly meanwhile: Meanwhile;
  readonly before: FleetState;
  readonly event: LoraEvent | null;
  readonly refusal: string | null;
  readonly after: FleetState;
  readonly expected: {
    readonly refusal: string | null;
    readonly enabled: boolean;
    readonly trail: readonly string[];
    readonly previous: Version;
    /** Before the step, which is when a rollback chooses. */
    readonly abandonedBefore: ReadonlySet<string>;
    readonly targetBefore: Version;
    readonly abandoned: ReadonlySet<string>;
  };
}

const someVersion = (count: number) => fc.integer({ min: 1, max: count }).map((n) => `v${n}`);

function walks(
  count: number,
  weight: { readonly deploy: number; readonly disable: number; readonly enable: number },
): fc.Arbitrary<Walk> {
  const version = someVersion(count);
  const command = fc.oneof(
    { weight: weight.disable, arbitrary: fc.constant(disable()) },
    { weight: weight.enable, arbitrary: fc.constant(enable()) },
    { weight: 2, arbitrary: version.map((v) => enable(v)) },
    { weight: 2, arbitrary: fc.constant(rollBack()) },
    { weight: 1, arbitrary: version.map((v) => rollBack(v)) },
    { weight: weight.deploy, arbitrary: version.map((v) => deploy(v)) },
  );
  const late = fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) },
  );
  return fc.record({
    first: fc.record({ on: fc.boolean(), version: fc.option(version) }),
    choices: fc.array(fc.record({ command, late }), { minLength: 1, maxLength: 120, size: 'max' }),
  });
}

/** Few versions meet each other often. */
const crowded = walks(6, { deploy: 3, disable: 2, enable: 2 });
/** Many versions and few kills fill the trail. */
const long = walks(10_000, { deploy: 60, disable: 1, enable: 20 });

const ACTOR = 'token:ana';

function begin({ first }: Walk): FleetState {
  const event = decide(initialize(first.on, first.version), initialState, null);
  if (event === null) throw new Error('A new fleet is made.');
  return deepFreeze(evolve(initialState, { ...event, actor: ACTOR }));
}

/** The source and the model, side by side. */
function run(walk: Walk): Step[] {
  const model = new Model(walk.first.on, walk.first.version);
  const changes: boolean[] = [false];
  const kills: boolean[] = [false];
  const steps: Step[] = [];
  let state = begin(walk);
  for (const { command, late } of walk.choices) {
    const confirmedAt = Math.max(0, changes.length - 1 - late);
    const killed = kills.slice(confirmedAt + 1).includes(true);
    const meanwhile: Meanwhile = deepFreeze({
      kill: killed ? { actor: ACTOR, reason: 'r', recordedAt: '2026-03-01T02:14:07.123456Z' } : null,
      versionChanged: changes.slice(confirmedAt + 1).includes(true),
    });
    const expectedRefusal = model.refuses(command, killed, meanwhile.versionChanged);
    const abandonedBefore = new Set(model.abandoned);
    const targetBefore = model.target;
    const currentBefore = model.current;
    if (expectedRefusal === null) model.accept(command);

    const before = state;
    let event: LoraEvent | null = null;
    let refusal: string | null = null;
    try {
      event = deepFreeze(decide(deepFreeze(command), before, meanwhile));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusal = error.code;
    }
    if (event !== null) state = deepFreeze(evolve(before, deepFreeze({ ...event, actor: ACTOR })));
    changes.push(model.current !== currentBefore);
    kills.push(command.type === 'DisableLora');
    steps.push({
      command,
      meanwhile,
      before,
      event,
      refusal,
      after: state,
      expected: {
        refusal: expectedRefusal,
        enabled: model.enabled,
        trail: [...model.trail],
        previous: model.previous,
        abandonedBefore,
        targetBefore,
        abandoned: new Set(model.abandoned),
      },
    });
  }
  return steps;
}

const seen = (state: FleetState): StateView =>
  viewOf(LOG_ID, { fleet: 'default', generation: 1, recordedAt: '2026-03-01T02:14:07.123456Z', state });

const currentOf = (state: FleetState): Version => {
  const view = seen(state);
  return view.enabled ? view.active_adapter_version : view.resume_adapter_version;
};

/** Takes a command that nothing overtook. */
function take(state: FleetState, command: LoraCommand): FleetState {
  const event = decide(command, state, null);
  if (event === null) throw new Error('The fleet exists.');
  return deepFreeze(evolve(state, { ...event, actor: ACTOR }));
}

describe.each([
  ['few versions', crowded],
  ['many versions', long],
])('any sequence of commands over %s', (_, arbitrary) => {
  const everyStep = (check: (step: Step) => void) => {
    fc.assert(
      fc.property(arbitrary, (walk) => {
        run(walk).forEach(check);
      }),
    );
  };

  it('goes as the tables of the contract say', () => {
    everyStep(({ command, refusal, after, expected }) => {
      expect(refusal).toBe(expected.refusal);
      const view = seen(after);
      const current = expected.trail.at(-1) ?? null;
      expect({ ...view, trail: after.trail }).toMatchObject({
        trail: expected.trail,
        enabled: expected.enabled,
        active_adapter_version: expected.enabled ? current : null,
        resume_adapter_version: expected.enabled ? null : current,
        previous_adapter_version: expected.previous,
        rollback_target: expected.trail.at(-2) ?? null,
      });
      if (refusal === null) {
        expect(view.last_operation).toBe(
          {
            InitializeFleet: 'initialized',
            DisableLora: 'disabled',
            EnableLora: 'enabled',
            RollBackLora: 'rollback',
            DeployAdapter: 'deployed',
          }[command.type],
        );
      }
    });
  });

  it('appends one event for an accepted command and none for a refused one', () => {
    everyStep(({ event, refusal, before, after }) => {
      expect(event === null).toBe(refusal !== null);
      if (refusal !== null) expect(after).toBe(before);
    });
  });

  it('serves the base model while disabled', () => {
    everyStep(({ after }) => {
      const view = seen(after);
      if (!view.enabled) expect(view.active_adapter_version).toBeNull();
      else expect(view.resume_adapter_version).toBeNull();
    });
  });

  it('never refuses a disable', () => {
    everyStep(({ command, meanwhile, before, event, refusal }) => {
      if (command.type === 'DisableLora') expect([refusal, event?.enabled]).toEqual([null, false]);
      expect(decide(disable(), before, meanwhile)).toMatchObject({ type: 'LoraDisabled', enabled: false });
    });
  });

  it('moves enabled by disable and enable alone', () => {
    everyStep(({ command, before, event, after }) => {
      if (event === null) return;
      expect(event.enabled).toBe(after.enabled);
      if (command.type === 'DisableLora') expect(after.enabled).toBe(false);
      else if (command.type === 'EnableLora') expect(after.enabled).toBe(true);
      else expect(after.enabled).toBe(before.enabled);
    });
  });

  it('never chooses an abandoned version for a rollback', () => {
    everyStep(({ command, before, event, after, expected }) => {
      const { rollback_target: target } = seen(after);
      if (target !== null) expect(expected.abandoned.has(target)).toBe(false);
      if (event === null || command.type !== 'RollBackLora' || command.adapterVersion !== null) return;
      expect(event.to_version).toBe(expected.targetBefore);
      expect(event.to_version).toBe(seen(before).rollback_target);
      expect(currentOf(after)).toBe(expected.targetBefore);
      if (event.to_version !== null) expect(expected.abandonedBefore.has(event.to_version)).toBe(false);
    });
  });

  it('keeps a version once, fifty at most, and the current one last', () => {
    everyStep(({ after: { trail }, after }) => {
      expect(new Set(trail).size).toBe(trail.length);
      expect(trail.length).toBeLessThanOrEqual(50);
      expect(currentOf(after)).toBe(trail.at(-1) ?? null);
    });
  });

  it('writes the current version before and after into every event', () => {
    everyStep(({ command, before, event, after }) => {
      if (event === null) return;
      expect(event.from_version).toBe(currentOf(before));
      expect(event.to_version).toBe(currentOf(after));
      expect(event.adapter_version).toBe('adapterVersion' in command ? command.adapterVersion : null);
    });
  });

  it('loses nothing by a second disable', () => {
    everyStep(({ after }) => {
      const once = take(after, disable());
      const twice = take(once, disable());
      expect(twice).toEqual(once);
      expect(seen(twice)).toMatchObject({
        resume_adapter_version: currentOf(after),
        rollback_target: seen(after).rollback_target,
        previous_adapter_version: seen(after).active_adapter_version ?? seen(after).previous_adapter_version,
      });
      expect(currentOf(take(twice, enable()))).toBe(currentOf(after));
    });
  });

  it('walks back two versions by two rollbacks', () => {
    everyStep(({ after, expected: { trail, enabled } }) => {
      const back = take(take(after, rollBack()), rollBack());
      expect(currentOf(back)).toBe(trail.at(-3) ?? null);
      expect(back.enabled).toBe(enabled);
      if (currentOf(back) !== null) expect(trail.slice(-2)).not.toContain(currentOf(back));
    });
  });

  it('decides and evolves purely: the same again from equal input, which stays as it was', () => {
    everyStep(({ command, meanwhile, before, event, refusal }) => {
      // `run` froze what it passed in; copies of it are passed here, and compared afterwards.
      const input = structuredClone({ command, before, meanwhile });
      let again: LoraEvent | null = null;
      let refusedAgain: string | null = null;
      try {
        again = decide(input.command, input.before, input.meanwhile);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        refusedAgain = error.code;
      }
      expect([again, refusedAgain]).toStrictEqual([event, refusal]);
      if (event !== null) {
        const recorded = { ...event, actor: ACTOR };
        const copy = structuredClone(recorded);
        expect(evolve(input.before, copy)).toStrictEqual(evolve(before, recorded));
        expect(copy).toStrictEqual(recorded);
      }
      expect(input).toStrictEqual({ command, before, meanwhile });
    });
  });

  it('folds from its events, also as they are stored, to the state it went through', () => {
    fc.assert(
      fc.property(arbitrary, (walk) => {
        let folded = begin(walk);
        for (const { event, after } of run(walk)) {
          if (event !== null) {
            const stored = JSON.parse(JSON.stringify({ folded, event })) as {
              folded: FleetState;
              event: LoraEvent;
            };
            folded = evolve(stored.folded, { ...stored.event, actor: ACTOR });
          }
          expect(folded).toStrictEqual(after);
        }
      }),
    );
  });
});

it('many versions do fill the trail', () => {
  // Of the generator, not of the source: a seed of its own, so that chance cannot fail it.
  const lengths = fc
    .sample(long, { seed: 1, numRuns: 50 })
    .flatMap((walk) => run(walk).map((step) => step.after.trail.length));
  expect(Math.max(...lengths)).toBe(50);
});
