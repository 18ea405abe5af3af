/** Who may import whom between the rooms of src/. The rules are the architecture; see docs/adr/0002. */
const room = (name) => `^src/${name}/`;
const only = (from, ...to) => ({
  name: `${from}-imports-only-${to.join('-') || 'itself'}`,
  severity: 'error',
  from: { path: room(from) },
  to: { path: '^src/', pathNot: [from, ...to].map(room) },
});

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src/' }, to: {} },
    {
      name: 'domain-is-pure',
      severity: 'error',
      from: { path: '^src/lora/domain/' },
      to: { pathNot: '^src/lora/domain/' },
    },
    {
      name: 'audit-core-is-pure',
      comment: 'A verifier that shares nothing else with the service runs it.',
      severity: 'error',
      from: { path: '^src/audit/core/' },
      to: { pathNot: ['^src/audit/core/', '^src/lora/domain/', '^(node:)?crypto$'] },
    },
    only('config', 'lora/domain'),
    only('database', 'config'),
    only('http', 'config', 'lora/domain'),
    only('event-store', 'config', 'database', 'lora/domain', 'audit/core'),
    only('lora', 'config', 'event-store', 'http', 'stream', 'engines', 'audit/core'),
    only('stream', 'config', 'event-store', 'database', 'lora/domain', 'http'),
    only('metrics', 'config', 'event-store', 'database', 'lora/domain', 'http', 'stream', 'engines'),
    only('engines', 'config', 'event-store', 'database', 'lora/domain', 'http'),
    only('access', 'config', 'event-store', 'database', 'lora/domain', 'http'),
    only('agent', 'sse'),
    only('sse'),
    only('history', 'event-store', 'database', 'lora/domain', 'http', 'audit/core'),
    only('audit', 'config', 'event-store', 'database', 'lora/domain', 'http'),
    only('health', 'config', 'access', 'audit', 'event-store', 'database', 'lora/domain', 'http'),
    {
      name: 'cli-talks-http-only',
      comment:
        'Of the server it knows the shapes of the answers, and pure code: what checks evidence, what reads a stream.',
      severity: 'error',
      from: { path: room('cli') },
      to: {
        path: '^src/',
        pathNot: ['cli', 'audit/core', 'sse'].map(room),
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'no-foreign-controllers',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '\\.controller\\.ts$', pathNot: '^src/$1/' },
    },
    {
      name: 'migrations-stand-alone',
      severity: 'error',
      from: { path: '^migrations/' },
      to: { path: '^src/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
