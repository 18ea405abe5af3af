import { ApiProperty } from '@nestjs/swagger';

import { AUDIT_STATES, type AuditState } from '../audit/audit-watch.js';

export class LiveBody {
  @ApiProperty({ enum: ['live'] }) status!: 'live';
}

export class ReadyBody {
  @ApiProperty({ enum: ['ready', 'not-ready'] }) status!: 'ready' | 'not-ready';
}

export class ComponentsBody {
  @ApiProperty({
    enum: ['up', 'down', 'went-backwards'],
    description:
      'Whether the log could take a command now; `went-backwards`: only disables, until it is adopted.',
  })
  log!: 'up' | 'down' | 'went-backwards';

  @ApiProperty({
    enum: ['listening', 'polling'],
    description: 'How this replica hears of events; polling is slower, and right all the same.',
  })
  feed!: 'listening' | 'polling';

  @ApiProperty({
    enum: ['ok', 'behind-the-log'],
    description: 'Whether the newest event is ahead of this clock by more than 1 s.',
  })
  clock!: 'ok' | 'behind-the-log';

  @ApiProperty({
    enum: ['open', 'required', 'file-broken', 'issuer-away'],
    description:
      'Whether callers are asked who they are; `file-broken`: ACCESS_FILE cannot be used, and the last good one counts; `issuer-away`: OIDC_ISSUER does not answer, and its last keys count.',
  })
  access!: 'open' | 'required' | 'file-broken' | 'issuer-away';

  @ApiProperty({
    enum: AUDIT_STATES,
    description:
      'Whether the past of the log is checked and signed; `off`: there is no key; `slow`: a check takes longer than AUDIT_CHECKPOINT_SECONDS; `failing`: it cannot be checked now; `contradicted`: it is not what it was.',
  })
  audit!: AuditState;
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
