import { setTimeout as sleep } from 'node:timers/promises';

import type { Node } from './agreement-node.js';
import type { OwnPostgres } from './agreement-postgres.js';
import type { Random } from './agreement-random.js';

/** Breaks one thing after the other, in an order that the seed gives, and mends each. */
export class Faults {
  readonly done: Record<string, number> = {};

  constructor(
    private readonly nodes: readonly Node[],
    private readonly postgres: OwnPostgres,
    private readonly random: Random,
  ) {}

  /** Until the time (`performance.now()`) has come, and until every kind has happened once. */
  async run(until: number): Promise<void> {
    const kinds = Object.keys(this.kinds) as (keyof typeof this.kinds)[];
    const first = kinds
      .map((kind) => ({ kind, at: this.random.next() }))
      .sort((one, other) => one.at - other.at);
    while (performance.now() < until || first.length > 0) {
      await sleep(100 + this.random.below(300));
      const kind = first.pop()?.kind ?? this.random.pick(kinds);
      this.count(kind);
      await this.kinds[kind]();
    }
  }

  private readonly kinds = {
    'kill -9 of a replica': async () => {
      const node = this.random.pick(this.nodes);
      await node.kill();
      await sleep(this.random.below(300));
      await node.start();
    },
    'replica ended and started': async () => {
      const node = this.random.pick(this.nodes);
      await node.kill('SIGTERM');
      await node.start();
    },
    'database stopped immediate': async () => {
      await this.postgres.stopImmediate();
      await sleep(this.random.below(1000));
      await this.postgres.start();
    },
    'replica started while the database is away': async () => {
      const node = this.random.pick(this.nodes);
      await Promise.all([this.postgres.stopImmediate(), node.kill()]);
      await node.start('listening');
      await this.postgres.start();
    },
    'database hangs': async () => {
      await this.postgres.pause();
      await sleep(200 + this.random.below(1500));
      this.postgres.resume();
    },
    'LISTEN connections terminated': async () => {
      await this.postgres.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '% feed'",
      );
    },
    'all connections terminated': async () => {
      await this.postgres.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'lora-control-plane%'",
      );
    },
    'replica in a black hole': async () => {
      const { proxy } = this.random.pick(this.nodes);
      proxy.set('hole');
      await sleep(500 + this.random.below(3500));
      proxy.set('pass');
    },
    'replica cut off, its bytes delivered late': async () => {
      const { proxy } = this.random.pick(this.nodes);
      proxy.set('hold');
      await sleep(50 + this.random.below(2000));
      proxy.set('pass');
    },
    'answers to a replica lost': async () => {
      const { proxy } = this.random.pick(this.nodes);
      proxy.set('deaf');
      await sleep(50 + this.random.below(1000));
      proxy.set('pass');
    },
    "replica stopped while it holds the head's lock": async () => {
      const node = this.random.pick(this.nodes);
      for (let attempt = 0; attempt < 40; attempt++) {
        node.pause();
        const [held] = await this.postgres.query(
          `select from pg_stat_activity where state = 'idle in transaction' and application_name like '%lane'`,
        );
        if (held) {
          this.count('… and it did hold it');
          await sleep(300 + this.random.below(1000));
          node.resume();
          return;
        }
        node.resume();
        await sleep(this.random.below(20));
      }
    },
    'replica stopped for a while': async () => {
      const node = this.random.pick(this.nodes);
      node.pause();
      await sleep(200 + this.random.below(2500));
      node.resume();
    },
  };

  private count(what: string): void {
    this.done[what] = (this.done[what] ?? 0) + 1;
  }
}
