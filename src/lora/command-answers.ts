import { Injectable } from '@nestjs/common';

import { type Receipt, receiptText } from '../audit/core/receipt.js';
import type { Accepted } from '../event-store/answer-reader.js';
import { EventStore } from '../event-store/event-store.js';
import type { FleetSnapshot } from '../event-store/log-memory.js';
import type { Appended, Outcome } from '../event-store/submission.js';
import { Answer, jsonHeaders } from '../http/answer.js';
import { type Identity, mayReach, scopeOf } from '../http/identity.js';
import { within } from './deadline.js';
import { LogUnavailable } from './domain/errors.js';
import type { Histories } from './domain/histories.js';
import { noticeOf } from './domain/notice.js';
import { type StoredState, tagOf, viewOf } from './domain/view.js';
import type { FleetAnswerBody, FleetsAnswerBody } from './lora.dto.js';
import { stateText } from './state-text.js';

/** A command that the log has taken, on its way to an answer. */
export interface Taken {
  readonly outcome: Outcome;
  readonly key: string;
  readonly deadline: number;
  readonly notices: readonly string[];
}

type Accepting = Exclude<Outcome, { type: 'unchanged' }>;

interface Known extends Accepted {
  /** Whether the answer must do without what only the log could tell. */
  readonly pastUnread?: boolean;
}

/** Tells a caller what became of a command that the log has taken. */
@Injectable()
export class CommandAnswers {
  constructor(private readonly store: EventStore) {}

  /** The answer to a command of one fleet: its state with its histories. */
  async one(
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
      await this.confirmReplay(outcome);
      const histories = await unlessUnreadable(this.histories(accepted), outcome);
      const known = { ...accepted, pastUnread: accepted.pastUnread ?? histories === undefined };
      const { notice, supersededBy } = this.said(known, outcome, notices);
      const receipt = receiptOf(outcome, accepted);
      const members = { ...more(accepted), receipt, ...(notice === undefined ? {} : { notice }) };
      return new Answer(stateText(outcome.logId, accepted.after, histories, members), {
        ...jsonHeaders,
        ETag: `"${tagOf(outcome.logId, accepted.after.generation)}"`,
        ...receiptHeader([receipt]),
        ...replayHeaders(outcome, supersededBy),
      });
    };
    return within(deadline, compose(), answerLost(key));
  }

  /** The answer to a command of all fleets. The states come without their histories: with many fleets they would make the answer megabytes long. */
  async all(
    { outcome, key, deadline, notices }: Taken,
    identity: Identity,
  ): Promise<Answer<FleetsAnswerBody>> {
    if (outcome.type === 'unchanged') throw new Error('A command of all fleets makes none.');
    const compose = async (): Promise<Answer<FleetsAnswerBody>> => {
      const fleets: FleetAnswerBody[] = [];
      let newest: number | undefined;
      const all = await this.accepted(outcome);
      await this.confirmReplay(outcome);
      for (const accepted of all) {
        const { notice, supersededBy } = this.said(accepted, outcome, notices);
        if (supersededBy !== undefined) newest = Math.max(newest ?? 0, supersededBy);
        fleets.push({
          ...viewOf(outcome.logId, accepted.after),
          receipt: receiptOf(outcome, accepted),
          ...(notice === undefined ? {} : { notice }),
        });
      }
      const notice = outcome.type === 'replayed' ? this.missed(fleets, identity) : {};
      const headers = receiptHeader(fleets.map(({ receipt }) => receipt));
      const body = { fleets, ...notice, ...scopeOf(identity) };
      return new Answer(body, { ...headers, ...replayHeaders(outcome, newest) });
    };
    return within(deadline, compose(), answerLost(key));
  }

  /** The fleets that the first answer could not name: whoever kills all of them again shall not think them dead. */
  private missed(told: readonly FleetAnswerBody[], identity: Identity): { notice?: string } {
    const known = new Set(told.map(({ fleet }) => fleet));
    const since = this.store.memory.names().filter((name) => !known.has(name) && mayReach(identity, name));
    return since.length === 0 ? {} : { notice: madeSince(since) };
  }

  /** What was accepted: as this replica has just seen it, or else from the log. */
  private async accepted(outcome: Accepting): Promise<readonly Known[]> {
    const own = outcome.type === 'appended' ? outcome.appended : undefined;
    const seen = own?.map(withHindsight);
    if (seen?.every((each) => each !== undefined)) return seen;
    const { first, last } = outcome;
    const read = await unlessUnreadable(this.store.answers.accepted(first, last), outcome);
    return read ?? own?.map(withoutHindsight) ?? [];
  }

  /** The answer to a replay says whether the fleets have moved on since: one confirmation tells it of all. */
  private async confirmReplay({ type }: Accepting): Promise<void> {
    if (type === 'replayed') await this.store.readIndex.confirm();
  }

  private said(
    { before, event, after, hindsight, pastUnread }: Known,
    outcome: Accepting,
    notices: readonly string[],
  ): { notice: string | undefined; supersededBy: number | undefined } {
    const unread = pastUnread ? [PAST_UNREAD] : [];
    const sentences = [noticeOf(before, event, after.state, hindsight), ...notices, ...unread];
    let supersededBy: number | undefined;
    if (outcome.type === 'replayed') {
      const now = this.store.memory.get(after.fleet);
      if (now !== null && now.generation > after.generation) {
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

/** What the notice needs, where memory has it; undefined where only the log can tell. */
function withHindsight({ event, leaf, before, after }: Appended): Accepted | undefined {
  const again = event.type === 'LoraDisabled' && before !== null && !before.enabled;
  const asksThePast =
    event.adapter_version !== null && (event.type === 'LoraEnabled' || event.type === 'LoraRolledBack');
  if (asksThePast || (again && after.disabledSince === undefined)) return undefined;
  const disabledSince = again ? (after.disabledSince ?? null) : null;
  const hindsight = { now: after.recordedAt, disabledSince, wasEverActive: true };
  return { event, leaf, before, after, hindsight };
}

/** Without what only the log could tell: a notice less. */
function withoutHindsight({ event, leaf, before, after }: Appended): Known {
  const hindsight = {
    now: after.recordedAt,
    disabledSince: after.disabledSince ?? null,
    wasEverActive: true,
  };
  return { event, leaf, before, after, hindsight, pastUnread: true };
}

const PAST_UNREAD = 'What rests on the past is left out of this answer: it cannot be read now.';
/** So long a command that is known to have taken effect waits for what its answer says beside that. */
const EXTRAS_MS = 500;

/** Undefined where a command of this replica's own has taken effect and the rest of its answer cannot be read. */
async function unlessUnreadable<T>(reading: Promise<T>, outcome: Accepting): Promise<T | undefined> {
  if (outcome.type !== 'appended' || outcome.appended === undefined) return reading;
  try {
    return await within(
      performance.now() + EXTRAS_MS,
      reading,
      () => new LogUnavailable('It takes too long.'),
    );
  } catch (error) {
    if (error instanceof LogUnavailable) return undefined;
    throw error;
  }
}

/** A replayed kill must not look like a fresh one. */
function movedOn({ generation, state }: StoredState): string {
  return (
    `This is the first answer again; the fleet has moved on to generation ${generation} since, ` +
    `and LoRA is ${state.enabled ? 'ENABLED' : 'DISABLED'} now.`
  );
}

const NAMED_MAX = 20;

function madeSince(names: readonly string[]): string {
  const named = names.slice(0, NAMED_MAX).join(', ') + (names.length > NAMED_MAX ? ', …' : '');
  return (
    `This is the first answer again: fleets made since are NOT killed by it (${names.length}: ${named}). ` +
    'To kill them too, send the kill again without this Idempotency-Key.'
  );
}

function receiptOf({ logId }: Accepting, { leaf, after }: Accepted): Receipt {
  return { position: after.generation, leaf, log_id: logId };
}

/** Proxies and clients give up on an answer whose headers are longer than a few kilobytes. */
const HEADER_RECEIPTS_MAX = 16;

function receiptHeader(receipts: readonly Receipt[]): Record<string, string> {
  if (receipts.length > HEADER_RECEIPTS_MAX) return {};
  return { 'Lora-Receipt': receipts.map(receiptText).join(', ') };
}

function replayHeaders(outcome: Outcome, superseded: number | undefined): Record<string, string> {
  return {
    ...(outcome.type === 'replayed' ? { 'Idempotency-Replayed': 'true' } : {}),
    ...(superseded === undefined ? {} : { 'Lora-Superseded-By': String(superseded) }),
  };
}

const answerLost = (key: string) => () =>
  new LogUnavailable(
    'The log did not tell in time what became of the command. Send it again with the same Idempotency-Key.',
    'unknown',
    key,
  );
