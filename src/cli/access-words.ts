import type { AccessAtBody, AccessChange } from './answers.js';
import { table } from './table.js';
import { printable } from './text.js';
import { absolute, age } from './time-words.js';

type Access = Pick<AccessAtBody, 'access' | 'oidc'>;
type Token = AccessChange['came'][number];

/** Changes as a table: a line for each token that came or went, one where it was none. */
export function changeLines(changes: readonly AccessChange[], now: Date): string[] {
  if (changes.length === 0) return ['No changes.'];
  const rows = changes.flatMap((change) => {
    const tokens = [
      ...change.came.map((token) => ['came', ...tokenCells(token)]),
      ...change.went.map((token) => ['went', ...tokenCells(token)]),
    ];
    const when = [absolute(change.changed_at), age(change.changed_at, now), accessWords(change)];
    return (tokens.length === 0 ? [['-']] : tokens).map((cells) => [...when, ...cells]);
  });
  return table(['TIME', 'AGO', 'ACCESS', 'CHANGE', 'ACTOR', 'ROLE', 'FLEETS', 'ENDS'], rows);
}

/** Who could do what, as of one time. */
export function accessLines(access: AccessAtBody): string[] {
  const { since, until, tokens } = access;
  const span = `since ${absolute(since)}${until === null ? '' : `, until ${absolute(until)}`}`;
  const headline = `Access ${accessWords(access)}, ${span}`;
  if (tokens.length === 0) return [headline, 'No token was in force.'];
  const rows = tokens.map((token) => [...tokenCells(token), token.operations.join(' ')]);
  return [headline, ...table(['ACTOR', 'ROLE', 'FLEETS', 'ENDS', 'MAY'], rows)];
}

function accessWords({ access, oidc }: Access): string {
  return oidc === null ? access : `${access}, also by ${printable(oidc.issuer)}`;
}

function tokenCells({ name, role, fleets, expires_at }: Token): string[] {
  const ends = expires_at === null ? 'never' : absolute(expires_at);
  return [printable(`token:${name}`), role, printable(fleets.join(' ')), ends];
}
