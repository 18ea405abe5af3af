import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import { BAD_BODIES, BAD_MEDIA, HUGE, padded } from '../support/bad-bodies.js';
import type { Reply } from '../support/http.js';
import { appendsNothing, expectInvalid, expectProblem, headOf, short } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';

let service: TestApp;
let before: number;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  await service.api.send('PUT', '/fleets/canary', { body: { adapter_version: 'v1' } });
});
beforeEach(async () => {
  await service.api.post('/lora/enable');
  before = await headOf(service.database);
});
afterAll(() => service.close());

const json = { 'content-type': 'application/json' };
const MULTIPART = '--x\r\nContent-Disposition: form-data; name="fleet"\r\n\r\ncanary\r\n--x--\r\n';

/** The kill was taken, of `default` alone, and `notice` names what was set aside. */
async function expectKilled(
  reply: Reply,
  ignored: RegExp | undefined,
  reason = 'manual_operation',
): Promise<void> {
  expect(short(reply)).toMatchObject({
    status: 200,
    body: {
      fleet: 'default',
      generation: before + 1,
      enabled: false,
      active_adapter_version: null,
      resume_adapter_version: 'v1',
      last_operation: 'disabled',
      last_reason: reason,
    },
  });
  if (ignored === undefined) expect(reply.body).not.toHaveProperty('notice');
  else expect(reply.body.notice).toMatch(ignored);
  expect(await headOf(service.database)).toBe(before + 1);
}

const mention = (text: string): RegExp =>
  new RegExp(`^Ignored: .*${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}.*\\.$`, 's');

describe('a kill is never refused for its form', () => {
  it('without a body, and with an empty object, nothing is ignored', async () => {
    await expectKilled(await service.api.post('/lora/disable'), undefined);
  });

  it.each([
    ['an empty object', {}, 'manual_operation'],
    ['a reason', { reason: 'regression_detected' }, 'regression_detected'],
    [
      'a reason and a reference',
      { reason: 'regression_detected', reference: 'INC-7' },
      'regression_detected',
    ],
  ])('with %s nothing is ignored', async (_, body, reason) => {
    await expectKilled(await service.api.post('/lora/disable', body), undefined, reason);
  });

  it.each(BAD_BODIES)('with $name', async ({ bytes, field, reason }) => {
    const reply = await service.api.send('POST', '/lora/disable', { text: bytes, headers: json });
    // A body that cannot be used as a whole is named as a whole.
    const named = new RegExp(`^Ignored: (the body \\(.+\\)|.*${mention(field).source.slice(12)})`, 's');
    await expectKilled(reply, reason === undefined ? named : mention(field), reason);
  });

  it.each(BAD_MEDIA)('with %s', async (_, headers, bytes) => {
    const reply = await service.api.send('POST', '/lora/disable', { text: bytes, headers });
    await expectKilled(reply, mention('the body'));
  });

  it.each([
    ['1 MiB', HUGE],
    ['more than 16 KiB', padded({ reason: 'x' }, 16 * 1024 + 1)],
  ])('with a body of %s', async (_, text) => {
    const reply = await service.api.send('POST', '/lora/disable', { text, headers: json });
    await expectKilled(reply, mention('the body'));
  });

  it('with a body of 1 MiB in chunks', async () => {
    const connection = await RawConnection.open(service.api.url);
    connection.head('POST', '/lora/disable', { ...json, 'transfer-encoding': 'chunked' });
    for (let sent = 0; sent < 256; sent++) connection.chunk('x'.repeat(4096));
    await expectKilled(await connection.lastChunk().reply(), mention('the body'));
    connection.close();
  });

  it('keeps what is good beside what is not', async () => {
    const body = { reason: 'regression_detected', reference: null, adapter_version: 'v1.2', nope: 1 };
    const reply = await service.api.post('/lora/disable', body);
    await expectKilled(reply, mention('reference'), 'regression_detected');
    for (const name of ['adapter_version', 'nope']) expect(reply.body.notice).toContain(name);
    const { body: history } = await service.api.get('/lora/history?limit=1');
    expect(history.events).toMatchObject([
      { reason: 'regression_detected', reference: null, adapter_version: null },
    ]);
  });

  it('does not tell a field name back in full, however long', async () => {
    const reply = await service.api.post('/lora/disable', { ['n'.repeat(10_000)]: 1 });
    await expectKilled(reply, /^Ignored: n{20}/);
    expect(String(reply.body.notice).length).toBeLessThan(500);
  });

  it.each([
    ['Idempotency-Key', 'x'.repeat(256)],
    ['Idempotency-Key', 'caf\u00e9'],
    ['Idempotency-Key', ''],
    ['If-Match', 'nonsense'],
    ['If-Match', '""'],
    ['If-Match', ''],
  ])('with the header %s: %s', async (name, value) => {
    const reply = await service.api.send('POST', '/lora/disable', { headers: { [name]: value } });
    await expectKilled(reply, mention(name));
  });

  it.each([
    ['?reason=regression_detected', 'reason'],
    ['?reference=INC-7', 'reference'],
    ['?fleet=default&force=true', 'force'],
    ['?fleet=default&flet=canary', 'flet'],
    ['?reason=a&reason=b', 'reason'],
    ['?fleet=default&force=1&force=2', 'force'],
    ['?reason=%00', 'reason'],
    ['?fleet=default&x=%00', 'x'],
    ['?fleet=default&__proto__=x', '__proto__'],
    ['?reason=%ff', 'reason'],
  ])('with the query %s', async (query, name) => {
    await expectKilled(await service.api.post(`/lora/disable${query}`), mention(name));
  });

  it('with the fleet said twice, in query and body, the same one', async () => {
    await expectKilled(
      await service.api.post('/lora/disable?fleet=default', { fleet: 'default' }),
      undefined,
    );
  });

  it('with a target in absolute form, as a proxy sends it', async () => {
    const connection = await RawConnection.open(service.api.url);
    await expectKilled(await connection.head('POST', 'http://x/lora/disable').reply(), undefined);
    connection.close();
  });

  it('with a target whose port is none', async () => {
    const connection = await RawConnection.open(service.api.url);
    await expectKilled(await connection.head('POST', 'http://x:99999/lora/disable').reply(), undefined);
    connection.close();
  });

  it('of all fleets, and each is told what was ignored', async () => {
    const reply = await service.api.send('POST', '/lora/disable?fleet=*', { text: 'off!' });
    expect(reply.status).toBe(200);
    const fleets = reply.body.fleets as unknown as { notice: string; enabled: boolean }[];
    expect(fleets).toHaveLength(2);
    for (const { notice, enabled } of fleets) {
      expect(enabled).toBe(false);
      expect(notice).toMatch(/Ignored: the body/);
    }
    await service.api.post('/lora/enable?fleet=canary');
  });
});

describe('a kill whose fleet is not clear is refused, and kills nobody', () => {
  it.each([
    ['?fleet=default&fleet=default', 'fleet'],
    ['?fleet=default&fleet=canary', 'fleet'],
    ['?fleet=*&fleet=canary', 'fleet'],
    ['?fleet=', 'fleet'],
    ['?fleet', 'fleet'],
    ['?fleet=../x', 'fleet'],
    ['?fleet=..%2Fx', 'fleet'],
    ['?fleet=Canary', 'fleet'],
    ['?fleet=canary%20', 'fleet'],
    ['?fleet=canary%00', 'fleet'],
    ['?fleet=canary,default', 'fleet'],
    ['?fleet=**', 'fleet'],
    [`?fleet=${'x'.repeat(64)}`, 'fleet'],
    ['?flet=canary', 'flet'],
    ['?Fleet=canary', 'Fleet'],
    ['?fleets=canary', 'fleets'],
    ['?fleet[]=canary', 'fleet[]'],
    ['?name=canary&reason=x', 'name'],
    ['?__proto__=canary', '__proto__'],
    ['?canary', 'canary'],
  ])('the query %s', async (query, field) => {
    await appendsNothing(service.database, async () => {
      expectInvalid(await service.api.post(`/lora/disable${query}`), field, '/lora/disable');
    });
  });

  it.each([
    ['', { fleet: 'other' }],
    ['', { fleet: 'canary', reason: 'x' }],
    ['', { fleet: '*' }],
    ['', { fleet: null }],
    ['', { fleet: ['canary'] }],
    ['', { fleet: 'canary', nope: 1, reason: null }],
    ['?fleet=default', { fleet: 'canary' }],
    ['?fleet=*', { fleet: 'canary' }],
  ])('the query %j with the body %j', async (query, body) => {
    await appendsNothing(service.database, async () => {
      expectInvalid(await service.api.post(`/lora/disable${query}`, body), 'fleet', '/lora/disable');
    });
  });

  it('a body that names another fleet, in a form that is ignored otherwise', async () => {
    // What curl -d sends without a header.
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    await appendsNothing(service.database, async () => {
      const text = '{"fleet":"canary","reason":"regression_detected"}';
      const reply = await service.api.send('POST', '/lora/disable', { text, headers: form });
      expectInvalid(reply, 'fleet', '/lora/disable');
    });
  });

  describe('a body that cannot be read and seems to name a fleet', () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const unclear: readonly (readonly [string, Record<string, string>, string | Uint8Array])[] = [
      ['a form', form, 'fleet=canary'],
      ['a form with more', form, 'reason=regression_detected&fleet=canary'],
      ['a form in upper case', form, 'FLEET=canary'],
      ['a form that names the default fleet', form, 'fleet=default'],
      ['a multipart form', { 'content-type': 'multipart/form-data; boundary=x' }, MULTIPART],
      ['YAML', { 'content-type': 'application/yaml' }, 'fleet: canary'],
      ['a trailing comma', json, '{"fleet":"canary",}'],
      ['single quotes', json, "{'fleet':'canary'}"],
      ['no quotes', json, '{fleet:canary}'],
      ['a fleet given twice', json, '{"fleet":"canary","fleet":"default"}'],
      ['a list', json, '[{"fleet":"canary"}]'],
      ['more than 16 KiB', json, padded({ fleet: 'canary' }, 16 * 1024 + 1)],
      ['bytes that are no UTF-8', json, Buffer.from('{"fleet":"canary","reason":"caf\xe9",}', 'latin1')],
    ];

    it.each(unclear)('%s: refused when the query names none', async (_, headers, text) => {
      await appendsNothing(service.database, async () => {
        const reply = await service.api.send('POST', '/lora/disable', { text, headers });
        expectInvalid(reply, 'fleet', '/lora/disable');
        expect(reply.body.notice).toMatch(/^Nothing was changed\./);
      });
    });

    it.each(unclear)('%s: taken when the query names one', async (_, headers, text) => {
      const reply = await service.api.send('POST', '/lora/disable?fleet=default', { text, headers });
      await expectKilled(reply, mention('the body'));
    });

    it('that stalls: refused when the query names none, taken when it names one', async () => {
      const stalling = { ...json, 'content-length': 40 };
      const [plain, named] = await Promise.all([
        RawConnection.open(service.api.url),
        RawConnection.open(service.api.url),
      ]);
      plain.head('POST', '/lora/disable', stalling).write('{"fleet":"can');
      const refused = await plain.reply();
      expectInvalid(refused, 'fleet', '/lora/disable');
      expect(await headOf(service.database)).toBe(before);
      named.head('POST', '/lora/disable?fleet=default', stalling).write('{"fleet":"can');
      await expectKilled(await named.reply(), mention('the body'));
      for (const each of [plain, named]) each.close();
    });

    it.each([
      ['a reason in valid JSON', json, '{"reason":"the fleet is slow: \\"fleet\\":1"}', undefined],
      ['a reason in JSON of a wrong type', form, '{"reason":"the fleet is slow"}', /Ignored: the body/],
      ['the very fleet, in JSON of a wrong type', form, '{"fleet":"default"}', /Ignored: the body/],
      ['a word that has it inside', form, 'reason=fleeting', /Ignored: the body/],
    ])('is not %s', async (_, headers, text, ignored) => {
      const reply = await service.api.send('POST', '/lora/disable', { text, headers });
      const reason = ignored ? 'manual_operation' : 'the fleet is slow: "fleet":1';
      await expectKilled(reply, ignored, reason);
    });
  });

  it('an unknown fleet is 404 and named are those there are', async () => {
    await appendsNothing(service.database, async () => {
      const reply = await service.api.post('/lora/disable?fleet=canarry', { nope: 1 });
      expectProblem(reply, 'unknown-fleet', '/lora/disable');
      expect(reply.body.detail).toMatch(/canarry.*canary, default/);
      expect(reply.body.notice).toBe('Nothing was changed.');
    });
  });
});
