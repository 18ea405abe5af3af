import { Column, Entity, PrimaryColumn } from 'typeorm';

import type { EventBody, LoraEvent } from '../lora/domain/events.js';

/** A row of the log, for reading. Rows are made by the SQL function append_batch alone. */
@Entity('events')
export class EventEntity {
  @PrimaryColumn('bigint')
  position!: number;

  /** RFC 3339 UTC with microseconds; typed as text so that no Date cuts them off. */
  @Column('text', { name: 'recorded_at' })
  recordedAt!: string;

  @Column('bytea', { name: 'leaf_hash' })
  leafHash!: Buffer;

  /** The RFC 8785 text that is hashed: {@link EventBody}. */
  @Column('text')
  body!: string;

  @Column('text')
  type!: LoraEvent['type'];

  @Column('text')
  fleet!: string;

  @Column('text', { name: 'adapter_version', nullable: true })
  adapterVersion!: string | null;

  @Column('text')
  reason!: string;

  @Column('text', { nullable: true })
  reference!: string | null;

  @Column('text')
  actor!: string;
}

export function bodyOf({ body }: Pick<EventEntity, 'body'>): EventBody {
  return JSON.parse(body) as EventBody;
}
