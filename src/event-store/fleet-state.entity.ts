import { Column, Entity, PrimaryColumn } from 'typeorm';

import type { FleetState } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';

/** A row of the projection, for reading. */
@Entity('fleet_states')
export class FleetStateEntity implements StoredState {
  @PrimaryColumn('text')
  fleet!: string;

  @PrimaryColumn('bigint')
  generation!: number;

  @Column('text', { name: 'recorded_at' })
  recordedAt!: string;

  @Column('jsonb')
  state!: FleetState;
}
