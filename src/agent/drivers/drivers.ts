import type { Driver, DriverSettings } from '../driver.js';
import { llamacpp } from './llamacpp.js';
import { max } from './max.js';
import { none } from './none.js';
import { reload } from './reload.js';
import { sglang } from './sglang.js';
import { vllm } from './vllm.js';

/** By the name that an operator chooses them with. */
export const drivers = { vllm, sglang, llamacpp, max, reload, none } satisfies Record<
  string,
  (settings: DriverSettings) => Driver
>;
