import { ApiProperty } from '@nestjs/swagger';

export class LiveBody {
  @ApiProperty({ enum: ['live'] }) status!: 'live';
}

export class ReadyBody {
  @ApiProperty({ enum: ['ready', 'not-ready'] }) status!: 'ready' | 'not-ready';
}

export class ComponentsBody {
  @ApiProperty({ enum: ['up', 'down'], description: 'Whether the log could take a command now.' })
  log!: 'up' | 'down';
}

export class HealthBody {
  @ApiProperty({ enum: ['ok', 'degraded'] }) status!: 'ok' | 'degraded';
  @ApiProperty({ type: String }) version!: string;
  @ApiProperty({ type: ComponentsBody }) components!: ComponentsBody;
  @ApiProperty({
    type: Boolean,
    nullable: true,
    description:
      'Whether LORA_ENABLED or ACTIVE_LORA_ADAPTER say something else than the log, which wins; null: unknown.',
  })
  flags_differ!: boolean | null;
}
