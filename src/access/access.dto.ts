import { ApiProperty } from '@nestjs/swagger';

import { NumberCursor, OptionalTime, PageSize } from '../http/validation.js';
import type { AccessChange, RecordedOidc, RecordedToken } from './access.store.js';
import { type Operation, OPERATIONS, type Role, ROLES } from './roles.js';

export class AccessQuery {
  @OptionalTime('Who could do what at this time, instead of the changes.')
  at?: string;

  @PageSize()
  limit?: string;

  @NumberCursor()
  cursor?: string;
}

const Access = (): PropertyDecorator =>
  ApiProperty({ enum: ['open', 'required'], description: '`open`: nobody was asked who calls.' });

export class RecordedTokenBody implements RecordedToken {
  @ApiProperty({ type: String, description: 'Its actor is `token:` and this name.' }) name!: string;
  @ApiProperty({ enum: ROLES }) role!: Role;
  @ApiProperty({ type: [String], description: '`*`: all.' }) fleets!: string[];
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) expires_at!: string | null;
  @ApiProperty({
    type: String,
    description: "The first digits of the token's SHA-256: whether its secret changed.",
  })
  secret!: string;
}

export class RecordedOidcBody implements RecordedOidc {
  @ApiProperty({ type: String }) issuer!: string;
  @ApiProperty({ type: String }) audience!: string;
  @ApiProperty({ type: String, description: 'The claim that has the roles.' }) roles_claim!: string;
  @ApiProperty({ type: String, nullable: true, description: 'The claim that has the fleets; null: all.' })
  fleets_claim!: string | null;
}

const Oidc = (): PropertyDecorator =>
  ApiProperty({
    type: RecordedOidcBody,
    nullable: true,
    description:
      'Whose tokens were taken beside those of the file: who has which role stands with that issuer.',
  });

export class AccessChangeBody implements AccessChange {
  @ApiProperty({ type: String }) id!: string;
  @ApiProperty({ type: String, format: 'date-time', description: "By the database's clock." })
  changed_at!: string;
  @ApiProperty({ type: String, description: 'Which saw it first.' }) replica!: string;
  @ApiProperty({ type: String, nullable: true, description: 'Of the access file.' })
  file_sha256!: string | null;
  @Access() access!: 'open' | 'required';
  @Oidc() oidc!: RecordedOidcBody | null;
  @ApiProperty({ type: [RecordedTokenBody] }) came!: RecordedTokenBody[];
  @ApiProperty({ type: [RecordedTokenBody] }) went!: RecordedTokenBody[];
}

export class AccessChangesBody {
  @ApiProperty({ type: [AccessChangeBody], description: 'Newest first.' }) changes!: AccessChangeBody[];
  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}

export class TokenAtBody extends RecordedTokenBody {
  @ApiProperty({ enum: OPERATIONS, isArray: true, description: 'What its role may do.' })
  operations!: Operation[];
}

export class AccessAtBody {
  @Access() access!: 'open' | 'required';
  @Oidc() oidc!: RecordedOidcBody | null;
  @ApiProperty({ type: String, format: 'date-time' }) since!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'Null: still so.' })
  until!: string | null;
  @ApiProperty({ type: [TokenAtBody], description: 'Those that had not expired.' }) tokens!: TokenAtBody[];
}
