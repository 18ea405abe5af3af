import { type DriverSettings, EngineError } from '../driver.js';
import { ask, below, membersOf } from './engine-http.js';
import { refusal } from './refusal.js';

/** An entry of `GET /v1/models`: a base model or an adapter. */
export interface Model {
  readonly id: string;
  /** From where it was loaded. */
  readonly root: string | undefined;
  /** Of an adapter, on engines that tell: the base model. */
  readonly parent: string | undefined;
}

export interface Models {
  /** The names of the base model; the first is its own. */
  readonly base: readonly string[];
  readonly adapters: readonly Model[];
}

/** @throws EngineError also when the answer is no list: adapters that cannot be read must not look unloaded */
export async function readModels(settings: DriverSettings, signal: AbortSignal): Promise<readonly Model[]> {
  const url = below(settings.engineUrl, '/v1/models');
  const reply = await ask('GET', url, { key: settings.engineKey, signal });
  if (!reply.ok) throw refusal(reply, 'list', 'no GET /v1/models there');
  const { data } = membersOf(reply.body);
  if (!Array.isArray(data))
    throw new EngineError('refused', 'list: GET /v1/models answers no list of models');
  return data.map((entry: unknown) => {
    const { id, root, parent } = membersOf(entry);
    if (typeof id !== 'string') throw new EngineError('refused', 'list: a model without an id');
    return { id, root: textOrNone(root), parent: textOrNone(parent) };
  });
}

/** Engines whose adapters name their base model. */
export function byParent(models: readonly Model[]): Models {
  return {
    base: models.filter(({ parent }) => parent === undefined).map(({ id }) => id),
    adapters: models.filter(({ parent }) => parent !== undefined),
  };
}

/** Engines that list the base model first and then bare names. */
export function byOrder(models: readonly Model[]): Models {
  return { base: models.slice(0, 1).map(({ id }) => id), adapters: models.slice(1) };
}

function textOrNone(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
