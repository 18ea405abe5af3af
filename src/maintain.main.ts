import pg from 'pg';

import { keyOf } from './audit/signing-key.js';
import { readSettings, type Settings, SettingsError } from './config/settings.js';
import { joinEmbeddedServer } from './database/embedded-server.js';
import { reasonOf } from './database/prepare-database.js';
import { adoptLog } from './event-store/adopt.js';
import { type Comparison, type ProjectionOptions, verifyProjection } from './event-store/projection.js';
import { rebuildProjection } from './event-store/projection-rebuild.js';

/** Ends of the process: what scripts go by. */
const EQUAL = 0;
const DIFFERENT = 1;
const NOT_DONE = 2;

const count = (n: number, noun: string): string => `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
const rowsOf = ({ events, fleets }: Comparison): string =>
  `${count(events, 'state')} of ${count(fleets, 'fleet')}`;

async function verify(owner: pg.Client, options: ProjectionOptions): Promise<number> {
  const comparison = await verifyProjection(owner, options);
  const { differences, examples } = comparison;
  for (const example of examples) print(example);
  if (differences > examples.length) print(`… and ${differences - examples.length} more.`);
  print(
    differences === 0
      ? `Equal: fleet_states says what the log says, ${rowsOf(comparison)}.`
      : `${count(differences, 'difference')} in ${rowsOf(comparison)}; npm run projection:rebuild mends them.`,
  );
  return differences === 0 ? EQUAL : DIFFERENT;
}

async function rebuild(owner: pg.Client, options: ProjectionOptions): Promise<number> {
  const comparison = await rebuildProjection(owner, options);
  print(`Rebuilt ${rowsOf(comparison)}; ${comparison.differences.toLocaleString('en')} had been different.`);
  return EQUAL;
}

async function adopt(owner: pg.Client, { signal }: ProjectionOptions): Promise<number> {
  const { previousLogId, logId, position } = await adoptLog(owner, after(), signal);
  print(`The log is ${logId} from here on; it continues ${previousLogId} after position ${position}.`);
  return EQUAL;
}

/** The position that the backup ended at. A word and no option: npm takes those for its own. */
function after(): number | undefined {
  const words = process.argv.slice(3);
  if (words.length > 1 || !words.every((word) => /^[1-9]\d{0,14}$/.test(word)))
    throw new Error(
      'Say the position of the last event that the backup had, or nothing: npm run log:adopt 1042.',
    );
  return words[0] === undefined ? undefined : Number(words[0]);
}

/** Asks no database: the key is there before the service is. */
async function makeKey({ auditSigningKeyFile: file }: Settings): Promise<number> {
  if (file === undefined) throw new Error('AUDIT_SIGNING_KEY_FILE does not say where it shall be.');
  const { verifier } = await keyOf(file);
  print(`${file} signs checkpoints. What it signs is checked by ${verifier.text}`);
  return EQUAL;
}

/** Runs the task as the owner of the log, on the server that the service would use. */
async function asOwner(settings: Settings, task: typeof verify, options: ProjectionOptions): Promise<number> {
  const given = settings.databaseOwnerUrl ?? settings.databaseUrl;
  const embedded = given === undefined ? await joinEmbeddedServer(settings.dataDir, say) : undefined;
  try {
    const owner = new pg.Client({
      connectionString: given ?? embedded?.ownerUrl,
      application_name: 'lora-control-plane maintenance',
      connectionTimeoutMillis: 5000,
    });
    owner.on('error', () => undefined);
    await owner.connect();
    try {
      return await task(owner, options);
    } finally {
      await owner.end().catch(() => undefined);
    }
  } finally {
    await embedded?.leave();
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

const interruption = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    interruption.abort(new Error(`${signal}: stopped, nothing was changed.`));
  });
}

const name = process.argv[2] ?? '';
const task = new Map([
  ['verify', verify],
  ['rebuild', rebuild],
  ['adopt', adopt],
]).get(name);
try {
  if (task === undefined && name !== 'key')
    throw new Error('Say what to do: npm run projection:verify, projection:rebuild, log:adopt or audit:key.');
  const settings = readSettings(process.env);
  process.exitCode = await (task === undefined
    ? makeKey(settings)
    : asOwner(settings, task, { say, signal: interruption.signal }));
} catch (error) {
  const reasons = error instanceof SettingsError ? error.problems : [whyNot(error)];
  for (const reason of reasons) say(`Cannot ${name || 'start'}: ${reason}`);
  process.exitCode = NOT_DONE;
}

/** What aborts a wait wraps the reason. */
function whyNot(error: unknown): string {
  return interruption.signal.aborted ? (interruption.signal.reason as Error).message : reasonOf(error);
}
