import { Controller, Get } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';

import { ApiProblems } from '../http/openapi.js';
import { pageOf } from '../http/page.js';
import { StrictQuery } from '../http/params.js';
import { Problem } from '../http/problem.js';
import { AccessAtBody, AccessChangesBody, AccessQuery } from './access.dto.js';
import { AccessStore } from './access.store.js';
import { operationsOf } from './roles.js';

@ApiTags('audit')
@Controller('audit/access')
export class AccessController {
  constructor(private readonly store: AccessStore) {}

  @Get()
  @ApiOperation({
    summary: 'Every change of who may do what, newest first; with `at`, who could do what at that time',
  })
  @ApiQuery({ type: AccessQuery })
  @ApiExtraModels(AccessChangesBody, AccessAtBody)
  @ApiOkResponse({
    schema: { oneOf: [{ $ref: getSchemaPath(AccessChangesBody) }, { $ref: getSchemaPath(AccessAtBody) }] },
  })
  @ApiProblems(400, 404, 503)
  access(@StrictQuery(AccessQuery) { at, limit, cursor }: AccessQuery) {
    return at === undefined ? this.page(cursor, Number(limit ?? 100)) : this.at(at);
  }

  private async page(cursor: string | undefined, limit: number): Promise<AccessChangesBody> {
    const found = await this.store.changes(cursor, limit + 1);
    const { page, next_cursor } = pageOf(found, limit, ({ id }) => id);
    return { changes: page as AccessChangesBody['changes'], next_cursor };
  }

  private async at(time: string): Promise<AccessAtBody> {
    const found = await this.store.at(time);
    if (found === undefined) throw new Problem('not-found', `Nothing is on record of ${time}.`);
    const tokens = found.tokens
      .filter(({ expires_at }) => expires_at === null || Date.parse(expires_at) > Date.parse(time))
      .map((token) => ({ ...token, fleets: [...token.fleets], operations: operationsOf(token.role) }));
    return { ...found, tokens };
  }
}
