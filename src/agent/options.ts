export interface Option {
  readonly env: string;
  /** What a good value is, in words. */
  readonly wanted: string;
  readonly about: string;
  /** Its value is not repeated in messages: a URL may carry a password. */
  readonly secret?: true;
}

const url = 'an http:// or https:// URL without a user name or a password in it';
const seconds = 'seconds from 0.01 to 86400';
const fromZero = 'seconds from 0 to 86400';

/** The options of the agent, each also an environment variable. */
export const OPTIONS = {
  url: {
    env: 'LORA_URL',
    wanted: 'one or more http:// or https:// URLs, separated by commas, without a password in them',
    about: 'replicas of the control plane (http://127.0.0.1:8003)',
    secret: true,
  },
  fleet: {
    env: 'LORA_FLEET',
    wanted: 'a fleet such as default',
    about: 'the fleet that the engine belongs to (default)',
  },
  id: {
    env: 'ENGINE_ID',
    wanted: 'up to 128 letters, digits, dots, colons, underscores and hyphens',
    about: 'what the engine is called in its row (the host name)',
  },
  driver: {
    env: 'ENGINE_DRIVER',
    wanted: 'vllm, sglang, llamacpp, max, reload or none',
    about: 'the kind of engine: vllm, sglang, llamacpp, max, reload or none',
  },
  'engine-url': { env: 'ENGINE_URL', wanted: url, about: 'the engine', secret: true },
  'token-file': {
    env: 'LORA_TOKEN_FILE',
    wanted: 'a file',
    about: 'has the token for the control plane, read at each use; or LORA_TOKEN itself',
  },
  'state-dir': {
    env: 'STATE_DIR',
    wanted: 'a folder',
    about: 'where the last state is kept, and the file kill is looked for (./agent-state)',
  },
  port: {
    env: 'AGENT_PORT',
    wanted: 'a port number from 0 to 65535',
    about: 'on 127.0.0.1; 0 for any (8004)',
  },
  'adapter-path': {
    env: 'ADAPTER_PATH_TEMPLATE',
    wanted: 'a path with {version} in it',
    about: 'where the engine finds a version (/adapters/{version})',
  },
  'adapter-name': {
    env: 'ENGINE_ADAPTER_NAME',
    wanted: 'a name with {version} once in it: a name that is used again serves the old version',
    about: 'what a version is called in the engine ({version})',
  },
  'engine-key-file': {
    env: 'ENGINE_KEY_FILE',
    wanted: 'a file',
    about: "the engine's API key, read at each use",
  },
  'disable-hook': {
    env: 'ENGINE_DISABLE_HOOK',
    wanted: url,
    about: 'what a kill calls where there is no unload',
    secret: true,
  },
  'gateway-strips-lora': {
    env: 'GATEWAY_STRIPS_LORA',
    wanted: 'true or false',
    about: 'a gateway removes adapters from requests',
  },
  'reconcile-seconds': {
    env: 'RECONCILE_SECONDS',
    wanted: seconds,
    about: 'how often the engine is looked at (5)',
  },
  'heartbeat-seconds': {
    env: 'HEARTBEAT_SECONDS',
    wanted: seconds,
    about: 'how often the engine is reported (5)',
  },
  'boot-grace-seconds': {
    env: 'BOOT_GRACE_SECONDS',
    wanted: fromZero,
    about: 'how old a state on disk may be to be applied at the start (60)',
  },
  'lease-seconds': {
    env: 'LEASE_SECONDS',
    wanted: fromZero,
    about: 'base model when no state was confirmed for so long; 0 for never (0)',
  },
  'unload-timeout-seconds': {
    env: 'UNLOAD_TIMEOUT_SECONDS',
    wanted: seconds,
    about: 'for an unload (10)',
  },
  'load-timeout-seconds': {
    env: 'LORA_OPERATION_TIMEOUT_SECONDS',
    wanted: seconds,
    about: 'for a load (120)',
  },
} as const satisfies Record<string, Option>;

export type OptionName = keyof typeof OPTIONS;

/** One line for each option. */
export function usage(): string {
  const lines = Object.entries<Option>(OPTIONS).map(([name, { env, about }]) => {
    return `  --${name.padEnd(24)} ${env.padEnd(32)} ${about}`;
  });
  return `Makes one engine match the state of its fleet. Options, and the variables that stand for them:\n${lines.join('\n')}\n`;
}
