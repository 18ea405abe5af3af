import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import { LogConnection } from '../event-store/log-connection.js';
import { ask } from '../event-store/unavailable.js';

/** Events whose root of the tree is computed in the database; a power of two. */
export const BLOCK = 1024;
export const LEVELS = Math.log2(BLOCK);

const STATEMENT_TIMEOUT_MS = 5000;
const HOPELESS_MS = 6000;

/** A checkpoint as it is kept. */
export interface KeptCheckpoint {
  readonly log_id: string;
  readonly size: number;
  readonly root: string;
  readonly key: string;
  readonly note: string;
  readonly taken_at: string;
  readonly id: number;
}

/** The log and the newest checkpoint of it, as of one moment. */
export interface SignedHead {
  readonly log_id: string;
  /** Of the head. */
  readonly position: number;
  /** Of the first event and the last one; 0 where there is none. */
  readonly first: number;
  readonly last: number;
  readonly newest: KeptCheckpoint | null;
  readonly adoption: { readonly previous_log_id: string; readonly position: number } | null;
}

/** What was found where a block of events should be. */
export interface BlockRead {
  /** From 0. */
  readonly block: number;
  readonly events: number;
  /** The first that is not as its hash or its body says. */
  readonly wrong: number | null;
  /** Of the tree over the block, by hashes computed from the rows. */
  readonly root: string;
}

export interface LeavesRead {
  readonly leaves: readonly string[];
  readonly wrong: number | null;
}

/**
 * The SQL of the room, over a connection of its own. Every call that fails for the database's sake throws
 * LogUnavailable.
 */
@Injectable()
export class AuditStore implements BeforeApplicationShutdown {
  private readonly connection = new LogConnection(
    () => this.database.serviceUrl,
    { name: 'audit', statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    // Compiling the statement would take longer than running it.
    async (client) => {
      await client.query('set jit = off');
    },
  );

  constructor(@Inject(Database) private readonly database: Pick<Database, 'serviceUrl'>) {}

  head(): Promise<SignedHead> {
    return this.one<SignedHead>(HEAD);
  }

  /** Hashes whole blocks of events, from one up to, without, another. Blocks without any event are left out. */
  blocks(from: number, to: number): Promise<readonly BlockRead[]> {
    return this.one<BlockRead[]>(BLOCKS, [from * BLOCK, to * BLOCK]);
  }

  /** Hashes the events after one position and up to another. */
  leaves(after: number, upTo: number): Promise<LeavesRead> {
    return this.one<LeavesRead>(LEAVES, [after, upTo]);
  }

  /** @returns whether it was kept: not when there is one of that size, or the log has another name by now */
  keep(logId: string, size: number, root: Buffer, note: string, key: string): Promise<boolean> {
    return this.one<boolean>(KEEP, [logId, size, root, note, key]);
  }

  at(logId: string, size: number): Promise<KeptCheckpoint | null> {
    return this.one<KeptCheckpoint | null>(AT, [logId, size]);
  }

  /** Of all logs, newest first, before one of them. */
  page(before: number | null, limit: number): Promise<KeptCheckpoint[]> {
    return this.one<KeptCheckpoint[]>(PAGE, [before, limit]);
  }

  /** The verifier keys of those who have signed, the last one first. */
  keys(): Promise<string[]> {
    return this.one<string[]>(KEYS);
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.connection.close();
  }

  private one<T>(sql: string, parameters: unknown[] = []): Promise<T> {
    return ask(
      () => this.connection.queryWithin<T>(HOPELESS_MS, sql, parameters),
      'The log cannot be checked now.',
    );
  }
}

const CHECKPOINT = `jsonb_build_object('log_id', c.log_id, 'size', c.size, 'root', encode(c.root, 'hex'), 'key', c.key,
  'note', c.note, 'taken_at', rfc3339(c.taken_at), 'id', c.id)`;

const HEAD = `
  select jsonb_build_object('log_id', h.log_id, 'position', h.position,
    'first', (select coalesce(min(position), 0) from events), 'last', (select coalesce(max(position), 0) from events),
    'newest', (select ${CHECKPOINT} from checkpoints c where c.log_id = h.log_id order by c.size desc limit 1),
    'adoption', (select jsonb_build_object('previous_log_id', a.previous_log_id, 'position', a.position)
      from log_adoptions a where a.log_id = h.log_id)) as answer
  from log_head h
`;

/** The columns that copy members of the body. */
const COPIES = 'id type fleet adapter_version from_version to_version enabled reason reference actor'.split(
  ' ',
);

/**
 * The events after $1 and up to $2: their leaves computed from the rows, and whether all else in a row says the same.
 * The body is RFC 8785 without nesting, in whose texts a quotation mark is escaped: a member found in it is that member.
 * What is missing, or cannot be hashed, makes `sound` null, which is not sound either.
 */
const HASHED = `
  select position, leaf, leaf = leaf_hash
    and ${COPIES.map((name) => `strpos(body, '"${name}":' || coalesce(to_json(${name})::text, 'null')) > 0`).join(' and ')} as sound
  from (
    select *, sha256('\\x00'::bytea || int8send(position)
      || int8send(case when isfinite(recorded_at) then (extract(epoch from recorded_at) * 1000000)::bigint end)
      || sha256(convert_to(body, 'UTF8'))) as leaf
    from events where position > $1 and position <= $2 offset 0
  ) e
`;

const LEAVES = `
  select jsonb_build_object('leaves', coalesce(jsonb_agg(encode(leaf, 'hex') order by position), '[]'),
    'wrong', min(position) filter (where sound is not true)) as answer
  from (${HASHED}) h
`;

/** One level of the tree above hashes that stand one after the other; RFC 6962, section 2.1. */
const levelAbove = (below: string, level: number): string => `
  select block, events, wrong, (
    select string_agg(sha256('\\x01'::bytea || substr(hashes, i * 64 + 1, 64)), ''::bytea order by i)
    from generate_series(0, ${BLOCK / 2 ** (level + 1) - 1}) i
  ) as hashes from (${below} offset 0) l
`;

const BLOCKS = `
  select coalesce(jsonb_agg(jsonb_build_object('block', block, 'events', events, 'wrong', wrong,
    'root', encode(hashes, 'hex')) order by block), '[]') as answer
  from (${Array.from({ length: LEVELS }, (_, level) => level).reduce(
    levelAbove,
    `select (position - 1) / ${BLOCK} as block, count(*) as events, min(position) filter (where sound is not true) as wrong,
       string_agg(leaf, ''::bytea order by position) as hashes
     from (${HASHED}) h group by 1`,
  )}) b
`;

const KEEP = 'select keep_checkpoint($1, $2, $3, $4, $5) as answer';

const AT = `
  select (select ${CHECKPOINT} from checkpoints c where c.log_id = $1 and c.size = $2) as answer
`;

const PAGE = `
  select coalesce(jsonb_agg(${CHECKPOINT} order by c.id desc), '[]') as answer
  from (select * from checkpoints where $1::bigint is null or id < $1 order by id desc limit $2) c
`;

const KEYS = `
  select coalesce(jsonb_agg(key order by last desc), '[]') as answer
  from (select key, max(id) as last from checkpoints group by key) k
`;
