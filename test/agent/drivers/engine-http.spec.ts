import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { ask, below, messageOf } from '../../../src/agent/drivers/engine-http.js';
import { errorOf, patient } from '../../support/engines/driver-settings.js';
import { type Answer, TestEngine } from '../../support/engines/test-engine.js';

/** Answers everything with `{}`. */
class AnyEngine extends TestEngine {
  readonly adapters = [];
  protected forget(): void {
    this.calls.length = 0;
  }
  protected answer(): Answer {
    return { status: 200, body: {} };
  }
}

let engine: AnyEngine;
beforeEach(async () => (engine = await new AnyEngine().start()));
afterEach(() => engine.stop());

const get = (signal = patient()) => ask('GET', below(engine.url, '/x'), { signal });
const answering = (answer: Answer | 'cut' | 'silence') => {
  engine.next('/x', { acts: false, answer });
};

describe('a request to an engine', () => {
  it('is JSON, with the key of the moment', async () => {
    let key = 'first';
    const request = { body: { a: 1 }, key: () => key, signal: patient() };
    await ask('POST', below(engine.url, '/x'), request);
    key = 'second';
    await ask('POST', below(engine.url, '/x'), request);
    expect(engine.calls.map((call) => [call.body, call.key])).toEqual([
      [{ a: 1 }, 'first'],
      [{ a: 1 }, 'second'],
    ]);
  });

  it('goes below the path where the engine is', () => {
    expect(below(new URL('http://h:1/gpu/0/?q#f'), '/v1/models').href).toBe('http://h:1/gpu/0/v1/models');
  });

  it.each(['', undefined])('carries no key where there is none', async (key) => {
    await ask('GET', below(engine.url, '/x'), { key: () => key, signal: patient() });
    expect(engine.calls[0]?.key).toBeUndefined();
  });

  it('is not sent with a key that no header may carry, and does not repeat it', async () => {
    const url = below(engine.url, '/x');
    const error = await errorOf(ask('GET', url, { key: () => 'se\ncret', signal: patient() }));
    expect(error.kind).toBe('refused');
    expect(error.message).not.toContain('cret');
    expect(engine.calls).toEqual([]);
  });

  it('is not sent when the key cannot be read', async () => {
    const key = (): never => {
      throw new Error('ENOENT');
    };
    const error = await errorOf(ask('GET', below(engine.url, '/x'), { key, signal: patient() }));
    expect(error.kind).toBe('refused');
    expect(error.message).toContain('ENOENT');
    expect(engine.calls).toEqual([]);
  });

  it('does not follow a redirect', async () => {
    answering({ status: 307, body: '', headers: { Location: '/elsewhere' } });
    expect(await errorOf(get())).toMatchObject({ kind: 'refused' });
    expect(engine.calls.map(({ path }) => path)).toEqual(['/x']);
  });
});

describe('an outcome that nobody knows', () => {
  it('is that of a call that was ended', async () => {
    answering('silence');
    const end = new AbortController();
    const call = errorOf(get(end.signal));
    await engine.called('/x');
    end.abort(new Error('time is up'));
    expect(await call).toMatchObject({ kind: 'unreachable', message: 'GET /x: time is up' });
  });

  it('is that of a broken connection', async () => {
    answering('cut');
    expect(await errorOf(get())).toMatchObject({ kind: 'unreachable' });
  });

  it('is that of a body which breaks off', async () => {
    answering({ status: 200, body: '{}', headers: { 'Content-Length': '100' } });
    const end = new AbortController();
    const call = errorOf(get(end.signal));
    await engine.called('/x');
    await engine.stop();
    expect(await call).toMatchObject({ kind: 'unreachable' });
  });

  it('is that of a closed port', async () => {
    await engine.stop();
    expect(await errorOf(get())).toMatchObject({ kind: 'unreachable' });
    await engine.start();
    expect((await get()).ok).toBe(true);
  });

  it.each([502, 503, 504])('is that of a proxy that gave up with %d', async (status) => {
    answering({ status, body: 'no healthy upstream' });
    expect(await errorOf(get())).toMatchObject({
      kind: 'unreachable',
      message: `GET /x: HTTP ${status}: no healthy upstream`,
    });
  });

  it('is that of an answer without end', async () => {
    answering({ status: 200, body: 'x'.repeat(5_000_000) });
    expect(await errorOf(get())).toMatchObject({ kind: 'unreachable' });
  });
});

describe('what an engine says of its refusal', () => {
  it.each([
    ['a wrapped error', { error: { message: 'why', type: 'T' } }],
    ['a flat error', { object: 'error', message: 'why', type: 'T' }],
    ['an error in one word', { error: 'why' }],
    ['a success that is none', { success: false, error_message: 'why' }],
    ['a detail', { detail: 'why' }],
    ['a text', 'why'],
  ])('is found in %s', async (_, body) => {
    answering({ status: 400, body });
    expect(messageOf(await get())).toBe('HTTP 400: why');
  });

  it('is its status when it says nothing', async () => {
    answering({ status: 500, body: '' });
    expect(messageOf(await get())).toBe('HTTP 500');
  });
});
