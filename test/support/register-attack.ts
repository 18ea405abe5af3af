import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Random } from './agreement-random.js';
import type { Api, Reply } from './http.js';
import { type Act, RegisterRecord } from './register-record.js';

/** What the attack reads of a state. */
interface State {
  readonly generation: number;
  readonly log_id: string;
  readonly active_adapter_version: string | null;
}

/** What it reads of a convergence. */
export interface Told {
  readonly generation: number;
  readonly converged: boolean | null;
  readonly engines: number;
  readonly acknowledged: number;
  readonly superseded_by?: number;
}

const VERSIONS = ['v1', 'v2', 'v3'];

/**
 * Engines that report and lie, come and go, operators who kill and enable, and observers who believe nothing: all at
 * once, each on any replica. What is claimed is held against what was sent.
 */
export class RegisterAttack {
  readonly record = new RegisterRecord();
  kills = 0;
  /** Claims of `converged` that were looked into. */
  claims = 0;
  private stopping = false;

  constructor(
    private readonly replicas: readonly Api[],
    readonly fleet: string,
    readonly engines: readonly string[],
  ) {}

  async run(random: Random, milliseconds: number): Promise<void> {
    const work = [
      ...this.engines.map((engine) => this.engine(random.fork(), engine)),
      this.operator(random.fork()),
      this.observer(random.fork()),
      this.observer(random.fork()),
    ];
    await sleep(milliseconds);
    this.stopping = true;
    await Promise.all(work);
  }

  /** Every engine reports what the state says. */
  async obey(): Promise<void> {
    const [api] = this.replicas;
    if (!api) throw new Error('There is no replica.');
    const state = await this.state(api);
    for (const engine of this.engines) await this.report(api, engine, state, 'truth', randomUUID());
  }

  private async engine(random: Random, engine: string): Promise<void> {
    let instance = randomUUID();
    while (!this.stopping) {
      const api = random.pick(this.replicas);
      if (random.chance(0.1)) instance = randomUUID();
      if (random.chance(0.08)) {
        await this.record.act(engine, { matches: null, removal: true }, () =>
          api.send('DELETE', `/engines/${engine}`),
        );
      } else {
        const kind = random.chance(0.75) ? 'truth' : random.pick(['pending', 'stray', 'other-log'] as const);
        await this.report(random.pick(this.replicas), engine, await this.state(api), kind, instance);
      }
      await sleep(random.below(8));
    }
  }

  private async report(
    api: Api,
    engine: string,
    { generation, log_id, active_adapter_version: version }: State,
    kind: 'truth' | 'pending' | 'stray' | 'other-log',
    instance: string,
  ): Promise<void> {
    const serves = version === null ? [] : [version];
    const body = {
      observed_generation: generation,
      log_id: kind === 'other-log' ? randomUUID() : log_id,
      observed_adapters: kind === 'stray' ? [...serves, 'stray'] : serves,
      state: kind === 'pending' ? 'pending' : 'converged',
      instance_id: instance,
    };
    const act: Act = { matches: kind === 'truth' ? generation : null, removal: false };
    await this.record.act(engine, act, () =>
      api.send('PUT', `/engines/${engine}?fleet=${this.fleet}`, { body }),
    );
  }

  private async operator(random: Random): Promise<void> {
    while (!this.stopping) {
      const api = random.pick(this.replicas);
      const waits = random.chance(0.5);
      const from = performance.now();
      const headers: Record<string, string> = waits ? { prefer: 'wait=1' } : {};
      const reply = await api.post(`/lora/disable?fleet=${this.fleet}`, {}, headers);
      this.kills++;
      if (waits) this.claimAtCommit(reply, from);
      await sleep(random.below(60));
      await api.post(`/lora/enable?fleet=${this.fleet}`, { adapter_version: random.pick(VERSIONS) });
      await sleep(random.below(60));
    }
  }

  private claimAtCommit({ body }: Reply, from: number): void {
    const told = body.convergence as unknown as Told;
    if (told.converged !== true) return;
    this.claims++;
    this.record.judgeCommit(this.engines, told, { from, to: performance.now() });
  }

  private async observer(random: Random): Promise<void> {
    while (!this.stopping) {
      const from = performance.now();
      const { body } = await random.pick(this.replicas).get(`/lora/convergence?fleet=${this.fleet}`);
      const told = body as unknown as Told;
      if (told.converged === true) {
        this.claims++;
        this.record.judge(this.engines, told, { from, to: performance.now() });
      }
      await sleep(random.below(4));
    }
  }

  private async state(api: Api): Promise<State> {
    return (await api.get(`/lora/status?fleet=${this.fleet}`)).body as unknown as State;
  }
}
