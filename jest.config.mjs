/** .spec.ts runs in memory, .int.spec.ts on a real PostgreSQL, .e2e.spec.ts against built processes. */
export default {
  rootDir: '.',
  roots: ['<rootDir>/test'],
  testRegex: '\\.spec\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': '@swc/jest' },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  testEnvironment: 'node',
  testTimeout: 30000,
  // Most of them wait for processes and for time-outs of the service, not for the processor.
  maxWorkers: 3,
};
