import { hash } from 'node:crypto';

import { Injectable } from '@nestjs/common';
import { v4 as uuid } from 'uuid';

import type { Accepted } from '../event-store/answer-reader.js';
import { canonicalJson } from '../event-store/event-format.js';
import { EventStore } from '../event-store/event-store.js';
import type { Confirmed, Submission } from '../event-store/submission.js';
import { Answer } from '../http/answer.js';
import type { Caller } from '../http/caller.js';
import type { Lenient } from '../http/params.js';
import { Problem } from '../http/problem.js';
import { CommandConvergence } from './command-convergence.js';
import { CommandAnswers, type Taken } from './command-answers.js';
import { type CommandHeaders, readCommandHeaders } from './command-headers.js';
import { countFailure, countOutcome } from './command-metrics.js';
import type { Confirmation } from './confirmation.js';
import { within } from './deadline.js';
import type {
  DeployAdapter,
  EnableLora,
  InitializeFleet,
  LoraCommand,
  RollBackLora,
} from './domain/commands.js';
import { decide } from './domain/decide.js';
import { LogUnavailable, Refusal, UnknownFleet } from './domain/errors.js';
import { type StoredState, tagMatches, tagOf } from './domain/view.js';
import { type KillTarget, refuseOtherFleet } from './kill-target.js';
import type { DisableBody } from './lora.dto.js';
import { disableCommand } from './lora.requests.js';
import { preferredWait } from './prefer-wait.js';

/** The answer to a command is due this long after its arrival, whatever the database does. */
const DEADLINE_MS = 1800;

/** A command as it came. */
interface Call {
  readonly command: LoraCommand;
  readonly caller: Caller;
  /** What a kill had to set aside of its request. */
  readonly ignored?: readonly string[];
  /** Of commands that a kill can overtake. */
  readonly confirmation?: Confirmation;
}

/** Takes a command from its caller to the log, and tells the caller what became of it. */
@Injectable()
export class LoraService {
  constructor(
    private readonly store: EventStore,
    private readonly answers: CommandAnswers,
    private readonly convergence: CommandConvergence,
  ) {}

  /**
   * Handles a command of one fleet.
   * @throws Refusal, LogUnavailable, or Problem 400 for a header
   */
  handle(
    command: EnableLora | RollBackLora,
    caller: Caller,
    confirmation: Confirmation,
  ): Promise<Answer<string>> {
    return this.one({ command, caller, confirmation });
  }

  /** A deploy, whose answer has some words more, for the clients of the service that this one replaces. */
  deploy(command: DeployAdapter, caller: Caller, confirmation: Confirmation): Promise<Answer<string>> {
    const version = command.adapterVersion;
    const message = `Adapter ${version} is active in fleet ${command.fleet}.`;
    const words = ({ event }: Accepted) => ({
      status: 'deployed',
      version,
      from_version: event.from_version,
      message,
    });
    return this.one({ command, caller, confirmation }, words);
  }

  /**
   * Kills a fleet, or every fleet there is in one atomic commit.
   * @throws Problem 400 only when the fleet is not unmistakable
   */
  async disable(target: KillTarget, body: Lenient<DisableBody>, caller: Caller): Promise<Answer<unknown>> {
    refuseOtherFleet(target, body);
    const everywhere = target.fleet === '*';
    if (everywhere && caller.headers['if-match'] !== undefined) {
      throw Problem.invalid('If-Match', 'cannot go with fleet=*');
    }
    const ignored = [...target.ignored, ...body.ignored];
    const command = disableCommand(target.fleet, body.value);
    if (!everywhere) return this.one({ command, caller, ignored });
    const answered = await this.carryOut({ command, caller, ignored }, (taken) =>
      this.answers.all(taken, caller.identity),
    );
    const wait = preferredWait(caller);
    return wait === undefined ? answered : this.convergence.all(answered, wait);
  }

  /** Makes a fleet; 200 and unchanged when it exists already. */
  initialize(command: InitializeFleet, caller: Caller): Promise<Answer<string>> {
    return this.carryOut({ command, caller }, async (taken) => {
      const { body, headers } = await this.answers.one(taken);
      return new Answer(body, headers, taken.outcome.type === 'unchanged' ? 200 : 201);
    });
  }

  private async one(
    call: Call,
    words?: (accepted: Accepted) => Readonly<Record<string, unknown>>,
  ): Promise<Answer<string>> {
    const { command, caller } = call;
    let generation = 0;
    const answered = await this.carryOut(call, (taken) => {
      if (taken.outcome.type !== 'unchanged') generation = taken.outcome.last;
      return this.answers.one(taken, words);
    });
    const wait = preferredWait(caller);
    return wait === undefined ? answered : this.convergence.one(answered, command.fleet, generation, wait);
  }

  private async carryOut<T>(call: Call, answer: (taken: Taken) => Promise<Answer<T>>): Promise<Answer<T>> {
    const { type } = call.command;
    try {
      const taken = await this.submit(call);
      const answered = await answer(taken);
      countOutcome(type, taken.outcome.type);
      return answered;
    } catch (error) {
      countFailure(type, error);
      throw error;
    }
  }

  private async submit(call: Call): Promise<Taken> {
    const { command, caller, ignored = [] } = call;
    const isKill = command.type === 'DisableLora';
    const headers = readCommandHeaders(caller, isKill);
    const setAside = [...ignored, ...headers.ignored];
    const notices = setAside.length > 0 ? [`Ignored: ${setAside.join('; ')}.`] : [];
    const deadline = caller.arrivedAt + DEADLINE_MS;
    const submission: Submission = {
      fleet: command.fleet,
      among: caller.identity.fleets,
      isKill,
      key: headers.key,
      fingerprint: fingerprintOf(command, headers),
      origin: caller.origin,
      confirmed: await this.confirm(call, deadline, headers.key),
      deadline,
      decide: (fleet, stored, meanwhile, logId) => {
        // That there is no such fleet is the better answer.
        if (stored !== null || command.type === 'InitializeFleet')
          refuseMismatch(headers.ifMatch, stored, logId);
        return decide({ ...command, fleet }, stored?.state ?? null, meanwhile);
      },
    };
    try {
      return { outcome: await this.store.append(submission), key: headers.key, deadline, notices };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === 'unknown-fleet' && command.fleet !== '*')
        throw this.noSuchFleet(command.fleet, headers.key);
      if (error.code !== 'idempotency-key-reused' || !isKill) throw error;
      // A kill is taken all the same: under a key of its own.
      const key = uuid();
      notices.push(
        `The Idempotency-Key belongs to another command; this kill was taken under the key ${key}.`,
      );
      return { outcome: await this.store.append({ ...submission, key }), key, deadline, notices };
    }
  }

  /** Before the first start has made a fleet, that one does not exist says nothing of whether it will. */
  private noSuchFleet(fleet: string, key: string): Error {
    const { memory } = this.store;
    if (!memory.isEmpty) return new UnknownFleet(fleet, memory.names());
    return new LogUnavailable('The log has no fleet yet. Nothing was changed.', 'none', key);
  }

  /** Under which state a command arrived; nothing can come between a kill, or the making of a fleet, and the log. */
  private async confirm(
    { command, caller, confirmation }: Call,
    deadline: number,
    key: string,
  ): Promise<Confirmed | null> {
    if (confirmation === undefined) return null;
    const confirmed = await within(deadline, confirmation.confirmed, neverSent(key));
    // Who has hung up sent this long ago, to a replica that stood still perhaps: what was killed since stays killed.
    if (caller.hasGone()) throw new LogUnavailable('The caller has gone. Nothing was changed.', 'none', key);
    // Only an enable lifts a kill: one of which this replica may have heard late counts as later.
    const { onArrival, position, epoch } = confirmed;
    const lifts =
      command.type === 'EnableLora' && this.store.memory.get(command.fleet)?.state.enabled === false;
    return { position: lifts ? (onArrival ?? position) : position, epoch };
  }
}

/** @throws Refusal when If-Match names another generation */
function refuseMismatch(ifMatch: string | undefined, stored: StoredState | null, logId: string): void {
  if (ifMatch === undefined) return;
  const tag = tagOf(logId, stored?.generation ?? 0);
  if (tagMatches(ifMatch, tag, true)) return;
  // The generation of a state that is under way in the same batch is not known yet.
  const at = stored !== null && stored.generation > 0 ? ` to "${tag}"` : '';
  const detail = `If-Match names ${ifMatch}; the fleet has moved on${at}.`;
  throw new Refusal('generation-mismatch', detail, stored?.state ?? null);
}

/** What a command asks, for telling a repeat from a key that is used twice. */
function fingerprintOf(command: LoraCommand, headers: CommandHeaders): Buffer {
  const { type, fleet, reason } = command;
  const version = 'adapterVersion' in command ? command.adapterVersion : null;
  const enabled = command.type === 'InitializeFleet' ? command.enabled : null;
  const asked = { type, fleet, version, reason, enabled, if_match: headers.ifMatch ?? null };
  return hash('sha256', canonicalJson(asked), 'buffer');
}

const neverSent = (key: string) => () =>
  new LogUnavailable(
    'The log did not answer in time. Nothing was changed by this try. Send the command again.',
    'none',
    key,
  );
