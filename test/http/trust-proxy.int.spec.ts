import { expect, it } from '@jest/globals';

import { startApp, type TestApp } from '../support/app.js';
import type { Json } from '../support/http.js';

async function withApp(env: Record<string, string>, run: (app: TestApp) => Promise<void>): Promise<void> {
  const app = await startApp(env);
  try {
    await run(app);
  } finally {
    await app.close();
  }
}

/** The address that the log has of a command. */
async function addressOf({ api }: TestApp, forwarded: string): Promise<Json | undefined> {
  const { body } = await api.post('/lora/disable', undefined, { 'x-forwarded-for': forwarded });
  return (await api.get(`/lora/history/${String(body.generation)}`)).body.remote_address;
}

it('nobody is believed who calls for others, unless told so', async () => {
  await withApp({}, async (app) => {
    expect(await addressOf(app, '192.0.2.7')).toBe('127.0.0.1');
  });
  await withApp({ TRUST_PROXY: '10.0.0.0/8, uniquelocal' }, async (app) => {
    expect(await addressOf(app, '192.0.2.7')).toBe('127.0.0.1');
  });
});

it('a proxy that is trusted is, back to the first address that is not', async () => {
  await withApp({ TRUST_PROXY: '127.0.0.1/32,10.0.0.0/8' }, async (app) => {
    expect(await addressOf(app, '192.0.2.7')).toBe('192.0.2.7');
    expect(await addressOf(app, 'spoofed, 2001:db8::7, 10.1.2.3')).toBe('2001:db8::7');
    expect(await addressOf(app, 'no address, 10.1.2.3')).toBe('127.0.0.1');
    expect(await addressOf(app, '')).toBe('127.0.0.1');
  });
});
