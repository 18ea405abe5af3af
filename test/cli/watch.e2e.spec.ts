import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

import { startLine, withoutChance } from '../support/command-line.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';

describe('loractl status --watch', () => {
  let database: TestDatabase;
  let replica: Replica;

  const start = (): Promise<Replica> => startReplica({ env: { DATABASE_URL: database.url } });

  beforeAll(async () => {
    database = await createDatabase();
    replica = await start();
  });

  afterAll(async () => {
    await replica.stop();
    await database.drop();
  });

  it('tells each new state once, goes to another replica, and ends by Ctrl-C with 0', async () => {
    const first = await start();
    const watch = startLine(['status', '--watch', '--url', `${first.api.url},${replica.api.url}`]);
    await watch.shows(/^ENABLED · base model made .*\n/);
    await first.api.post('/lora/deploy', { adapter_version: 'v1.2' });
    await watch.shows('serves v1.2');
    await first.stop('SIGKILL');
    await replica.api.post('/lora/disable', { reason: 'regression' });
    await watch.shows('DISABLED');
    watch.process.kill('SIGINT');
    expect(await watch.ended()).toBe(0);
    const told = withoutChance(watch.out()).split('\n').slice(4);
    expect(told).toEqual([
      'ENABLED · serves v1.2 · deployed TIME (N s ago) by anonymous: manual_deploy · rollback now → base model · generation 2',
      'DISABLED · serves base model; enable brings v1.2 · disabled TIME (N s ago) by anonymous: regression · rollback now → base model · generation 3',
      '',
    ]);
    expect(watch.err()).toBe('');
  });

  it('reads and waits where no stream gets through', async () => {
    // A proxy that lets everything pass but streams.
    let refused = 0;
    const front = createServer((incoming, answer) => {
      if (incoming.url?.startsWith('/lora/stream')) {
        refused += 1;
        answer.writeHead(404, { 'Content-Type': 'text/html' }).end('<html></html>');
        return;
      }
      const { method, url, headers } = incoming;
      const passed = request(replica.api.url + (url ?? ''), { method, headers }, (response) => {
        answer.writeHead(response.statusCode ?? 0, response.headers);
        response.pipe(answer);
      });
      passed.on('error', () => answer.destroy());
      incoming.pipe(passed);
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    const { port } = front.address() as AddressInfo;
    const watch = startLine(['status', '--watch', '--json', '--url', `127.0.0.1:${port}`]);
    await watch.shows('"generation"');
    for (const version of ['v1.3', 'v1.4']) {
      await replica.api.post('/lora/enable', { adapter_version: version });
      await watch.shows(`"active_adapter_version":"${version}"`);
    }
    watch.process.kill('SIGINT');
    expect(await watch.ended()).toBe(0);
    const states = watch
      .out()
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { active_adapter_version: string | null }).active_adapter_version);
    expect(states.slice(1)).toEqual(['v1.3', 'v1.4']);
    expect(refused).toBeGreaterThan(0);
    front.closeAllConnections();
    front.close();
  });

  it('says when nobody answers any more, and when somebody does again', async () => {
    const only = await start();
    const watch = startLine(['status', '--watch', '--url', only.api.url]);
    await watch.shows('serves');
    await only.stop('SIGKILL');
    await watch.tells('no replica can tell now');
    const { port } = new URL(only.api.url);
    const again = await startReplica({ env: { DATABASE_URL: database.url, PORT: port } });
    await watch.tells('tells again');
    await again.api.post('/lora/disable', { reason: 'at last' });
    await watch.shows('at last');
    watch.process.kill('SIGINT');
    expect(await watch.ended()).toBe(0);
    await again.stop();
  });
});
