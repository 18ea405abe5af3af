import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { PROBLEMS } from '../../src/http/problem.js';
import { type TestApp, startApp } from '../support/app.js';

interface Parameter {
  readonly name: string;
  readonly in: string;
}
interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}
interface Schema {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
}
interface Description {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Partial<Record<string, Schema>>> };
}

let service: TestApp;
let description: Description;
beforeAll(async () => {
  service = await startApp();
  const reply = await service.api.get('/openapi.json');
  expect(reply.headers.get('content-type')).toMatch(/^application\/json/);
  description = reply.body as unknown as Description;
});
afterAll(() => service.close());

const operation = (method: string, path: string): Operation => {
  const found = description.paths[path]?.[method];
  if (!found) throw new Error(`${method} ${path} is not described.`);
  return found;
};
const names = (place: string, { parameters = [] }: Operation): string[] =>
  parameters.filter((each) => each.in === place).map(({ name }) => name);

it('is OpenAPI 3.1', () => {
  expect(description.openapi).toMatch(/^3\.1\.\d+$/);
});

it('names every route, and no other', () => {
  const routes = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  expect(routes.sort()).toStrictEqual(
    [
      'get /lora/status',
      'get /lora/stream',
      'post /lora/disable',
      'post /lora/enable',
      'post /lora/rollback',
      'post /lora/deploy',
      'post /adapters/{version}/deploy',
      'put /fleets/{fleet}',
      'get /fleets',
      'get /lora/history',
      'get /lora/history/summary',
      'get /lora/history/export',
      'get /lora/history/{position}',
      'get /lora/convergence',
      'get /audit/access',
      'get /audit/checkpoint',
      'get /audit/checkpoints',
      'get /audit/consistency',
      'get /audit/key',
      'get /audit/proof/{position}',
      'get /audit/refusals',
      'get /engines',
      'get /engines/{id}',
      'put /engines/{id}',
      'delete /engines/{id}',
      'get /health/live',
      'get /health/ready',
      'get /health',
      'get /metrics',
    ].sort(),
  );
});

it('declares every parameter of a path', () => {
  const declared: Record<string, string[]> = {};
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const each of Object.values(methods)) if (path.includes('{')) declared[path] = names('path', each);
  }
  expect(declared).toStrictEqual({
    '/adapters/{version}/deploy': ['version'],
    '/audit/proof/{position}': ['position'],
    '/engines/{id}': ['id'],
    '/fleets/{fleet}': ['fleet'],
    '/lora/history/{position}': ['position'],
  });
});

it('declares the parameters of queries and the headers', () => {
  expect(names('query', operation('get', '/lora/history')).sort()).toStrictEqual(
    [...'fleet type actor adapter_version reference since until reason limit cursor'.split(' ')].sort(),
  );
  expect(names('query', operation('get', '/fleets')).sort()).toStrictEqual(['at', 'cursor', 'limit']);
  const status = operation('get', '/lora/status');
  expect(names('query', status).sort()).toStrictEqual(['at', 'consistency', 'fleet']);
  expect(names('header', status).sort()).toStrictEqual(['If-None-Match', 'Prefer']);
  const stream = operation('get', '/lora/stream');
  expect(names('query', stream)).toStrictEqual(['fleet']);
  expect(names('header', stream)).toStrictEqual(['Last-Event-ID']);
  for (const command of ['disable', 'enable', 'rollback', 'deploy']) {
    const described = operation('post', `/lora/${command}`);
    expect(names('query', described)).toStrictEqual(['fleet']);
    expect(names('header', described).sort()).toStrictEqual(['Idempotency-Key', 'If-Match']);
  }
  const put = operation('put', '/fleets/{fleet}');
  expect(names('query', put)).toStrictEqual([]);
  expect(names('header', put).sort()).toStrictEqual(['Idempotency-Key', 'If-Match']);
});

it('describes what is answered, refusals too', () => {
  for (const path of ['/lora/enable', '/lora/rollback', '/lora/deploy', '/adapters/{version}/deploy']) {
    const { responses } = operation('post', path);
    expect(Object.keys(responses)).toStrictEqual(
      ['200', '400', '401', '403', '404', '409', '412', '413', '415', '422', '429', '503'].filter(
        (status) => status in responses,
      ),
    );
    expect(Object.keys(responses)).toHaveLength(12);
    expect(responses['400']?.content).toHaveProperty(['application/problem+json']);
    expect(responses['200']?.content).toHaveProperty(['application/json']);
  }
  expect(operation('get', '/lora/stream').responses['200']?.content).toHaveProperty(['text/event-stream']);
  expect(operation('get', '/metrics').responses['200']?.content).toHaveProperty(['text/plain']);
  expect(Object.keys(operation('put', '/fleets/{fleet}').responses)).toEqual(
    expect.arrayContaining(['200', '201']),
  );
  const text = JSON.stringify(description);
  for (const code of Object.keys(PROBLEMS)) expect(text).toContain(code);
});

it('describes that a kill of all fleets answers with all of them', () => {
  const { responses, parameters } = operation('post', '/lora/disable');
  const schema = (name: string) => ({ $ref: `#/components/schemas/${name}` });
  expect(responses['200']?.content).toMatchObject({
    'application/json': { schema: { oneOf: [schema('CommandAnswerBody'), schema('FleetsAnswerBody')] } },
  });
  expect(parameters?.find(({ name }) => name === 'fleet')).toMatchObject({
    description: expect.stringContaining('`*`: all fleets') as unknown,
  });
});

it('does not promise histories, which a stale answer may lack', () => {
  const { StatusBody } = description.components.schemas;
  expect(Object.keys(StatusBody?.properties ?? {})).toEqual(
    expect.arrayContaining(['rollback_history', 'activation_history']),
  );
  expect(StatusBody?.required?.filter((name) => name.endsWith('_history'))).toStrictEqual([]);
});

it('resolves every reference inside itself', () => {
  for (const [, pointer = ''] of JSON.stringify(description).matchAll(/"\$ref":"#([^"]*)"/g)) {
    expect(description).toHaveProperty(pointer.split('/').slice(1));
  }
});

it('serves a page for people', async () => {
  const reply = await fetch(`${service.api.url}/docs`);
  expect(reply.status).toBe(200);
  expect(reply.headers.get('content-type')).toMatch(/^text\/html/);
  expect(await reply.text()).toMatch(/<html/i);
});
