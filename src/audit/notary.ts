import { Injectable, Logger } from '@nestjs/common';

import { auditContradicted, checkpointPosition } from './audit-metrics.js';
import { AuditStore, type KeptCheckpoint, type SignedHead } from './audit.store.js';
import { type CheckpointFile, CheckpointFiles } from './checkpoint-files.js';
import { Contradiction } from './contradiction.js';
import { type Checkpoint, openCheckpoint, signCheckpoint } from './core/checkpoint.js';
import { NoteError, readVerifierKey, type SignerKey, type VerifierKey } from './core/note.js';
import { LogTree, type Rest } from './log-tree.js';

/** What is known of a log under one name. */
interface Watched {
  readonly tree: LogTree;
  /** The newest checkpoint that this replica has seen, after the log was found to agree with it. */
  known?: KeptCheckpoint;
  contradiction?: Contradiction;
}

/** Signs what the log is, once it is sure that the log still is what it was. */
@Injectable()
export class Notary {
  private readonly logger = new Logger('Audit');
  /** The log of the last pass. */
  private log: Watched | undefined;
  /** Warnings that were given, once each. */
  private readonly said = new Set<string>();

  constructor(
    private readonly store: AuditStore,
    private readonly files: CheckpointFiles,
  ) {}

  /** Why nothing is signed, until the log is adopted under another name. */
  get contradiction(): Contradiction | undefined {
    return this.log?.contradiction;
  }

  /**
   * The newest checkpoint of a log that a pass has found good: what it covers has been read here, so that a proof needs
   * no more than a few rows.
   */
  known(logId: string): KeptCheckpoint | undefined {
    return this.log?.tree.logId === logId ? this.log.known : undefined;
  }

  /**
   * Hashes the whole log, compares it with what was signed and seen before, and signs it where there is something new.
   * @returns the newest checkpoint; null while there is nothing to sign
   * @throws Contradiction; nothing was signed
   */
  async pass(key: SignerKey, rest: Rest): Promise<KeptCheckpoint | null> {
    // What was signed is read before the log is: whatever is signed meanwhile may be of a longer one.
    const files = await this.files.largest();
    const head = await this.store.head();
    const log = this.enter(head.log_id);
    return this.watching(log, () => this.check(log, head, files, key, rest));
  }

  /**
   * Reads a log up to what is {@link known} of it; a contradiction that is found stays.
   * @throws Contradiction, also one that was found before or meanwhile: nothing that is read of such a log is good
   */
  async reading<T>(logId: string, work: (tree: LogTree) => Promise<T>): Promise<T> {
    const { log } = this;
    if (log?.tree.logId !== logId) throw new Error(`The log ${logId} is not the one that was read.`);
    return this.watching(log, () => work(log.tree));
  }

  /** What was found out about a log of another name is over. */
  private enter(logId: string): Watched {
    if (this.log?.tree.logId === logId) return this.log;
    if (this.contradiction) this.logger.warn(`The log has been adopted as ${logId}: it is signed again.`);
    auditContradicted.set(0);
    return (this.log = { tree: new LogTree(logId, this.store) });
  }

  private async watching<T>(log: Watched, work: () => Promise<T>): Promise<T> {
    try {
      mustStand(log);
      const done = await work();
      mustStand(log);
      return done;
    } catch (error) {
      if (error instanceof Contradiction && !log.contradiction) this.contradict(log, error);
      throw error;
    }
  }

  private contradict(log: Watched, contradiction: Contradiction): void {
    log.contradiction = contradiction;
    // Of a log that has another name by now nobody asks any more.
    if (log !== this.log) return;
    auditContradicted.set(1);
    this.logger.error(
      `THE PAST OF THE LOG HAS CHANGED: ${contradiction.message} Nothing is signed until an operator runs npm run log:adopt.`,
    );
  }

  private async check(
    log: Watched,
    head: SignedHead,
    files: ReadonlyMap<string, readonly CheckpointFile[]>,
    key: SignerKey,
    rest: Rest,
  ): Promise<KeptCheckpoint | null> {
    const { tree, known: before } = log;
    if (head.last !== head.position)
      throw new Contradiction(
        `The head of the log is at ${head.position}, and its last event at ${head.last}.`,
      );
    if (head.first !== Math.min(1, head.last))
      throw new Contradiction(`The log begins with an event at position ${head.first}.`);
    if (head.position < tree.size)
      throw new Contradiction(`The log has ${head.position} events, and it has had ${tree.size}.`);
    await tree.readAll(head.position, rest);
    if (before) await mustAgree(tree, head, opened(before, key), 'the checkpoint that this replica knows');
    if (head.newest && head.newest.key !== key.verifier.text)
      this.warn(`The newest checkpoint was signed by ${head.newest.key}, not by the key of this replica.`);
    if (head.newest)
      await mustAgree(tree, head, opened(head.newest, key), 'the newest checkpoint of the table');
    const filed = await this.newestFile(files.get(head.log_id) ?? [], head, key);
    if (filed) await mustAgree(tree, head, filed, `the checkpoint file of size ${filed.size}`);

    const isNew = head.position > (head.newest?.size ?? 0);
    // A proof that was read meanwhile may have found one.
    mustStand(log);
    const kept = isNew ? await this.sign(head, tree, key) : head.newest;
    if (kept === null) return null;
    log.known = kept;
    checkpointPosition.set(kept.size);
    await this.files.put(kept);
    return kept;
  }

  private async sign(head: SignedHead, tree: LogTree, key: SignerKey): Promise<KeptCheckpoint | null> {
    const { log_id: logId, position: size, adoption } = head;
    const root = await tree.root([0, size]);
    const continues = adoption && {
      logId: adoption.previous_log_id,
      size: adoption.position,
      root: await tree.root([0, adoption.position]),
    };
    const note = signCheckpoint({ logId, size, root, continues }, key);
    const isOurs = await this.store.keep(logId, size, root, note, key.verifier.text);
    const kept = await this.store.at(logId, size);
    // None: the log has got another name meanwhile.
    if (kept === null) return null;
    if (isOurs) this.logger.log(`Checkpoint of ${size} events: ${JSON.stringify(note)}`);
    else await mustAgree(tree, head, opened(kept, key), 'the checkpoint of another replica');
    return kept;
  }

  /** The largest file of the log that can be checked. */
  private async newestFile(
    files: readonly CheckpointFile[],
    head: SignedHead,
    key: SignerKey,
  ): Promise<Checkpoint | undefined> {
    const keys = [key.verifier, ...(head.newest ? [readVerifierKey(head.newest.key)] : [])];
    for (const file of files) {
      try {
        const checkpoint = openCheckpoint(await this.files.read(file), keys);
        if (checkpoint.logId === file.logId && checkpoint.size === file.size) return checkpoint;
        this.warn(`${passedOver(file)} it is of another log or size than its name.`);
      } catch (error) {
        if (!(error instanceof NoteError)) throw error;
        this.warn(`${passedOver(file)} ${error.message}`);
      }
    }
    return undefined;
  }

  private warn(line: string): void {
    if (this.said.has(line)) return;
    this.said.add(line);
    this.logger.warn(line);
  }
}

const passedOver = ({ name }: CheckpointFile): string => `The checkpoint file ${name} is passed over:`;

/** What a kept checkpoint says, not what the columns beside it say. */
function opened({ log_id, size, note, key }: KeptCheckpoint, own: SignerKey): Checkpoint {
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = openCheckpoint(note, keysFor(key, own));
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
  }
  if (checkpoint?.logId !== log_id || checkpoint.size !== size)
    throw new Contradiction(`The checkpoint of size ${size} in the table is not as it was signed.`);
  return checkpoint;
}

/** A key that was exchanged is named beside the checkpoints that it has signed. */
function keysFor(text: string, own: SignerKey): VerifierKey[] {
  return text === own.verifier.text ? [own.verifier] : [readVerifierKey(text)];
}

function mustStand({ contradiction }: Watched): void {
  if (contradiction) throw contradiction;
}

async function mustAgree(
  tree: LogTree,
  { adoption }: SignedHead,
  { size, root, continues }: Checkpoint,
  what: string,
): Promise<void> {
  if (size > tree.size)
    throw new Contradiction(`The log has ${tree.size} events, and ${what} is of ${size}.`);
  if (!(await tree.root([0, size])).equals(root))
    throw new Contradiction(`The first ${size} events are not those of ${what}.`);
  if (continues?.logId !== adoption?.previous_log_id || continues?.size !== adoption?.position)
    throw new Contradiction(`Which log this one continues, and from where, is not what ${what} says.`);
}
