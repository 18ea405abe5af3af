import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { plan, type Plan } from '../../src/agent/plan.js';

describe('plan', () => {
  it.each<[observed: string[], adapter: string | null, wanted: Plan]>([
    [[], null, { act: 'nothing' }],
    [['v1'], 'v1', { act: 'nothing' }],
    [[], 'v1', { act: 'load', version: 'v1' }],
    [['v1'], null, { act: 'unload', adapters: ['v1'] }],
    [['v1', 'v2', 'v1'], null, { act: 'unload', adapters: ['v1', 'v2'] }],
    [['v1', 'v2'], 'v2', { act: 'unload', adapters: ['v1'] }],
    [['v1'], 'v2', { act: 'unload', adapters: ['v1'] }],
    [['v1 (from /other/path)'], 'v1', { act: 'unload', adapters: ['v1 (from /other/path)'] }],
  ])('%j, wanted %j', (observed, adapter, wanted) => {
    expect(plan(observed, adapter)).toEqual(wanted);
  });

  it('leaves it to the load to replace, where it does', () => {
    expect(plan(['v1'], 'v2', true)).toEqual({ act: 'load', version: 'v2' });
    expect(plan(['v1', 'v2'], 'v2', true)).toEqual({ act: 'unload', adapters: ['v1'] });
    expect(plan(['v1'], null, true)).toEqual({ act: 'unload', adapters: ['v1'] });
  });

  const names: fc.Arbitrary<string> = fc.constantFrom('v1', 'v2', 'v3', 'not ours');
  const adapters: fc.Arbitrary<string | null> = fc.option(fc.constantFrom('v1', 'v2', 'v3'));

  it('leads from anything to what is wanted in two acts, and stays there', () => {
    fc.assert(
      fc.property(fc.array(names), adapters, (observed, adapter) => {
        let engine = [...new Set(observed)];
        for (let turn = 0; turn < 2; turn++) {
          const next = plan(engine, adapter);
          if (next.act === 'unload') engine = engine.filter((each) => !next.adapters.includes(each));
          if (next.act === 'load') engine = [...engine, next.version];
        }
        expect(engine).toEqual(adapter === null ? [] : [adapter]);
        expect(plan(engine, adapter)).toEqual({ act: 'nothing' });
      }),
    );
  });

  it('never loads while anything else is there, and never unloads what is wanted', () => {
    fc.assert(
      fc.property(fc.array(names), adapters, (observed, adapter) => {
        const next = plan(observed, adapter);
        if (next.act === 'load') expect(observed).toEqual([]);
        if (next.act === 'unload') expect(next.adapters).not.toContain(adapter);
      }),
    );
  });
});
