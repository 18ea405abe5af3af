import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chown, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type EmbeddedServer, joinEmbeddedServer } from '../../src/database/embedded-server.js';
import { prepareDatabase, UnfitDatabaseError } from '../../src/database/prepare-database.js';
import { cleanUp, query, until, usedFolder } from './embedded-members.js';

const quiet = { log: () => undefined, warn: () => undefined };

describe('a server that could lose or hide what it acknowledged', () => {
  let folder: string;
  let server: EmbeddedServer;

  beforeEach(async () => {
    folder = await usedFolder();
    server = await joinEmbeddedServer(folder, () => undefined);
  });
  afterEach(async () => {
    await server.leave();
    await cleanUp();
  });

  const show = async (setting: string): Promise<unknown> =>
    (await query<{ value: string }>(server.ownerUrl, `select current_setting('${setting}') as value`))[0]
      ?.value;
  const tables = (): Promise<object[]> =>
    query(server.ownerUrl, "select relname from pg_class where relnamespace = 'public'::regnamespace");

  it('is refused with fsync off, before anything is made in it, and taken when it is on', async () => {
    await query(server.ownerUrl, 'alter system set fsync = off');
    await query(server.ownerUrl, 'select pg_reload_conf()');
    await until(async () => (await show('fsync')) === 'off');
    const refused = prepareDatabase(server.ownerUrl, undefined, quiet);
    await expect(refused).rejects.toBeInstanceOf(UnfitDatabaseError);
    await expect(refused).rejects.toThrow(
      'The database runs with fsync off and could lose acknowledged kills; turn it on.',
    );
    expect(await tables()).toEqual([]);

    await query(server.ownerUrl, 'alter system reset fsync');
    await query(server.ownerUrl, 'select pg_reload_conf()');
    await until(async () => (await show('fsync')) === 'on');
    await prepareDatabase(server.ownerUrl, undefined, quiet);
    expect((await tables()).length).toBeGreaterThan(5);
  });

  it('is refused as a standby, also one that has the whole log', async () => {
    const serviceUrl = await prepareDatabase(server.ownerUrl, undefined, quiet);
    await server.leave();

    const data = join(folder, 'postgres/cluster/data');
    const signal = join(data, 'standby.signal');
    const { uid, gid } = await stat(data);
    await writeFile(signal, '');
    await chown(signal, uid, gid);
    server = await joinEmbeddedServer(folder, () => undefined);

    expect(await query(server.ownerUrl, 'select pg_is_in_recovery() as standby')).toEqual([
      { standby: true },
    ]);
    const moved = new URL(serviceUrl);
    moved.port = new URL(server.ownerUrl).port;
    for (const url of [server.ownerUrl, moved.href]) {
      const refused = prepareDatabase(url, undefined, quiet);
      await expect(refused).rejects.toBeInstanceOf(UnfitDatabaseError);
      await expect(refused).rejects.toThrow('The database is a standby; the service needs the primary.');
    }
  });
});
