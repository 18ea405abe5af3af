/** The log is not what it was: what was signed, or what this replica has seen of it, says otherwise. */
export class Contradiction extends Error {
  override readonly name = 'Contradiction';
}
