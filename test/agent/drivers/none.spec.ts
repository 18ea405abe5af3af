import { describe, expect, it } from '@jest/globals';

import { drivers } from '../../../src/agent/drivers/drivers.js';
import { DRIVER_NAMES } from '../../../src/agent/settings.js';
import { errorOf, patient, settingsFor } from '../../support/engines/driver-settings.js';

const chosen = 'none' as (typeof DRIVER_NAMES)[number];
const settings = settingsFor(new URL('http://127.0.0.1:9'));

describe('the driver without an engine', () => {
  it('lists nothing, can do nothing, and says so', async () => {
    const driver = drivers[chosen](settings);
    expect(await driver.list(patient())).toEqual({ adapters: [], baseModel: null });
    expect(await errorOf(driver.ensureLoaded('v1.2', patient(), (asking) => asking))).toMatchObject({
      kind: 'unsupported',
    });
    expect(await errorOf(driver.ensureUnloaded('v1.2', patient()))).toMatchObject({ kind: 'unsupported' });
    expect(driver.advisory).toBe(true);
  });
});

describe('the drivers', () => {
  it('are those that an operator can choose', () => {
    expect(Object.keys(drivers).sort()).toEqual([...DRIVER_NAMES].sort());
  });
});
