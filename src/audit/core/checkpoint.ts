import { fromBase64, NoteError, openNote, type SignerKey, signNote, type VerifierKey } from './note.js';
import type { TreeHead } from './proof.js';

/** The log as it stood at one size, to be signed: https://c2sp.org/tlog-checkpoint. */
export interface Checkpoint extends TreeHead {
  /** Names this history of the log. */
  readonly logId: string;
  /** Of a log that was adopted after a restore: the last event that both have, under the name before. */
  readonly continues: Continuation | null;
}

export interface Continuation extends TreeHead {
  readonly logId: string;
}

/** The name of the key that signs; the origin of a checkpoint is this name, `/` and the log_id. */
export const KEY_NAME = 'lora-control-plane';

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
export const LOG_ID = new RegExp(`^${UUID}$`);
const TREE = '(0|[1-9][0-9]{0,15})[\\n ]([A-Za-z0-9+/]{43}=)';
const FORM = new RegExp(`^(.+)/(${UUID})\\n${TREE}\\n(?:continues (${UUID}) ${TREE}\\n)?((?:.+\\n)*)$`);

/** @returns a signed note */
export function signCheckpoint({ logId, size, root, continues }: Checkpoint, key: SignerKey): string {
  const lines = [`${key.verifier.name}/${logId}`, String(size), root.toString('base64')];
  if (continues !== null)
    lines.push(`continues ${continues.logId} ${continues.size} ${continues.root.toString('base64')}`);
  return signNote(lines.map((line) => `${line}\n`).join(''), key);
}

/**
 * The checkpoint in a note, signed with one of the keys, whose name its origin begins with. Further extension lines
 * are passed over.
 * @throws NoteError
 */
export function openCheckpoint(note: string, keys: readonly VerifierKey[]): Checkpoint {
  const text = openNote(note, keys);
  const [, name, logId = '', size, root, oldLogId, oldSize, oldRoot] = FORM.exec(text) ?? [];
  const tree = treeOf(size, root);
  if (tree === undefined || !keys.some((key) => key.name === name))
    throw new NoteError('malformed', 'The note is not a checkpoint of a log.');
  const old = treeOf(oldSize, oldRoot);
  return {
    logId,
    ...tree,
    continues: oldLogId === undefined || old === undefined ? null : { logId: oldLogId, ...old },
  };
}

function treeOf(size: string | undefined, root: string | undefined): TreeHead | undefined {
  const bytes = fromBase64(root ?? '');
  return bytes?.length === 32 ? { size: Number(size), root: bytes } : undefined;
}
