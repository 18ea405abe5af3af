import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import { BAD_BODIES, BAD_MEDIA, BAD_VERSIONS, HUGE, padded } from '../support/bad-bodies.js';
import type { RequestOptions } from '../support/http.js';
import { appendsNothing, expectInvalid, expectProblem } from '../support/problem.js';

/** Every command but the kill, with the least body that it takes. */
const COMMANDS: readonly (readonly [method: string, path: string, body: Record<string, unknown>])[] = [
  ['POST', '/lora/enable', {}],
  ['POST', '/lora/rollback', {}],
  ['POST', '/lora/deploy', { adapter_version: 'v9' }],
  ['POST', '/adapters/v9/deploy', {}],
  ['PUT', '/fleets/canary', {}],
];

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
afterAll(() => service.close());

const json = { 'content-type': 'application/json' };

describe.each(COMMANDS)('%s %s', (method, path, least) => {
  it.each(BAD_BODIES)('refuses $name', async ({ bytes, field }) => {
    await appendsNothing(service.database, async () => {
      expectInvalid(await service.api.send(method, path, { text: bytes, headers: json }), field, path);
    });
  });

  it.each(BAD_MEDIA)('answers 415 to %s', async (_, headers, bytes) => {
    await appendsNothing(service.database, async () => {
      expectProblem(
        await service.api.send(method, path, { text: bytes, headers }),
        'unsupported-media-type',
        path,
      );
    });
  });

  it('answers 413 to a body of 1 MiB and to one over 16 KiB, and takes one of 16 KiB', async () => {
    await appendsNothing(service.database, async () => {
      for (const text of [HUGE, padded(least, 16 * 1024 + 1)]) {
        expectProblem(
          await service.api.send(method, path, { text, headers: json }),
          'payload-too-large',
          path,
        );
      }
    });
    const reply = await service.api.send(method, path, { text: padded(least, 16 * 1024), headers: json });
    expect([200, 201]).toContain(reply.status);
  });

  it.each([
    ['?fleet=../x', 'fleet'],
    ['?fleet=..%2Fx', 'fleet'],
    ['?fleet=', 'fleet'],
    ['?fleet=Default', 'fleet'],
    ['?fleet=*', 'fleet'],
    ['?fleet=-x', 'fleet'],
    [`?fleet=${'x'.repeat(64)}`, 'fleet'],
    ['?fleet=default%00', 'fleet'],
    ['?fleet=default%0A', 'fleet'],
    ['?fleet=%ff', 'fleet'],
    ['?fleet=default&fleet=default', 'fleet'],
    ['?fleet=default&fleet=canary', 'fleet'],
    ['?fleet[]=default', 'fleet[]'],
    ['?flet=default', 'flet'],
    ['?fleet=default&dry_run=true', 'dry_run'],
    ['?reason=x', 'reason'],
    ['?__proto__=x', '__proto__'],
    ['?constructor=x', 'constructor'],
  ])('refuses the query %s', async (query, field) => {
    await appendsNothing(service.database, async () => {
      expectInvalid(await service.api.send(method, path + query, { body: least }), field, path);
    });
  });

  it('names every field that is wrong', async () => {
    const body = { ...least, reason: null, reference: '', enabeld: true };
    const reply = await service.api.send(method, path, { body });
    for (const field of ['reason', 'reference', 'enabeld']) expectInvalid(reply, field, path);
  });

  it('says of a refusal that nothing was changed', async () => {
    const reply = await service.api.send(method, path, { body: { ...least, nope: 1 } });
    expect(reply.body.notice).toMatch(/^Nothing was changed\./);
  });
});

describe.each([
  ['POST', '/lora/enable'],
  ['POST', '/lora/rollback'],
  ['POST', '/lora/deploy'],
  ['PUT', '/fleets/canary'],
])('%s %s', (method, path) => {
  it.each(BAD_VERSIONS.map((version) => [version]))('refuses the version %j', async (version) => {
    await appendsNothing(service.database, async () => {
      const reply = await service.api.send(method, path, { body: { adapter_version: version } });
      expectInvalid(reply, 'adapter_version', path);
    });
  });
});

it('refuses a deploy without a version', async () => {
  await appendsNothing(service.database, async () => {
    expectInvalid(await service.api.post('/lora/deploy'), 'adapter_version', '/lora/deploy');
    expectInvalid(await service.api.post('/lora/deploy', {}), 'adapter_version', '/lora/deploy');
  });
});

it.each(['-v1', '.v1', '..%2Fv1', 'v1%20', 'v1%00', 'v%C3%A9', 'v1%5C2', 'v'.repeat(129)])(
  'refuses POST /adapters/%s/deploy',
  async (version) => {
    const path = `/adapters/${version}/deploy`;
    await appendsNothing(service.database, async () => {
      expectInvalid(await service.api.post(path), 'version', path);
    });
  },
);

it('refuses a version in the body of POST /adapters/{version}/deploy, also the same one', async () => {
  const path = '/adapters/v9/deploy';
  await appendsNothing(service.database, async () => {
    expectInvalid(await service.api.post(path, { adapter_version: 'v9' }), 'adapter_version', path);
  });
});

it.each(['Canary', '-canary', 'a_b', 'a.b', '%2e%2e%2Fx', 'a%20b', '*', 'x'.repeat(64)])(
  'refuses PUT /fleets/%s',
  async (fleet) => {
    await appendsNothing(service.database, async () => {
      expectInvalid(await service.api.send('PUT', `/fleets/${fleet}`), 'fleet', `/fleets/${fleet}`);
    });
  },
);

it.each([[null], ['true'], [1], [0], [[]]])(
  'refuses PUT /fleets/{fleet} with enabled %j',
  async (enabled) => {
    await appendsNothing(service.database, async () => {
      const reply = await service.api.send('PUT', '/fleets/east', { body: { enabled } });
      expectInvalid(reply, 'enabled', '/fleets/east');
    });
  },
);

describe.each(['/lora/status', '/fleets', '/lora/history'])('GET %s', (path) => {
  it.each([
    ['?flet=x', 'flet'],
    ['?limit=1&limit=1', 'limit'],
    ['?__proto__=x', '__proto__'],
    ['?constructor=x', 'constructor'],
    ['?cursor=..%2Fx', 'cursor'],
    ['?limit=0', 'limit'],
    ['?limit=501', 'limit'],
    ['?limit=-1', 'limit'],
    ['?limit=1.5', 'limit'],
    ['?limit=1e2', 'limit'],
    ['?limit=', 'limit'],
    ['?limit=all', 'limit'],
  ])('refuses the query %s', async (query, field) => {
    expectInvalid(await service.api.get(path + query), field, path);
  });
});

describe.each(['/lora/status', '/lora/history'])('GET %s', (path) => {
  it.each(['?fleet=../x', '?fleet=', '?fleet=Default', '?fleet=%00', '?fleet=*', '?fleet=a&fleet=a'])(
    'refuses the query %s',
    async (query) => {
      expectInvalid(await service.api.get(path + query), 'fleet', path);
    },
  );
});

it('takes what is unusual and good', async () => {
  const good: readonly RequestOptions[] = [
    { text: '' },
    { text: '{}', headers: { 'content-type': 'Application/JSON; Charset="UTF-8"' } },
    { text: '{}', headers: { 'content-type': 'application/json', 'content-encoding': 'identity' } },
    { body: { reason: '\u{1f525}'.repeat(500), reference: 'r'.repeat(200) } },
    { body: { reason: '  spaces around ' } },
    { body: { adapter_version: `v${'1'.repeat(127)}` } },
    { body: { adapter_version: 'A0._:+@-z' } },
    { text: '\ufeff{"reason":"x"}', headers: json },
  ];
  for (const options of good) {
    const reply = await service.api.send('POST', '/lora/enable', options);
    expect({ options, status: reply.status, body: reply.body }).toMatchObject({ status: 200 });
  }
});
