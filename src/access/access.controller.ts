import { Controller, Get } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';

import { type Caller, FromCaller } from '../http/caller.js';
import { ApiProblems } from '../http/openapi.js';
import { StrictQuery } from '../http/params.js';
import { AccessAtBody, AccessChangesBody, AccessQuery } from './access.dto.js';
import { AccessService } from './access.service.js';
import { RefusalsBody, RefusalsQuery } from './refusals.dto.js';

@ApiTags('audit')
@Controller('audit')
export class AccessController {
  constructor(private readonly access: AccessService) {}

  @Get('access')
  @ApiOperation({
    summary: 'Every change of who may do what, newest first; with `at`, who could do what at that time',
  })
  @ApiQuery({ type: AccessQuery })
  @ApiExtraModels(AccessChangesBody, AccessAtBody)
  @ApiOkResponse({
    schema: { oneOf: [{ $ref: getSchemaPath(AccessChangesBody) }, { $ref: getSchemaPath(AccessAtBody) }] },
  })
  @ApiProblems(400, 404, 503)
  changes(@StrictQuery(AccessQuery) { at, limit, cursor }: AccessQuery) {
    return at === undefined ? this.access.changes(cursor, Number(limit ?? 100)) : this.access.at(at);
  }

  @Get('refusals')
  @ApiOperation({
    summary: 'Who was refused what, newest first',
    description:
      'Calls of callers who are not known or may not do it, and commands that the state forbids. Up to 61 of a caller ' +
      'and minute are kept; `left_out` counts the others. A caller that is not known is told apart by its address.',
  })
  @ApiQuery({ type: RefusalsQuery })
  @ApiOkResponse({ type: RefusalsBody })
  @ApiProblems(400, 503)
  refusals(@StrictQuery(RefusalsQuery) query: RefusalsQuery, @FromCaller() { identity }: Caller) {
    return this.access.refusals(identity, query);
  }
}
