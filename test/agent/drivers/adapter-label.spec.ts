import { describe, expect, it } from '@jest/globals';

import { labelOf } from '../../../src/agent/drivers/adapter-label.js';
import { isVersion } from '../../../src/agent/fleet-state.js';
import { settingsFor } from '../../support/engines/driver-settings.js';

const url = new URL('http://127.0.0.1:9');
const plain = settingsFor(url);
const prefixed = settingsFor(url, { name: 'lora-{version}' });

describe('what an adapter is called', () => {
  it('is its version, under its own name', () => {
    expect(labelOf({ name: 'v1.2' }, plain)).toBe('v1.2');
    expect(labelOf({ name: 'lora-v1.2' }, prefixed)).toBe('v1.2');
  });

  it('is its version, from its own path', () => {
    expect(labelOf({ name: 'v1.2', path: '/adapters/v1.2' }, plain)).toBe('v1.2');
  });

  it('is not its version from elsewhere', () => {
    const label = labelOf({ name: 'lora-v1.2', path: '/other/path' }, prefixed);
    expect(label).toBe('lora-v1.2 (from /other/path)');
    expect(isVersion(label)).toBe(false);
  });

  it('is its name, when that is not ours', () => {
    expect(labelOf({ name: 'org/adapter', path: '/other/path' }, plain)).toBe('org/adapter');
  });

  it("is no version when somebody else's name looks like one", () => {
    const label = labelOf({ name: 'v1.2' }, prefixed);
    expect(label).toBe('v1.2 (not ours)');
    expect(isVersion(label)).toBe(false);
  });
});
