import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Role } from '../../src/access/roles.js';

/** A line of an access file, as an operator would write it. */
export interface FileToken {
  readonly name: string;
  readonly role: Role;
  readonly fleets?: readonly string[];
  readonly expires_at?: string;
  /** What its holder presents; not part of the file. */
  readonly token?: string;
}

export const newToken = (): string => `lora_${randomBytes(32).toString('base64url')}`;
export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
export const sha256Of = (token: string): string => createHash('sha256').update(token).digest('hex');

/** An access file in a folder of its own. */
export class TestAccessFile {
  private constructor(
    private readonly folder: string,
    readonly path: string,
  ) {}

  static async make(tokens: readonly FileToken[]): Promise<TestAccessFile> {
    const folder = await mkdtemp(join(tmpdir(), 'access-'));
    const file = new TestAccessFile(folder, join(folder, 'access.json'));
    await file.replace(tokens);
    return file;
  }

  /** Puts another file in its place, as editors and orchestrators do. */
  async replace(tokens: readonly FileToken[]): Promise<void> {
    await this.replaceText(textOf(tokens));
  }

  async replaceText(text: string): Promise<void> {
    await writeFile(`${this.path}.new`, text);
    await rename(`${this.path}.new`, this.path);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function textOf(tokens: readonly FileToken[]): string {
  return JSON.stringify({
    tokens: tokens.map(({ token = newToken(), fleets = ['*'], ...entry }) => ({
      ...entry,
      fleets,
      sha256: sha256Of(token),
    })),
  });
}
