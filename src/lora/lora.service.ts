import { Injectable } from '@nestjs/common';
import { v4 as uuid } from 'uuid';

import type { Outcome, Submission } from '../event-store/append-lane.js';
import { canonicalJson, sha256 } from '../event-store/event-format.js';
import { type Accepted, EventReader } from '../event-store/event-reader.js';
import { EventStore } from '../event-store/event-store.js';
import { Answer } from '../http/answer.js';
import type { Caller } from '../http/caller.js';
import type { Lenient } from '../http/params.js';
import { Problem } from '../http/problem.js';
import { type CommandHeaders, readCommandHeaders } from './command-headers.js';
import type { DeployAdapter, DisableLora, InitializeFleet, LoraCommand } from './domain/commands.js';
import { decide } from './domain/decide.js';
import { LogUnavailable, Refusal } from './domain/errors.js';
import { noticeOf } from './domain/notice.js';
import { tagMatches, tagOf, viewOf } from './domain/view.js';
import { type KillTarget, refuseOtherFleet } from './kill-target.js';
import type { CommandAnswerBody, DeployAnswerBody, DisableBody, FleetsAnswerBody } from './lora.dto.js';
import { disableCommand } from './lora.requests.js';
import { StatusService } from './status.service.js';

/** The answer to a command is due this long after its arrival, whatever the database does. */
const DEADLINE_MS = 1800;

/** Takes a command from its caller to the log, and tells the caller what became of it. */
@Injectable()
export class LoraService {
  constructor(
    private readonly store: EventStore,
    private readonly reader: EventReader,
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
  ): Promise<Answer<CommandAnswerBody>> {
    const { outcome, headers, notices } = await this.append(command, caller, ignored);
    const deadline = caller.arrivedAt + DEADLINE_MS;
    return within(deadline, this.answer(outcome, notices), answerLost(headers.key));
  }

  /** A deploy, whose answer has some words more, for the clients of the service that this one replaces. */
  async deploy(command: DeployAdapter, caller: Caller): Promise<Answer<DeployAnswerBody>> {
    const { body, headers } = await this.handle(command, caller);
    const from = body.activation_history.at(-1)?.from_version ?? null;
    const version = command.adapterVersion;
    const message = `Adapter ${version} is active in fleet ${command.fleet}.`;
    return new Answer({ ...body, status: 'deployed', version, from_version: from, message }, headers);
  }

  /**
   * Kills a fleet, or every fleet there is in one atomic commit.
   * @throws Problem 400 only when the fleet is not unmistakable
   */
  async disable(target: KillTarget, body: Lenient<DisableBody>, caller: Caller) {
    refuseOtherFleet(target, body.value.fleet);
    const command = disableCommand(target.fleet, body.value);
    const ignored = [...target.ignored, ...body.ignored];
    return target.fleet === '*'
      ? this.disableAll(command, caller, ignored)
      : this.handle(command, caller, ignored);
  }

  /** The states come without their histories. */
  private async disableAll(
    command: DisableLora,
    caller: Caller,
    ignored: readonly string[],
  ): Promise<Answer<FleetsAnswerBody>> {
    if (caller.headers['if-match'] !== undefined) throw Problem.invalid('If-Match', 'cannot go with fleet=*');
    const { outcome, headers, notices } = await this.append(command, caller, ignored);
    const deadline = caller.arrivedAt + DEADLINE_MS;
    return within(deadline, this.answerAll(outcome, notices), answerLost(headers.key));
  }

  /** Makes a fleet; 200 and unchanged when it exists already. */
  async initialize(command: InitializeFleet, caller: Caller) {
    const { outcome, notices } = await this.append(command, caller, []);
    if (outcome.type === 'unchanged')
      notices.push(`Fleet ${command.fleet} exists already; nothing was changed.`);
    const { body, headers } = await this.answer(outcome, notices);
    return new Answer(body, headers, outcome.type === 'appended' ? 201 : 200);
  }

  private async append(command: LoraCommand, caller: Caller, ignored: readonly string[]) {
    const isKill = command.type === 'DisableLora';
    const headers = readCommandHeaders(caller, isKill);
    const setAside = [...ignored, ...headers.ignored];
    const notices = setAside.length > 0 ? [`Ignored: ${setAside.join('; ')}.`] : [];
    const deadline = caller.arrivedAt + DEADLINE_MS;
    const anytime = isKill || command.type === 'InitializeFleet';
    const submission: Submission = {
      fleet: command.fleet,
      isKill,
      key: headers.key,
      fingerprint: fingerprintOf(command, headers),
      origin: caller.origin,
      confirmed: anytime
        ? null
        : await within(deadline, this.status.latest(command.fleet), neverSent(headers.key)),
      deadline,
      decide: (stored, meanwhile, logId) => {
        if (headers.ifMatch !== undefined) {
          const tag = tagOf(logId, stored?.generation ?? 0);
          if (!tagMatches(headers.ifMatch, tag, true))
            throw movedOn(headers.ifMatch, tag, stored?.state ?? null);
        }
        return decide(
          { ...command, fleet: stored?.fleet ?? command.fleet },
          stored?.state ?? null,
          meanwhile,
        );
      },
    };
    try {
      return { outcome: await this.store.append(submission), headers, notices };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === 'unknown-fleet') throw await this.status.unknownFleet(command.fleet);
      if (error.code !== 'idempotency-key-reused' || !isKill) throw error;
      // A kill is taken all the same: under a key of its own.
      const key = uuid();
      notices.push(
        `The Idempotency-Key belongs to another command; this kill was taken under the key ${key}.`,
      );
      return {
        outcome: await this.store.append({ ...submission, key }),
        headers: { ...headers, key },
        notices,
      };
    }
  }

  private async answer(outcome: Outcome, notices: readonly string[]): Promise<Answer<CommandAnswerBody>> {
    const [accepted] = await this.reader.accepted(outcome.first, outcome.last);
    if (accepted === undefined) throw new Error(`The log has nothing at position ${outcome.first}.`);
    const { after } = accepted;
    const newest = outcome.type === 'replayed' ? await this.status.latest(after.fleet) : after;
    const said = outcome.type === 'unchanged' ? undefined : notice(accepted);
    const superseded = newest.generation > after.generation ? newest.generation : undefined;
    const text = sentences(said, ...notices, superseded && supersededBy(superseded, newest.state.enabled));
    const body = await this.status.withHistories(outcome.logId, after);
    return new Answer(text === undefined ? body : { ...body, notice: text }, {
      ETag: `"${tagOf(outcome.logId, after.generation)}"`,
      ...replayHeaders(outcome, superseded),
    });
  }

  private async answerAll(outcome: Outcome, notices: readonly string[]): Promise<Answer<FleetsAnswerBody>> {
    const all = await this.reader.accepted(outcome.first, outcome.last);
    let superseded: number | undefined;
    const fleets = [];
    for (const accepted of all) {
      const { after } = accepted;
      const newest = outcome.type === 'replayed' ? await this.status.latest(after.fleet) : after;
      const movedOn = newest.generation > after.generation ? newest.generation : undefined;
      superseded = movedOn === undefined ? superseded : Math.max(superseded ?? 0, movedOn);
      const text = sentences(
        notice(accepted),
        ...notices,
        movedOn && supersededBy(movedOn, newest.state.enabled),
      );
      fleets.push({ ...viewOf(outcome.logId, after), ...(text === undefined ? {} : { notice: text }) });
    }
    return new Answer({ fleets }, replayHeaders(outcome, superseded));
  }
}

function notice({ before, event, after, hindsight }: Accepted): string | undefined {
  return noticeOf(before, event, after.state, hindsight);
}

function sentences(...parts: readonly (string | number | undefined)[]): string | undefined {
  const said = parts.filter((part) => typeof part === 'string');
  return said.length > 0 ? said.join(' ') : undefined;
}

/** A replayed kill must not look like a fresh one. */
function supersededBy(generation: number, enabled: boolean): string {
  return (
    `This is the first answer again; the fleet has moved on to generation ${generation} since, ` +
    `and LoRA is ${enabled ? 'ENABLED' : 'DISABLED'} now.`
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

function movedOn(sent: string, tag: string, state: Refusal['state']): Refusal {
  return new Refusal('generation-mismatch', `If-Match names ${sent}; the fleet is at "${tag}".`, state);
}

const neverSent = (key: string) =>
  new LogUnavailable(
    'The log did not answer in time. Nothing was changed. Send the command again.',
    'none',
    key,
  );

const answerLost = (key: string) =>
  new LogUnavailable(
    'The log did not tell in time what became of the command. Send it again with the same Idempotency-Key.',
    'unknown',
    key,
  );

/** The promise's value, or the error when the time (`performance.now()`) has come or the log cannot be read. */
async function within<T>(deadline: number, promise: Promise<T>, late: LogUnavailable): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        reject(late);
      },
      Math.max(0, deadline - performance.now()),
    );
  });
  try {
    return await Promise.race([promise, timeout]);
  } catch (error) {
    throw error instanceof LogUnavailable ? late : error;
  } finally {
    clearTimeout(timer);
  }
}
