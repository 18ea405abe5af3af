import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import type { Reply } from '../support/http.js';
import { appendsNothing, expectInvalid, expectProblem, headOf } from '../support/problem.js';

let service: TestApp;
let made = 0;
let fleet: string;
let tag: string;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
beforeEach(async () => {
  made += 1;
  fleet = `fleet-${made}`;
  const reply = await service.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
  tag = reply.headers.get('etag') ?? '';
});
afterAll(() => service.close());

const command = (name: string, body?: object, headers: Record<string, string> = {}): Promise<Reply> =>
  service.api.post(`/lora/${name}?fleet=${fleet}`, body, headers);

describe('If-Match', () => {
  const bare = () => tag.slice(tag.indexOf('-') + 1, -1);
  const forms: readonly (readonly [string, () => string])[] = [
    ['the ETag', () => tag],
    ['the tag without quotes', () => tag.slice(1, -1)],
    ['the bare generation', bare],
    ['the bare generation in quotes', () => `"${bare()}"`],
    ['a weak tag', () => `W/${tag}`],
    ['a list', () => `"00000000-1", ${tag}`],
    ['anything', () => '*'],
  ];
  it.each(forms)('%s of the current state is taken by every command', async (_, form) => {
    for (const [name, body] of [
      ['disable'],
      ['enable'],
      ['rollback'],
      ['deploy', { adapter_version: 'v2' }],
    ] as const) {
      const reply = await command(name, body, { 'if-match': form() });
      expect([name, reply.status]).toStrictEqual([name, 200]);
      tag = reply.headers.get('etag') ?? '';
    }
    const put = await service.api.send('PUT', `/fleets/${fleet}`, { headers: { 'if-match': form() } });
    expect(put.status).toBe(200);
  });

  const stale: readonly (readonly [string, () => string])[] = [
    ['an older generation', () => String(Number(bare()) - 1)],
    ['a later generation', () => String(Number(bare()) + 1)],
    ['the generation of another log', () => `"00000000-${bare()}"`],
    ['a list of old tags', () => '"00000000-1", "00000000-2"'],
    ['zero', () => '0'],
  ];
  it.each(stale)('%s is 412, of a kill too', async (_, form) => {
    await appendsNothing(service.database, async () => {
      for (const [name, body] of [
        ['disable'],
        ['enable'],
        ['rollback'],
        ['deploy', { adapter_version: 'v2' }],
      ] as const) {
        const reply = await command(name, body, { 'if-match': form() });
        expectProblem(reply, 'generation-mismatch', `/lora/${name}`);
        expect(reply.body.detail).toContain(tag);
        expect(reply.body.notice).toBe('Nothing was changed. LoRA is ENABLED.');
      }
      const put = await service.api.send('PUT', `/fleets/${fleet}`, { headers: { 'if-match': form() } });
      expectProblem(put, 'generation-mismatch', `/fleets/${fleet}`);
    });
  });

  it('comes before the decision', async () => {
    await command('disable');
    const reply = await command('deploy', { adapter_version: 'v2' }, { 'if-match': tag });
    expectProblem(reply, 'generation-mismatch', '/lora/deploy');
    expect(reply.body.notice).toBe('Nothing was changed. LoRA is DISABLED.');
  });

  it.each(['nonsense', '""', '"', 'W/', '1,', '"a" "b"', 'g-1', '**', '', '1'.repeat(100)])(
    'of a bad form is 400: %j',
    async (value) => {
      await appendsNothing(service.database, async () => {
        for (const [name, body] of [
          ['enable'],
          ['rollback'],
          ['deploy', { adapter_version: 'v2' }],
        ] as const) {
          expectInvalid(await command(name, body, { 'if-match': value }), 'If-Match', `/lora/${name}`);
        }
        const put = await service.api.send('PUT', `/fleets/${fleet}`, { headers: { 'if-match': value } });
        expectInvalid(put, 'If-Match', `/fleets/${fleet}`);
      });
    },
  );

  it('cannot go with all fleets', async () => {
    await appendsNothing(service.database, async () => {
      for (const value of [tag, '*', '1', 'nonsense']) {
        const reply = await service.api.post('/lora/disable?fleet=*', undefined, { 'if-match': value });
        expectInvalid(reply, 'If-Match', '/lora/disable');
      }
    });
  });

  it('lets one of many through', async () => {
    const before = await headOf(service.database);
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        command('deploy', { adapter_version: `n${i}` }, { 'if-match': tag }),
      ),
    );
    expect(replies.map(({ status }) => status).sort()).toStrictEqual([200, ...Array<number>(9).fill(412)]);
    expect(await headOf(service.database)).toBe(before + 1);
  });
});
