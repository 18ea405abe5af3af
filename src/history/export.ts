import { EXPORT_FORMAT } from '../audit/core/export-lines.js';
import type { HistoryReader } from '../event-store/history-reader.js';
import type { ExportedRow, LogHead, LogPart } from '../event-store/history-rows.js';
import type { EventBody } from '../lora/domain/events.js';
import { csvLine } from './csv.js';

export const EXPORT_FORMATS = ['ndjson', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

const ROWS_AT_ONCE = 1000;

/** The members of an event as columns of the CSV, in order. */
const COLUMNS = [
  ...['type', 'fleet', 'adapter_version', 'from_version', 'to_version', 'enabled', 'reason', 'reference'],
  ...['actor', 'auth', 'source', 'remote_address', 'request_id', 'idempotency_key', 'id', 'schema_version'],
] as const satisfies readonly (keyof EventBody)[];

/**
 * A part of the log as it stands now, in order, a piece of text at a time. The log only grows, so pages of it up to
 * one position are one consistent whole without a transaction that stays open.
 * @throws LogUnavailable in the middle when the database goes: the text then has no end line
 */
export async function* exported(
  reader: HistoryReader,
  head: LogHead,
  part: LogPart,
  format: ExportFormat,
): AsyncGenerator<string> {
  const form = format === 'csv' ? csv : ndjson;
  yield form.begin(head, part);
  const seen = { events: 0, rolls: 0, acknowledgements: 0 };
  for (let after = 0; ;) {
    const rows = await reader.exportRows(part, after, head.position, ROWS_AT_ONCE);
    const [first, last] = [rows[0], rows.at(-1)];
    if (first === undefined || last === undefined) break;
    seen.events += rows.length;
    yield rows.map(form.event).join('');
    if (format === 'ndjson' && rows.some(({ columns }) => columns.type === 'LoraDisabled')) {
      // In this order: a roll is written with the first acknowledgement, so none comes without its roll.
      const acknowledgements = await reader.exportAcknowledgements(part, first.position, last.position);
      const rolls = await reader.exportRolls(part, first.position, last.position);
      seen.rolls += rolls.length;
      seen.acknowledgements += acknowledgements.length;
      yield rolls.map((each) => line({ record: 'roll', ...each })).join('');
      yield acknowledgements.map((each) => line({ record: 'acknowledgement', ...each })).join('');
    }
    after = last.position;
    if (rows.length < ROWS_AT_ONCE) break;
  }
  yield form.end(seen);
}

interface Form {
  readonly begin: (head: LogHead, part: LogPart) => string;
  readonly event: (row: ExportedRow) => string;
  readonly end: (seen: Readonly<Record<string, number>>) => string;
}

const line = (record: object): string => `${JSON.stringify(record)}\n`;

/** The end line has the counts: a file without it has been cut. */
const ndjson: Form = {
  begin: ({ log_id, position, now, adoptions }, { fleets, ...part }) => {
    const limited = fleets === null || part.fleet !== null ? {} : { fleets };
    const about = { log_id, position, exported_at: now, ...part, ...limited, adoptions };
    return line({ record: 'log', format: EXPORT_FORMAT, ...about });
  },
  event: (row) => line({ record: 'event', ...row }),
  end: (seen) => line({ record: 'end', ...seen }),
};

const csv: Form = {
  begin: () => csvLine(['position', 'recorded_at', ...COLUMNS, 'leaf_hash']),
  event: ({ position, recorded_at, body, leaf_hash }) => {
    const event = JSON.parse(body) as EventBody;
    return csvLine([position, recorded_at, ...COLUMNS.map((column) => event[column]), leaf_hash]);
  },
  end: () => '',
};
