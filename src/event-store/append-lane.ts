import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';

import type { Kill, Meanwhile } from '../lora/domain/decide.js';
import { LogUnavailable, Refusal } from '../lora/domain/errors.js';
import { type EventBody, type LoraEvent, type Origin, SCHEMA_VERSION } from '../lora/domain/events.js';
import { currentVersion, evolve, type FleetState, STATE_VERSION } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';
import { canonicalJson } from './event-format.js';

/** One command on its way into the log. */
export interface Submission {
  /** A fleet's name; `*` is every fleet there is when the command commits. */
  readonly fleet: string;
  /** Kills go before everything that waits, and are taken even from a log that a newer service has written. */
  readonly isKill: boolean;
  readonly key: string;
  /** Of what the command asks; the same key with another one is refused. */
  readonly fingerprint: Buffer;
  readonly origin: Origin;
  /** The generation confirmed after the command had arrived; null where nothing can come between. */
  readonly confirmed: StoredState | null;
  /** `performance.now()` at which the answer is due. */
  readonly deadline: number;
  /**
   * The decision on one fleet's committed state; null appends nothing.
   * @throws Refusal
   */
  decide(stored: StoredState | null, meanwhile: Meanwhile | null, logId: string): LoraEvent | null;
}

/** How a submission ended, with the positions of its events, first and last, both included. */
export interface Outcome {
  readonly type: 'appended' | 'replayed' | 'unchanged';
  readonly logId: string;
  readonly first: number;
  readonly last: number;
}

interface Head {
  readonly log_id: string;
  readonly states: readonly StoredRow[];
}

interface StoredRow {
  readonly fleet: string;
  readonly generation: number;
  readonly recorded_at: string;
  readonly state: FleetState;
}

type BatchResult =
  | {
      readonly status: 'appended' | 'duplicate' | 'key_reused';
      readonly first: number;
      readonly last: number;
    }
  | { readonly status: 'confirmed' | 'conflict' | 'retry' };

interface Waiting {
  readonly submission: Submission;
  /** Event ids are given once, so that a submission sent again is the same events. */
  readonly ids: Map<string, string>;
  /** Whether a commit may be on its way: only then is a lost answer an unknown outcome. */
  committing: boolean;
  settled: boolean;
  settle(result: Outcome | Error): void;
}

const RECONNECT_PAUSE_MS = 50;

/**
 * The one way into the log for this replica: a command at a time, on a connection of its own, under the head's
 * lock. An answer comes by the submission's deadline whatever the database does.
 */
export class AppendLane {
  private readonly queue: Waiting[] = [];
  private client: pg.Client | undefined;
  private running = false;

  constructor(private readonly connectionString: () => string) {}

  /**
   * @throws Refusal when the command is refused on the committed state
   * @throws LogUnavailable when the log did not answer in time
   */
  submit(submission: Submission): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        submission,
        ids: new Map(),
        committing: false,
        settled: false,
        settle: (result) => {
          if (waiting.settled) return;
          waiting.settled = true;
          clearTimeout(timer);
          if (result instanceof Error) reject(result);
          else resolve(result);
        },
      };
      const timer = setTimeout(
        () => {
          waiting.settle(unavailable(waiting));
          this.dropHungConnection(waiting);
        },
        Math.max(0, submission.deadline - performance.now()),
      );
      this.enqueue(waiting);
      void this.run();
    });
  }

  async close(): Promise<void> {
    await this.client?.end();
    this.client = undefined;
  }

  private enqueue(waiting: Waiting): void {
    const firstOther = this.queue.findIndex(({ submission }) => !submission.isKill);
    if (waiting.submission.isKill && firstOther >= 0) this.queue.splice(firstOther, 0, waiting);
    else this.queue.push(waiting);
  }

  private current: Waiting | undefined;

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
      this.current = next;
      while (!next.settled) await this.attempt(next);
    }
    this.current = undefined;
    this.running = false;
  }

  private async attempt(waiting: Waiting): Promise<void> {
    try {
      const client = await this.connected();
      waiting.settle(await this.append(client, waiting));
    } catch (error) {
      if (error instanceof Refusal || error instanceof LogUnavailable) {
        waiting.settle(error);
        return;
      }
      // The connection is gone or in an unknown state. The same events go out again on a new one; their key tells
      // whether they had arrived.
      this.discardConnection();
      if (error instanceof pg.DatabaseError && !isConnectionLoss(error))
        waiting.settle(unavailable(waiting, error));
      else await new Promise((resume) => setTimeout(resume, RECONNECT_PAUSE_MS));
    }
  }

  private async append(client: pg.Client, waiting: Waiting): Promise<Outcome> {
    const { submission } = waiting;
    const everywhere = submission.fleet === '*';
    await client.query('begin');
    const head = await one<Head>(client, 'select lock_head($1) as answer', [
      everywhere ? null : [submission.fleet],
    ]);
    const before = new Map(head.states.map((row) => [row.fleet, storedState(row)]));
    const fleets = everywhere ? [...before.keys()] : [submission.fleet];

    let refusal: Refusal | undefined;
    const events: { body: string; state: FleetState }[] = [];
    try {
      for (const fleet of fleets) {
        const stored = before.get(fleet) ?? null;
        refuseNewerState(stored, submission);
        const event = submission.decide(stored, await meanwhile(client, submission, stored), head.log_id);
        if (event !== null) events.push(prepare(event, stored, waiting));
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusal = error;
      events.length = 0;
    }

    const { results } = await one<{ results: [BatchResult] }>(client, 'select append_batch($1) as answer', [
      JSON.stringify([
        {
          caller: submission.origin.actor,
          key: submission.key,
          fingerprint: submission.fingerprint.toString('hex'),
          expect: Object.fromEntries(fleets.map((fleet) => [fleet, before.get(fleet)?.generation ?? 0])),
          all_fleets: everywhere,
          events,
        },
      ]),
    ]);
    waiting.committing = true;
    const { command } = await client.query('commit');
    if (command !== 'COMMIT') throw unavailable({ ...waiting, committing: false });

    const [result] = results;
    switch (result.status) {
      case 'appended':
        return { type: 'appended', logId: head.log_id, first: result.first, last: result.last };
      case 'duplicate':
        return { type: 'replayed', logId: head.log_id, first: result.first, last: result.last };
      case 'key_reused':
        throw new Refusal(
          'idempotency-key-reused',
          `The Idempotency-Key ${submission.key} belongs to another command, at position ${result.first}.`,
          before.get(submission.fleet)?.state ?? null,
        );
      case 'confirmed': {
        if (refusal) throw refusal;
        const generation = before.get(submission.fleet)?.generation ?? 0;
        return { type: 'unchanged', logId: head.log_id, first: generation, last: generation };
      }
      default:
        throw new Error(`A batch under the head's lock came back as ${result.status}.`);
    }
  }

  private async connected(): Promise<pg.Client> {
    if (this.client) return this.client;
    const client = new pg.Client({
      connectionString: this.connectionString(),
      application_name: 'lora-control-plane lane',
      connectionTimeoutMillis: 1500,
      statement_timeout: 1500,
      idle_in_transaction_session_timeout: 250,
    });
    client.on('error', () => {
      if (this.client === client) this.client = undefined;
    });
    await client.connect();
    await client.query('set synchronous_commit = on');
    this.client = client;
    return client;
  }

  /** A command that ran into its deadline has the connection hanging: cut it, so that the next gets a new one. */
  private dropHungConnection(waiting: Waiting): void {
    if (this.current === waiting) this.discardConnection();
    else this.queue.splice(this.queue.indexOf(waiting), 1);
  }

  private discardConnection(): void {
    const client = this.client;
    this.client = undefined;
    client?.connection.stream.destroy();
  }
}

function prepare(
  event: LoraEvent,
  stored: StoredState | null,
  waiting: Waiting,
): { body: string; state: FleetState } {
  const { origin, key } = waiting.submission;
  const id = waiting.ids.get(event.fleet) ?? uuidv7();
  waiting.ids.set(event.fleet, id);
  const body: EventBody = { schema_version: SCHEMA_VERSION, id, ...event, ...origin, idempotency_key: key };
  return { body: canonicalJson(body), state: evolve(stored?.state ?? null, body) };
}

/** Under the head's lock: did a kill of the fleet commit after the generation that the command had seen? */
async function meanwhile(
  client: pg.Client,
  { confirmed }: Submission,
  stored: StoredState | null,
): Promise<Meanwhile | null> {
  if (confirmed === null) return null;
  const seen = { kill: null, confirmedVersion: currentVersion(confirmed.state) };
  if (stored === null || stored.generation === confirmed.generation) return seen;
  const { rows } = await client.query<Kill>(
    `select actor, reason, rfc3339(recorded_at) as "recordedAt" from events
     where fleet = $1 and type = 'LoraDisabled' and position > $2 order by position desc limit 1`,
    [stored.fleet, confirmed.generation],
  );
  return { ...seen, kill: rows[0] ?? null };
}

function refuseNewerState(stored: StoredState | null, { isKill, key }: Submission): void {
  if (stored === null || isKill || stored.state.state_version <= STATE_VERSION) return;
  throw new LogUnavailable(
    'A newer version of this service writes this log; this replica takes disables only.',
    'none',
    key,
  );
}

function storedState({ fleet, generation, recorded_at, state }: StoredRow): StoredState {
  return { fleet, generation, recordedAt: recorded_at, state };
}

function unavailable({ committing, submission }: Waiting, error?: pg.DatabaseError): LogUnavailable {
  const why = error?.code === '57014' ? 'The log is held by somebody else' : 'The log did not answer in time';
  return new LogUnavailable(
    committing
      ? `${why}: whether the command took effect is unknown. Send it again with the same Idempotency-Key.`
      : `${why}. Nothing was changed. Send the command again.`,
    committing ? 'unknown' : 'none',
    submission.key,
  );
}

/** Class 08, and what a server says that stops or starts: the session is lost, the command is not at fault. */
function isConnectionLoss({ code }: pg.DatabaseError): boolean {
  return code !== undefined && (code.startsWith('08') || /^(57P0[1-5]|25P03)$/.test(code));
}

async function one<T>(client: pg.Client, sql: string, parameters: unknown[]): Promise<T> {
  const { rows } = await client.query<{ answer: T }>(sql, parameters);
  const row = rows[0];
  if (row === undefined) throw new Error('A function of the log gave no row.');
  return row.answer;
}
