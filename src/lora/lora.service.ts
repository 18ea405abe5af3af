import { Injectable } from '@nestjs/common';
import { v4 as uuid } from 'uuid';

import { canonicalJson, sha256 } from '../event-store/event-format.js';
import type { Accepted } from '../event-store/answer-reader.js';
import { EventStore } from '../event-store/event-store.js';
import type { FleetSnapshot } from '../event-store/log-memory.js';
import type { Appended, Confirmed, Outcome, Submission } from '../event-store/submission.js';
import { Answer, jsonHeaders } from '../http/answer.js';
import type { Caller } from '../http/caller.js';
import type { Lenient } from '../http/params.js';
import { Problem } from '../http/problem.js';
import { countFailure, countOutcome } from './command-metrics.js';
import { type CommandHeaders, readCommandHeaders } from './command-headers.js';
import type { DeployAdapter, InitializeFleet, LoraCommand } from './domain/commands.js';
import { decide } from './domain/decide.js';
import { LogUnavailable, Refusal, unknownFleet } from './domain/errors.js';
import type { Histories } from './domain/histories.js';
import { noticeOf } from './domain/notice.js';
import { type StoredState, tagMatches, tagOf, viewOf } from './domain/view.js';
import { type KillTarget, refuseOtherFleet } from './kill-target.js';
import type { DisableBody } from './lora.dto.js';
import { disableCommand } from './lora.requests.js';
import { stateText } from './state-text.js';
import { StatusService } from './status.service.js';

/** The answer to a command is due this long after its arrival, whatever the database does. */
const DEADLINE_MS = 1800;

/** Takes a command from its caller to the log, and tells the caller what became of it. */
@Injectable()
export class LoraService {
  constructor(
    private readonly store: EventStore,
    private readonly status: StatusService,
  ) {}

  /**
   * Handles a command of one fleet.
   * @param ignored what a kill had to set aside of its request
   * @throws Refusal, LogUnavailable, or Problem 400 for a header
   */
  async handle(
    command: LoraCommand,
    caller: Caller,
    ignored: readonly string[] = [],
  ): Promise<Answer<string>> {
    return this.answer(await this.append(command, caller, ignored));
  }

  /** A deploy, whose answer has some words more, for the clients of the service that this one replaces. */
  async deploy(command: DeployAdapter, caller: Caller): Promise<Answer<string>> {
    const version = command.adapterVersion;
    const message = `Adapter ${version} is active in fleet ${command.fleet}.`;
    const taken = await this.append(command, caller, []);
    return this.answer(taken, ({ event }) => ({
      status: 'deployed',
      version,
      from_version: event.from_version,
      message,
    }));
  }

  /**
   * Kills a fleet, or every fleet there is in one atomic commit.
   * @throws Problem 400 only when the fleet is not unmistakable
   */
  async disable(target: KillTarget, body: Lenient<DisableBody>, caller: Caller): Promise<Answer<unknown>> {
    refuseOtherFleet(target, body.value.fleet === undefined ? body.unread?.fleet : body.value.fleet);
    const everywhere = target.fleet === '*';
    if (everywhere && caller.headers['if-match'] !== undefined) {
      throw Problem.invalid('If-Match', 'cannot go with fleet=*');
    }
    const ignored = [...target.ignored, ...body.ignored];
    const taken = await this.append(disableCommand(target.fleet, body.value), caller, ignored);
    return everywhere ? this.answerAll(taken) : this.answer(taken);
  }

  /** Makes a fleet; 200 and unchanged when it exists already. */
  async initialize(command: InitializeFleet, caller: Caller): Promise<Answer<string>> {
    const taken = await this.append(command, caller, []);
    const { body, headers } = await this.answer(taken);
    return new Answer(body, headers, taken.outcome.type === 'unchanged' ? 200 : 201);
  }

  private async append(command: LoraCommand, caller: Caller, ignored: readonly string[]): Promise<Taken> {
    try {
      const taken = await this.submit(command, caller, ignored);
      countOutcome(command.type, taken.outcome.type);
      return taken;
    } catch (error) {
      countFailure(command.type, error);
      throw error;
    }
  }

  private async submit(command: LoraCommand, caller: Caller, ignored: readonly string[]): Promise<Taken> {
    const isKill = command.type === 'DisableLora';
    const headers = readCommandHeaders(caller, isKill);
    const setAside = [...ignored, ...headers.ignored];
    const notices = setAside.length > 0 ? [`Ignored: ${setAside.join('; ')}.`] : [];
    const deadline = caller.arrivedAt + DEADLINE_MS;
    const submission: Submission = {
      fleet: command.fleet,
      isKill,
      key: headers.key,
      fingerprint: fingerprintOf(command, headers),
      origin: caller.origin,
      confirmed: await this.confirm(command, deadline, headers.key, caller),
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
      if (error.code === 'unknown-fleet') throw unknownFleet(command.fleet, this.store.memory.names());
      if (error.code !== 'idempotency-key-reused' || !isKill) throw error;
      // A kill is taken all the same: under a key of its own.
      const key = uuid();
      notices.push(
        `The Idempotency-Key belongs to another command; this kill was taken under the key ${key}.`,
      );
      return { outcome: await this.store.append({ ...submission, key }), key, deadline, notices };
    }
  }

  /** Under which state a command arrives; nothing can come between a kill, or the making of a fleet, and the log. */
  private async confirm(
    command: LoraCommand,
    deadline: number,
    key: string,
    caller: Caller,
  ): Promise<Confirmed | null> {
    if (command.type === 'DisableLora' || command.type === 'InitializeFleet') return null;
    await within(deadline, this.store.readIndex.confirm(), neverSent(key));
    // Who has hung up sent this long ago, to a replica that stood still perhaps: what was killed since stays killed.
    if (caller.hasGone()) throw new LogUnavailable('The caller has gone. Nothing was changed.', 'none', key);
    const { memory } = this.store;
    return { generation: memory.get(command.fleet)?.generation ?? 0, epoch: memory.epoch };
  }

  private async answer(
    { outcome, key, deadline, notices }: Taken,
    more: (accepted: Accepted) => Readonly<Record<string, unknown>> = () => ({}),
  ): Promise<Answer<string>> {
    if (outcome.type === 'unchanged') {
      const { logId, snapshot } = outcome;
      const histories = await within(deadline, this.store.historiesOf(snapshot), answerLost(key));
      const notice = `Fleet ${snapshot.fleet} exists already; nothing was changed.`;
      const text = stateText(logId, snapshot, histories, { notice });
      return new Answer(text, { ...jsonHeaders, ETag: `"${tagOf(logId, snapshot.generation)}"` });
    }
    const compose = async (): Promise<Answer<string>> => {
      const [accepted] = await this.accepted(outcome);
      if (accepted === undefined) throw new Error(`The log has nothing at position ${outcome.first}.`);
      const { notice, supersededBy } = await this.said(accepted, outcome, notices);
      const histories = await this.histories(accepted);
      const members = { ...more(accepted), ...(notice === undefined ? {} : { notice }) };
      return new Answer(stateText(outcome.logId, accepted.after, histories, members), {
        ...jsonHeaders,
        ETag: `"${tagOf(outcome.logId, accepted.after.generation)}"`,
        ...replayHeaders(outcome, supersededBy),
      });
    };
    return within(deadline, compose(), answerLost(key));
  }

  /** The states come without their histories: with many fleets they would make the answer megabytes long. */
  private async answerAll({ outcome, key, deadline, notices }: Taken): Promise<Answer<unknown>> {
    if (outcome.type === 'unchanged') return new Answer({ fleets: [] });
    const compose = async (): Promise<Answer<unknown>> => {
      const fleets: unknown[] = [];
      let newest: number | undefined;
      for (const accepted of await this.accepted(outcome)) {
        const { notice, supersededBy } = await this.said(accepted, outcome, notices);
        if (supersededBy !== undefined) newest = Math.max(newest ?? 0, supersededBy);
        fleets.push({
          ...viewOf(outcome.logId, accepted.after),
          ...(notice === undefined ? {} : { notice }),
        });
      }
      return new Answer({ fleets }, replayHeaders(outcome, newest));
    };
    return within(deadline, compose(), answerLost(key));
  }

  /** What was accepted: as this replica has just seen it, or else from the log. */
  private async accepted(outcome: Accepting): Promise<readonly Accepted[]> {
    const seen = outcome.type === 'appended' ? outcome.appended?.map(withHindsight) : undefined;
    if (seen?.every((each) => each !== undefined)) return seen;
    return this.store.answers.accepted(outcome.first, outcome.last);
  }

  private async said(
    { before, event, after, hindsight }: Accepted,
    outcome: Accepting,
    notices: readonly string[],
  ): Promise<{ notice: string | undefined; supersededBy: number | undefined }> {
    const sentences = [noticeOf(before, event, after.state, hindsight), ...notices];
    let supersededBy: number | undefined;
    if (outcome.type === 'replayed') {
      const now = await this.status.confirmed(after.fleet);
      if (now.generation > after.generation) {
        supersededBy = now.generation;
        sentences.push(movedOn(now));
      }
    }
    const said = sentences.filter((sentence) => sentence !== undefined);
    return { notice: said.length > 0 ? said.join(' ') : undefined, supersededBy };
  }

  private histories({ after }: Accepted): Promise<Histories> {
    return 'histories' in after
      ? this.store.historiesOf(after as FleetSnapshot)
      : this.store.answers.histories(after.fleet, after.generation);
  }
}

/** A command that the log has taken, on its way to an answer. */
interface Taken {
  readonly outcome: Outcome;
  readonly key: string;
  readonly deadline: number;
  readonly notices: readonly string[];
}

type Accepting = Exclude<Outcome, { type: 'unchanged' }>;

/** What the notice needs, where memory has it; undefined where only the log can tell. */
function withHindsight({ event, before, after }: Appended): Accepted | undefined {
  const again = event.type === 'LoraDisabled' && before !== null && !before.enabled;
  const asksThePast =
    event.adapter_version !== null && (event.type === 'LoraEnabled' || event.type === 'LoraRolledBack');
  if (asksThePast || (again && after.disabledSince === undefined)) return undefined;
  const disabledSince = again ? (after.disabledSince ?? null) : null;
  return { event, before, after, hindsight: { now: after.recordedAt, disabledSince, wasEverActive: true } };
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

/** A replayed kill must not look like a fresh one. */
function movedOn({ generation, state }: StoredState): string {
  return (
    `This is the first answer again; the fleet has moved on to generation ${generation} since, ` +
    `and LoRA is ${state.enabled ? 'ENABLED' : 'DISABLED'} now.`
  );
}

function replayHeaders(outcome: Outcome, superseded: number | undefined): Record<string, string> {
  return {
    ...(outcome.type === 'replayed' ? { 'Idempotency-Replayed': 'true' } : {}),
    ...(superseded === undefined ? {} : { 'Lora-Superseded-By': String(superseded) }),
  };
}

/** What a command asks, for telling a repeat from a key that is used twice. */
function fingerprintOf(command: LoraCommand, headers: CommandHeaders): Buffer {
  const { type, fleet, reason } = command;
  const version = 'adapterVersion' in command ? command.adapterVersion : null;
  const enabled = command.type === 'InitializeFleet' ? command.enabled : null;
  return sha256(canonicalJson({ type, fleet, version, reason, enabled, if_match: headers.ifMatch ?? null }));
}

const neverSent = (key: string) => () =>
  new LogUnavailable(
    'The log did not answer in time. Nothing was changed by this try. Send the command again.',
    'none',
    key,
  );

const answerLost = (key: string) => () =>
  new LogUnavailable(
    'The log did not tell in time what became of the command. Send it again with the same Idempotency-Key.',
    'unknown',
    key,
  );

/** The promise's value, or the error when the time (`performance.now()`) has come or the log cannot be read. */
async function within<T>(deadline: number, promise: Promise<T>, late: () => LogUnavailable): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        reject(late());
      },
      Math.max(0, deadline - performance.now()),
    );
  });
  try {
    return await Promise.race([promise, timeout]);
  } catch (error) {
    throw error instanceof LogUnavailable ? late() : error;
  } finally {
    clearTimeout(timer);
  }
}
