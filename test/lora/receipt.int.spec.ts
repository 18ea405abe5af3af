import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { readReceipts } from '../../src/audit/core/receipt.js';
import { type TestApp, startApp } from '../support/app.js';
import type { Reply } from '../support/http.js';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
afterAll(() => service.close());

const inHeader = ({ headers }: Reply) => readReceipts(headers.get('lora-receipt') ?? '');

/** What the log has at a position, as a receipt. */
async function inLog(position: unknown): Promise<unknown> {
  const { body } = await service.api.get(`/lora/history/${String(position)}`);
  const [head] = await service.database.query<{ log_id: string }>('select log_id from log_head');
  return { position, leaf: body.leaf_hash, log_id: head?.log_id };
}

describe('the receipt of a command', () => {
  it.each([
    ['POST', '/lora/disable', undefined],
    ['POST', '/lora/disable', { reason: 'again' }],
    ['POST', '/lora/rollback', { adapter_version: 'v0' }],
    ['POST', '/lora/enable', { adapter_version: 'v1' }],
    ['POST', '/lora/deploy', { adapter_version: 'v2' }],
    ['POST', '/adapters/v3/deploy', undefined],
    ['PUT', '/fleets/canary', { adapter_version: 'v1' }],
  ] as const)('%s %s %j: place and hash of its event, in body and header', async (method, path, body) => {
    const reply = await service.api.send(method, path, { body });
    expect(reply.body.receipt).toStrictEqual(await inLog(reply.body.generation));
    expect(inHeader(reply)).toStrictEqual([reply.body.receipt]);
  });

  it('is given again with the first answer when the command is repeated', async () => {
    const headers = { 'idempotency-key': 'twice' };
    const first = await service.api.post('/lora/disable', undefined, headers);
    await service.api.post('/lora/enable');
    const again = await service.api.post('/lora/disable', undefined, headers);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.body.receipt).toStrictEqual(first.body.receipt);
    expect(inHeader(again)).toStrictEqual(inHeader(first));
  });

  it('is absent where nothing was appended', async () => {
    const reply = await service.api.send('PUT', '/fleets/canary', {});
    expect(reply.status).toBe(200);
    expect(reply.body).not.toHaveProperty('receipt');
    expect(reply.headers.has('lora-receipt')).toBe(false);
  });

  it('of a kill of all fleets is one for each; beyond 16 they are in the body alone', async () => {
    const killed = async (fleets: number) => {
      const reply = await service.api.post('/lora/disable?fleet=*');
      const states = reply.body.fleets as unknown as { generation: number; receipt: unknown }[];
      expect(states).toHaveLength(fleets);
      for (const { generation, receipt } of states) expect(receipt).toStrictEqual(await inLog(generation));
      return { reply, receipts: states.map(({ receipt }) => receipt) };
    };
    for (let made = 2; made < 16; made++) await service.api.send('PUT', `/fleets/f${made}`, {});
    const few = await killed(16);
    expect(inHeader(few.reply)).toStrictEqual(few.receipts);
    await service.api.send('PUT', '/fleets/one-more', {});
    const many = await killed(17);
    expect(many.reply.headers.has('lora-receipt')).toBe(false);
  });
});
