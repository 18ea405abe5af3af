import { setTimeout as sleep } from 'node:timers/promises';

import { type Answered, type Call, type Target, UPSTREAM } from './agreement-call.js';
import { type Asked, type CommandRecord, isNothing, type ReadRecord, type Try } from './agreement-history.js';
import type { Random } from './agreement-random.js';
import type { Timed } from './agreement-stopwatch.js';

/** An answer must come within 2 s; longer than this the replica is gone or stands still. */
const PATIENCE_MS = 2500;

/** One place to send calls to, as the load sees it. */
export interface Place extends Target {
  call(call: Call): Promise<Answered>;
}

/** Clients that command and read at once, and write down what they saw. */
export class Load {
  readonly commands: CommandRecord[] = [];
  readonly reads: ReadRecord[] = [];
  /** Every answer, for those who judge how long they took. */
  readonly answers: Timed[] = [];
  staleReads = 0;
  private stopping = false;
  private readonly known = new Map<string, number>();

  constructor(
    private readonly places: readonly Place[],
    readonly fleets: string[],
    /** Names the run in every key. */
    private readonly run: string,
  ) {}

  /** @returns when all have stopped and every outcome is settled */
  async go(random: Random, clients: { writers: number; readers: number; waiters: number }): Promise<void> {
    const workers: Promise<void>[] = [];
    // Each has a home, so that one place that hangs does not stop them all.
    const home = (nth: number): Place => {
      const place = this.places[nth % this.places.length];
      if (!place) throw new Error('There is no place to go to.');
      return place;
    };
    for (let nth = 0; nth < clients.writers; nth++) workers.push(this.write(random.fork(), home(nth), nth));
    for (let nth = 0; nth < clients.readers; nth++) workers.push(this.read(random.fork(), home(nth)));
    for (let nth = 0; nth < clients.waiters; nth++) workers.push(this.wait(random.fork(), home(nth)));
    await Promise.all(workers);
  }

  stop(): void {
    this.stopping = true;
  }

  /** Reads every fleet at every place once more. */
  async readAll(): Promise<void> {
    for (const place of this.places)
      for (const fleet of this.fleets)
        await this.readOne(place, fleet, '&consistency=strong', 'linearizable');
  }

  private async write(random: Random, home: Place, writer: number): Promise<void> {
    for (let nth = 0; !this.stopping; nth++) {
      const asked = this.choose(random);
      const key = `${this.run}-${writer}-${nth}`;
      const tries: Try[] = [];
      this.commands.push({ key, asked, tries });
      const resendNone = random.chance(0.5);
      let place = random.chance(0.8) ? home : random.pick(this.places);
      for (;;) {
        const answer = await this.send(place, asked, key);
        tries.push(answer);
        if (answer.status !== 0 && answer.status !== 503) break;
        // Only where no earlier try may have reached the log does `none` settle anything.
        if (tries.every(isNothing) && !resendNone) break;
        await sleep(20 + random.below(100));
        place = random.pick(this.places);
      }
      if (random.chance(0.5)) await sleep(random.below(40));
    }
  }

  private choose(random: Random): Asked {
    if (random.chance(0.01) && this.fleets.length < 8) {
      const fleet = `made-${this.fleets.length}`;
      this.fleets.push(fleet);
      return { type: 'make', fleet, version: 'v0', ifMatch: null };
    }
    const fleet = random.chance(0.01) ? 'nowhere' : random.pick(this.fleets);
    const version = `v${random.below(6)}`;
    const ifMatch = random.chance(0.1) ? (this.known.get(fleet) ?? 1) : null;
    const die = random.next();
    if (die < 0.03) return { type: 'disable', fleet: '*', version: null, ifMatch: null };
    if (die < 0.25) return { type: 'disable', fleet, version: null, ifMatch };
    if (die < 0.55) return { type: 'enable', fleet, version: random.chance(0.5) ? version : null, ifMatch };
    if (die < 0.75) return { type: 'rollback', fleet, version: random.chance(0.4) ? version : null, ifMatch };
    return { type: 'deploy', fleet, version, ifMatch };
  }

  private async send(place: Place, asked: Asked, key: string): Promise<Try> {
    const { replica, answer } = await this.ask(place, callOf(asked, key), asked.type);
    const { status, body, sentAt, receivedAt } = answer;
    const text = (name: string): string | undefined =>
      typeof body[name] === 'string' ? body[name] : undefined;
    return {
      sentAt,
      receivedAt,
      replica,
      status,
      code: text('code'),
      outcome: text('outcome') as Try['outcome'],
      generation: generationOf(answer),
      replayed: answer.headers.get('idempotency-replayed') === 'true',
    };
  }

  private async read(random: Random, home: Place): Promise<void> {
    while (!this.stopping) {
      const [query, kind] = random.pick([
        ['', 'linearizable'],
        ['', 'linearizable'],
        ['&consistency=strong', 'linearizable'],
        ['&consistency=eventual', 'eventual'],
      ] as const);
      const place = random.chance(0.8) ? home : random.pick(this.places);
      const fleet = random.pick(this.fleets);
      const known = random.chance(0.3) ? this.known.get(fleet) : undefined;
      await this.readOne(place, fleet, query, kind, known);
      await sleep(random.below(15));
    }
  }

  /** Asks for what is newer than it has, for up to 2 s. */
  private async wait(random: Random, home: Place): Promise<void> {
    while (!this.stopping) {
      const place = random.chance(0.8) ? home : random.pick(this.places);
      const fleet = random.pick(this.fleets);
      await this.readOne(place, fleet, '', 'linearizable', this.known.get(fleet), 1 + random.below(2));
      await sleep(random.below(15));
    }
  }

  /** @param known a generation of which the reader already has the state */
  private async readOne(
    place: Place,
    fleet: string,
    query: string,
    kind: ReadRecord['kind'],
    known?: number,
    waitSeconds = 0,
  ): Promise<void> {
    const headers = {
      ...(known === undefined ? {} : { 'if-none-match': `"${this.logName}-${known}"` }),
      ...(waitSeconds === 0 ? {} : { prefer: `wait=${waitSeconds}` }),
    };
    const timeoutMs = PATIENCE_MS + waitSeconds * 1000;
    const path = `/lora/status?fleet=${fleet}${query}`;
    const { replica, answer } = await this.ask(
      place,
      { method: 'GET', path, headers, timeoutMs },
      'read',
      waitSeconds * 1000,
    );
    const { status, body, sentAt, receivedAt } = answer;
    const tag = /^"(.*)-(\d+)"$/.exec(answer.headers.get('etag') ?? '');
    if ((status !== 200 && status !== 304) || !tag) return;
    this.logName = tag[1] ?? '';
    const generation = Number(tag[2]);
    const stale = body.stale === true;
    if (stale) this.staleReads++;
    this.known.set(fleet, generation);
    const shown =
      status === 304
        ? undefined
        : { enabled: body.enabled === true, version: body.active_adapter_version as string | null };
    this.reads.push({
      ...{ sentAt, receivedAt, replica, fleet, generation },
      kind: stale ? 'eventual' : kind,
      shown,
    });
  }

  /** The first part of every ETag. */
  private logName = '';

  private async ask(
    place: Place,
    call: Call,
    what: string,
    waitMs = 0,
  ): Promise<{ replica: string; answer: Answered }> {
    const { incarnation } = place;
    const answer = await place.call({ timeoutMs: PATIENCE_MS, ...call });
    const replica = answer.headers.get(UPSTREAM) ?? incarnation;
    const { sentAt, receivedAt, status } = answer;
    this.answers.push({ sentAt, receivedAt, status, replica, what, waitMs });
    return { replica, answer };
  }
}

function callOf({ type, fleet, version, ifMatch }: Asked, key: string): Call {
  const headers = {
    'idempotency-key': key,
    ...(ifMatch === null ? {} : { 'if-match': String(ifMatch) }),
  };
  const body = version === null ? {} : { adapter_version: version };
  if (type === 'make') return { method: 'PUT', path: `/fleets/${fleet}`, body, headers };
  return { path: `/lora/${type}?fleet=${fleet}`, body, headers };
}

function generationOf({ body }: Answered): number | undefined {
  return typeof body.generation === 'number' ? body.generation : undefined;
}
