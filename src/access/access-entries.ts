import { createHash } from 'node:crypto';

import { IsIn, Matches, registerDecorator } from 'class-validator';

import { parsePlainJson } from '../http/json-body.js';
import { Problem } from '../http/problem.js';
import { faultsOf, Optional, OptionalTime } from '../http/validation.js';
import { FLEET_PATTERN } from '../lora/domain/names.js';
import { type Role, ROLES } from './roles.js';

export const TOKEN_NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** The access file cannot be used; a line for each thing that is wrong with it. Quotes no value of the file. */
export class AccessFileError extends Error {
  override readonly name = 'AccessFileError';
}

function Fleets(): PropertyDecorator {
  const message = 'must be ["*"], or a list of the names of fleets';
  return (target, property) => {
    registerDecorator({
      name: 'fleets',
      target: target.constructor,
      propertyName: String(property),
      options: { message },
      validator: { validate: isFleets },
    });
  };
}

function isFleets(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || new Set(value).size < value.length) return false;
  if (value.length === 1 && value[0] === '*') return true;
  return value.every((each) => typeof each === 'string' && FLEET_PATTERN.test(each));
}

/** A token, by what is known of it without knowing it. */
export class TokenEntry {
  @Matches(TOKEN_NAME_PATTERN, { message: `must match ${TOKEN_NAME_PATTERN.source}` })
  name!: string;

  @IsIn(ROLES, { message: `must be one of ${ROLES.join(', ')}` })
  role!: Role;

  @Fleets()
  fleets!: readonly string[];

  @Matches(/^[0-9a-f]{64}$/, {
    message: "must be the token's SHA-256, 64 digits from 0 to 9 and a to f",
  })
  sha256!: string;

  @Optional()
  @OptionalTime('The token is good until then.')
  expires_at?: string;
}

/** What the file says, and the SHA-256 of its bytes. */
export interface AccessEntries {
  readonly tokens: readonly TokenEntry[];
  readonly sha256: string;
}

/**
 * Reads an access file strictly: a slip in it must not let somebody in, or keep somebody out, unnoticed.
 * @throws AccessFileError
 */
export function parseAccessFile(bytes: Buffer): AccessEntries {
  const { tokens, ...others } = jsonObject(bytes);
  const faults = Object.keys(others).map((field) => `${shown(field)} is not a known field`);
  if (!Array.isArray(tokens) || tokens.length === 0) {
    faults.push('tokens must be a list of at least one token');
    throw new AccessFileError(faults.join('; '));
  }
  const entries: TokenEntry[] = [];
  for (const [index, value] of (tokens as unknown[]).entries()) {
    const at = `tokens[${index}]`;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      faults.push(`${at} must be an object`);
      continue;
    }
    const { instance, faults: own } = faultsOf(TokenEntry, value);
    faults.push(...own.map(({ field, message }) => `${at}.${shown(field)} ${message}`));
    if (own.length === 0) entries.push(instance);
  }
  if (faults.length === 0) faults.push(...contradictions(entries));
  if (faults.length > 0) throw new AccessFileError(faults.join('; '));
  return { tokens: entries, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function jsonObject(bytes: Buffer): Readonly<Record<string, unknown>> {
  try {
    return parsePlainJson(bytes, 'the file');
  } catch (error) {
    if (error instanceof Problem) throw new AccessFileError(error.message.replace(/\.$/, ''));
    throw error;
  }
}

/** One name is one actor: it may stand there twice while its secret is being exchanged, but not as two. */
function contradictions(entries: readonly TokenEntry[]): string[] {
  const faults: string[] = [];
  const secrets = new Set<string>();
  const meanings = new Map<string, string>();
  for (const [index, entry] of entries.entries()) {
    if (secrets.has(entry.sha256)) faults.push(`tokens[${index}].sha256 stands there already`);
    secrets.add(entry.sha256);
    const before = meanings.get(entry.name) ?? meaning(entry);
    if (before !== meaning(entry)) {
      faults.push(`tokens[${index}].name stands there already with another role or other fleets`);
    }
    meanings.set(entry.name, before);
  }
  return faults;
}

const meaning = ({ role, fleets }: TokenEntry): string => JSON.stringify([role, [...fleets].sort()]);
const shown = (field: string): string => field.slice(0, 80);
