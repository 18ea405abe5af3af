// Floor (b): a bare Nest + Express service that answers with given bytes; its POST validates as the real one does.
// The bytes come ready from the start, and what Express adds by default (ETag, X-Powered-By) is off: the floor is low.
import 'reflect-metadata';

import { Controller, Get, Header, HttpCode, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

import { JsonBody, LenientJsonBody, StrictQuery } from '../dist/src/http/params.js';
import { FromKillTarget } from '../dist/src/lora/kill-target.js';
import { FleetQuery } from '../dist/src/http/validation.js';
import { DeployBody, DisableBody } from '../dist/src/lora/lora.dto.js';

let text = '{}';

class BareController {
  read() {
    return text;
  }

  kill(target, body) {
    return target.fleet && body.value ? text : undefined;
  }

  deploy({ fleet }, body) {
    return fleet && body.adapter_version ? text : undefined;
  }
}

const route = (name, ...decorators) => {
  const descriptor = Object.getOwnPropertyDescriptor(BareController.prototype, name);
  for (const decorate of [Header('Content-Type', 'application/json; charset=utf-8'), ...decorators]) {
    decorate(BareController.prototype, name, descriptor);
  }
};
const parameter = (name, index, decorate) => decorate(BareController.prototype, name, index);

route('read', Get('read'));
route('kill', Post('disable'), HttpCode(200));
parameter('kill', 0, FromKillTarget());
parameter('kill', 1, LenientJsonBody(DisableBody));
route('deploy', Post('deploy'), HttpCode(200));
parameter('deploy', 0, StrictQuery(FleetQuery));
parameter('deploy', 1, JsonBody(DeployBody));
Controller('bare')(BareController);

class BareModule {}
Module({ controllers: [BareController] })(BareModule);

const app = await NestFactory.create(BareModule, { logger: false, bodyParser: false });
app.disable('x-powered-by');
app.disable('etag');
await app.listen(0, '127.0.0.1');

process.on('message', (message) => {
  text = message.text;
  process.send({ answers: text.length });
});
process.on('disconnect', () => process.exit(0));
process.send({ port: app.getHttpServer().address().port });
