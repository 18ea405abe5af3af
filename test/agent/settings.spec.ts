import { describe, expect, it } from '@jest/globals';

import { usage } from '../../src/agent/options.js';
import { type AgentSettings, AgentSettingsError, readAgentSettings } from '../../src/agent/settings.js';

const NEEDED = ['--driver', 'vllm', '--engine-url', 'http://127.0.0.1:8000'];

const read = (args: string[], env: Record<string, string> = {}): AgentSettings =>
  readAgentSettings([...NEEDED, ...args], env, 'host-1');

function problems(args: readonly string[], env: Record<string, string> = {}): readonly string[] {
  try {
    readAgentSettings(args, env, 'host-1');
  } catch (error) {
    if (error instanceof AgentSettingsError) return error.problems;
    throw error;
  }
  return [];
}

describe('the settings of the agent', () => {
  it('have defaults', () => {
    expect(read([])).toMatchObject({
      urls: ['http://127.0.0.1:8003'],
      fleet: 'default',
      id: 'host-1',
      driver: 'vllm',
      stateDir: './agent-state',
      port: 8004,
      engineKeyFile: undefined,
      tokenFile: undefined,
      disableHook: undefined,
      gatewayStripsLora: false,
      reconcileMs: 5_000,
      heartbeatMs: 5_000,
      bootGraceMs: 60_000,
      leaseMs: 0,
      unloadMs: 10_000,
      loadMs: 120_000,
    });
    expect(read([]).adapterPath('v1')).toBe('/adapters/v1');
    expect(read([]).adapterName('v1')).toBe('v1');
  });

  it('come from options, from variables, and from options first', () => {
    const env = {
      LORA_URL: 'http://a:1/, https://b/x/',
      LORA_FLEET: 'blue',
      LEASE_SECONDS: '90',
      ENGINE_ID: '',
    };
    const settings = read(['--fleet', 'green', '--gateway-strips-lora', '--reconcile-seconds=0.5'], env);
    expect(settings).toMatchObject({
      urls: ['http://a:1', 'https://b/x'],
      fleet: 'green',
      id: 'host-1',
      leaseMs: 90_000,
      gatewayStripsLora: true,
      reconcileMs: 500,
    });
  });

  it('name versions both ways', () => {
    const { adapterName, adapterPath, versionOf } = read([
      '--adapter-name',
      'a-{version}-z',
      '--adapter-path',
      's3://x/{version}/$&',
    ]);
    expect(adapterName('v1')).toBe('a-v1-z');
    expect(adapterPath('v1')).toBe('s3://x/v1/$&');
    expect(['a-v1-z', 'a--z', 'v1', 'a-z', 'a-v/1-z', 'a-a-v1-z-z'].map(versionOf)).toEqual([
      'v1',
      null,
      null,
      null,
      null,
      'a-v1-z',
    ]);
  });

  it.each<[string, readonly string[], string]>([
    ['no driver', [], '--driver (ENGINE_DRIVER) must be given: vllm, sglang, llamacpp, max, reload or none.'],
    ['no engine', ['--driver', 'max'], '--engine-url (ENGINE_URL) must be given with the driver max.'],
    [
      'an unknown driver',
      ['--driver', 'tgi'],
      '--driver (ENGINE_DRIVER) must be vllm, sglang, llamacpp, max, reload or none, not "tgi".',
    ],
    ['an unknown option', ['--drive', 'vllm'], "Unknown option '--drive'."],
    ['a word too much', ['vllm'], "Unexpected argument 'vllm'."],
    [
      'a name without a version',
      [...NEEDED, '--adapter-name', 'lora'],
      '--adapter-name (ENGINE_ADAPTER_NAME) must be a name with {version} once in it: a name that is used again serves the old version, not "lora".',
    ],
    [
      'a port',
      [...NEEDED, '--port', '99999'],
      '--port (AGENT_PORT) must be a port number from 0 to 65535, not "99999".',
    ],
    [
      'seconds',
      [...NEEDED, '--lease-seconds', '1e9'],
      '--lease-seconds (LEASE_SECONDS) must be seconds from 0 to 86400, not "1e9".',
    ],
    [
      'no seconds',
      [...NEEDED, '--reconcile-seconds', '0'],
      '--reconcile-seconds (RECONCILE_SECONDS) must be seconds from 0.01 to 86400, not "0".',
    ],
    [
      'a fleet',
      [...NEEDED, '--fleet', '*'],
      '--fleet (LORA_FLEET) must be a fleet such as default, not "*".',
    ],
    [
      'a URL with a password',
      [...NEEDED, '--url', 'http://u:secret@h'],
      '--url (LORA_URL) must be one or more http:// or https:// URLs, separated by commas, without a password in them.',
    ],
    [
      'a URL of something else',
      ['--driver', 'max', '--engine-url', 'ftp://h'],
      '--engine-url (ENGINE_URL) must be an http:// or https:// URL without a user name or a password in it.',
    ],
  ])('are refused with one line: %s', (_what, args, line) => {
    expect(problems(args)).toEqual([line]);
  });

  it('are refused all at once', () => {
    expect(problems([], { ENGINE_DRIVER: 'x', AGENT_PORT: 'y', GATEWAY_STRIPS_LORA: 'yes' })).toHaveLength(3);
  });

  it('are all in the usage', () => {
    for (const name of ['--url', 'LORA_URL', '--load-timeout-seconds', 'LORA_OPERATION_TIMEOUT_SECONDS'])
      expect(usage()).toContain(name);
  });
});
