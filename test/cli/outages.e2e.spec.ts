import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { type Ran, runInside, runLine, startLine, withoutChance } from '../support/command-line.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { lockHead } from '../support/head-lock.js';
import { eventually } from '../support/http.js';
import { type Replica, startReplica } from '../support/replica.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** A port that nobody listens at. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function serve(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** One clear line, no stack. */
function line({ code, out, err }: Ran): { code: number | null; out: string; err: string } {
  expect(err).toMatch(/^loractl: [^\n]+\n$/);
  expect(err).not.toMatch(/\bat \S+:\d+/);
  return { code, out, err: withoutChance(err) };
}

const COMMANDS = [['kill'], ['enable'], ['rollback'], ['deploy', 'v9']];
const REMOVAL = ['engines', 'remove', 'e-1'];
const READS = [
  ...[['status'], ['history'], ['history', '1'], ['summary'], ['fleets'], ['engines'], ['export']],
  ...[['checkpoint'], ['refusals'], ['access']],
];

describe('loractl against', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let [a, b]: Replica[] = [];
  let fleet = '';
  let fleets = 0;

  const of = (replica: Replica | undefined): Replica => {
    if (replica === undefined) throw new Error('It did not start.');
    return replica;
  };
  const api = () => of(b).api;
  const urlOf = (replica: Replica | undefined): string => of(replica).api.url;
  const eventsOf = async (): Promise<string[]> => {
    const rows = await database.query<{ type: string }>(
      'select type from events where fleet = $1 order by position offset 2',
      [fleet],
    );
    return rows.map(({ type }) => type);
  };
  const startA = () => startReplica({ env: { DATABASE_URL: proxy.through(database.url) } });

  /** A reaches its database through the proxy, B has a way of its own. */
  beforeAll(async () => {
    database = await createDatabase();
    const { port } = new URL(database.url);
    proxy = await TcpProxy.to(() => Number(port));
    [a, b] = await Promise.all([startA(), startReplica({ env: { DATABASE_URL: database.url } })]);
  });

  afterAll(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    await proxy.close();
    await database.drop();
  });

  /** On v1.3, with v1.2 before it. */
  beforeEach(async () => {
    fleets += 1;
    fleet = `fleet-${fleets}`;
    await api().send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1.2' } });
    await api().post(`/lora/deploy?fleet=${fleet}`, { adapter_version: 'v1.3' });
  });

  it('no service: not done', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    const all = [...COMMANDS, REMOVAL, ...READS].map((words) =>
      runLine([...words, '--url', url, '--timeout', '1']),
    );
    for (const [index, ran] of (await Promise.all(all)).entries()) {
      const { code, out, err } = line(ran);
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(index <= COMMANDS.length ? /^loractl: not done: / : /^loractl: no answer: /);
      expect(err).toMatch('http://127.0.0.1:PORT refuses the connection');
    }
  });

  it('a wrong URL, where another web server answers: not done, and it is said', async () => {
    for (const [status, kind] of [
      [200, 'text/html'],
      [404, 'text/html'],
      [200, 'application/json'],
      [204, undefined],
    ] as const) {
      const { url, server } = await serve((_, response) => {
        response.writeHead(status, kind === undefined ? {} : { 'Content-Type': kind });
        response.end(kind === 'application/json' ? '{"hello":"world"}' : '<html><h1>Welcome!</h1></html>');
      });
      const all = [...COMMANDS, ...READS, ...(status === 204 ? [] : [REMOVAL])];
      const runs = all.map((words) => runInside([...words, '--url', url]));
      for (const ran of await Promise.all(runs)) {
        const { code, out, err } = line(ran);
        expect({ code, out }).toEqual({ code: 1, out: '' });
        expect(err).toMatch(`is not the control plane (answers ${status} with ${kind ?? 'nothing'})`);
      }
      // Beside it, the right one is found.
      const { code } = await runLine(['kill', '--fleet', fleet, '--url', `${url},${urlOf(b)}`]);
      expect(code).toBe(0);
      server.close();
    }
    expect(await eventsOf()).toEqual(Array<string>(4).fill('LoraDisabled'));
    // A proxy does not tell whether it passed the kill on.
    const { url, server } = await serve((_, response) => {
      response.writeHead(502, { 'Content-Type': 'text/html' }).end('<html>502 Bad Gateway</html>');
    });
    const { code, err } = line(await runLine(['kill', '--url', url, '--timeout', '1']));
    server.close();
    expect(code).toBe(4);
    expect(err).toMatch(
      /^loractl: OUTCOME UNKNOWN: .* answers 502 .*: loractl kill --key UUID --url http:\/\/127\.0\.0\.1:PORT\n$/,
    );
  });

  it('an unknown fleet: refused, and the fleets there are', async () => {
    for (const words of [...COMMANDS, ['status'], ['history'], ['summary'], ['engines'], ['export']]) {
      const { code, out, err } = line(await runInside([...words, '--fleet', 'nope', '--url', urlOf(b)]));
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/^loractl: refused: There is no fleet nope\. The fleets are: default, fleet-1/);
    }
  });

  it('a disk that is full: a read is not done, a kill stands', async () => {
    const ends = [
      [['history', '--json'], 1],
      [['kill'], 0],
    ] as const;
    for (const [words, code] of ends) {
      const ran = await runInside([...words, '--fleet', fleet, '--url', urlOf(b)], 'ENOSPC');
      expect(ran.code).toBe(code);
      expect(ran.err).toBe('loractl: standard output did not take all of the answer: ENOSPC.\n');
    }
    expect(await eventsOf()).toEqual(['LoraDisabled']);
  });

  it('a service whose database hangs: unknown, and what to type settles it', async () => {
    // The kill is on its way when the database falls silent: a replica that has noticed does not send it.
    const lock = await lockHead(database);
    const words = ['kill', '--fleet', fleet, '--reason', 'it is bad', '--url', urlOf(a), '--timeout', '1'];
    const kill = startLine(words);
    await lock.waiters(1);
    proxy.set('hole');
    await lock.release();
    try {
      const killed = { code: await kill.ended(), out: kill.out(), err: kill.err() };
      const { code, out, err } = line(killed);
      expect({ code, out }).toEqual({ code: 4, out: '' });
      const typed =
        /: loractl (kill --fleet \S+ --reason 'it is bad' --key \S+)/.exec(killed.err)?.[1] ?? err;
      // Nothing that was decided on what cannot be known is even sent.
      const changed = line(
        await runLine(['rollback', '--fleet', fleet, '--url', urlOf(a), '--timeout', '1']),
      );
      expect(changed.code).toBe(1);
      expect(changed.err).toMatch('Nothing was sent.');
      const again = typed
        .replace("'it is bad'", 'REASON')
        .split(' ')
        .map((word) => (word === 'REASON' ? 'it is bad' : word));
      // The replica that is cut off, first; the other one takes it.
      const settled = await runLine([...again, '--url', `${urlOf(a)},${urlOf(b)}`]);
      expect(settled.code).toBe(0);
      expect((await runLine([...again, '--url', urlOf(b)])).code).toBe(0);
    } finally {
      proxy.set('pass');
    }
    expect(await eventsOf()).toEqual(['LoraDisabled']);
  });

  it('a service whose database is stopped: not done, and a status that says that it is stale', async () => {
    const stopped = await TcpProxy.to(() => Number(new URL(database.url).port));
    const lonely = await startReplica({ env: { DATABASE_URL: stopped.through(database.url) } });
    try {
      await stopped.close();
      await eventually(async () => 'stale' in (await lonely.api.get(`/lora/status?fleet=${fleet}`)).body);
      const killed = line(
        await runLine(['kill', '--fleet', fleet, '--url', urlOf(lonely), '--timeout', '1']),
      );
      expect(killed).toMatchObject({ code: 1, out: '' });
      expect(killed.err).toMatch(/^loractl: not done: .*Nothing was changed\.\n$/);
      const others = [
        ...COMMANDS.slice(1),
        REMOVAL,
        ...READS.filter(([word]) => word !== 'status' && word !== 'checkpoint'),
      ];
      const asked = others.map((words) => runInside([...words, '--url', urlOf(lonely), '--timeout', '1']));
      for (const [index, ran] of (await Promise.all(asked)).entries()) {
        const { code, out, err } = line(ran);
        const words = others[index];
        expect({ words, code, out }).toEqual({ words, code: 1, out: '' });
        if (index < COMMANDS.length - 1) expect(err).toMatch(/^loractl: not done: .* Nothing was sent\.\n$/);
        else if (words === REMOVAL) expect(err).toMatch(/^loractl: not done: .* Nothing was changed\.\n$/);
        else expect(err).toMatch(/^loractl: no answer: /);
      }
      expect(await eventsOf()).toEqual([]);
      const { code, out } = await runLine(['status', '--fleet', fleet, '--url', urlOf(lonely)]);
      expect(code).toBe(0);
      expect(withoutChance(out)).toMatch(
        /^STALE since TIME \(N s ago\): the log cannot be asked. This is what was last known:\nENABLED · v1\.3/,
      );
      // Another replica knows better.
      const better = await runLine(['status', '--fleet', fleet, '--url', `${urlOf(lonely)},${urlOf(b)}`]);
      expect(better.out).toMatch(/^ENABLED · v1\.3/);
      expect((await runLine(['kill', '--fleet', fleet, '--url', `${urlOf(lonely)},${urlOf(b)}`])).code).toBe(
        0,
      );
      expect(await eventsOf()).toEqual(['LoraDisabled']);
    } finally {
      await lonely.stop();
    }
  });

  it('a replica that is killed in the middle of its calls: each lands once, through the other one', async () => {
    const doomed = await startReplica({ env: { DATABASE_URL: database.url } });
    const url = `${urlOf(doomed)},${urlOf(b)}`;
    const lock = await lockHead(database);
    const deploy = startLine(['deploy', 'v7', '--url', url]);
    await lock.waiters(1);
    const kill = runInside(['kill', '--fleet', fleet, '--url', url]);
    await lock.waiters(1, 'spare lane');
    await doomed.stop('SIGKILL');
    await lock.release();
    expect(await kill).toEqual({
      code: 0,
      out: expect.stringMatching(/^DISABLED since /) as unknown,
      err: '',
    });
    expect({ code: await deploy.ended(), err: deploy.err() }).toEqual({ code: 0, err: '' });
    expect(await eventsOf()).toEqual(['LoraDisabled']);
    expect(await database.query("select from events where adapter_version = 'v7'")).toHaveLength(1);
  });

  it('the only replica, killed in the middle of its call: unknown', async () => {
    const doomed = await startReplica({ env: { DATABASE_URL: database.url } });
    const lock = await lockHead(database);
    const kill = startLine(['kill', '--fleet', fleet, '--timeout', '2', '--url', urlOf(doomed)]);
    await lock.waiters(1);
    await doomed.stop('SIGKILL');
    await lock.release();
    const { code, err } = line({ code: await kill.ended(), out: kill.out(), err: kill.err() });
    expect(code).toBe(4);
    expect(err).toMatch(/^loractl: OUTCOME UNKNOWN: the kill of fleet \S+ may have landed or not: /);
    const key = /--key (\S+)/.exec(kill.err())?.[1] ?? '';
    expect((await runLine(['kill', '--fleet', fleet, '--key', key, '--url', urlOf(b)])).code).toBe(0);
    expect(await eventsOf()).toEqual(['LoraDisabled']);
  });

  it('Ctrl-C in the middle of a call: unknown, with the key', async () => {
    const lock = await lockHead(database);
    const kill = startLine(['kill', '--fleet', fleet, '--url', urlOf(b), '--json']);
    await lock.waiters(1);
    kill.process.kill('SIGINT');
    expect(await kill.ended()).toBe(4);
    await lock.release();
    expect(kill.err()).toMatch('interrupted');
    const { idempotency_key: key } = JSON.parse(kill.out()) as { idempotency_key: string };
    expect((await runLine(['kill', '--fleet', fleet, '--key', key, '--url', urlOf(b)])).code).toBe(0);
    expect(await eventsOf()).toEqual(['LoraDisabled']);
  });

  it('SIGTERM in the middle of a deploy: unknown, and what to type is the very same command', async () => {
    const lock = await lockHead(database);
    const deploy = startLine(['deploy', 'v1.4', '--fleet', fleet, '--url', urlOf(b)]);
    await lock.waiters(1);
    deploy.process.kill('SIGTERM');
    expect(await deploy.ended()).toBe(4);
    await lock.release();
    const [, typed = ''] = /: loractl (deploy .*)\n$/.exec(deploy.err()) ?? [];
    expect(typed).toMatch(/^deploy v1\.4 --fleet \S+ --if-match [0-9a-f]{8}-\d+ --key \S+ --url \S+$/);
    for (let round = 0; round < 2; round += 1) {
      const { code, out } = await runLine(typed.split(' '));
      expect(code).toBe(0);
      expect(out).toMatch(/^ENABLED · v1\.4 deployed /);
    }
    expect(await eventsOf()).toEqual(['AdapterDeployed']);
  });

  it('two who roll back together: one step, and the second is told who was first', async () => {
    const lock = await lockHead(database);
    const both = [a, b].map((replica) =>
      startLine(['rollback', '--fleet', fleet, '--reason', 'both', '--url', urlOf(replica)]),
    );
    await lock.waiters(2);
    await lock.release();
    const codes = await Promise.all(both.map((each) => each.ended()));
    expect([...codes].sort()).toEqual([0, 1]);
    const second = both[codes.indexOf(1)];
    expect(withoutChance(second?.err() ?? '').replace(/generation \d+/, 'generation G')).toBe(
      'Rolling back v1.3 → v1.2, from generation G.\n' +
        'loractl: not done: somebody was first: rolled back v1.3 → v1.2 TIME (N s ago) by anonymous: both. ' +
        'Nothing was changed; the fleet serves v1.2.\n',
    );
    expect(await eventsOf()).toEqual(['LoraRolledBack']);
  });

  it('two who deploy together: the second is refused, for it was decided on what the first has changed', async () => {
    const lock = await lockHead(database);
    const both = [a, b].map((replica, index) =>
      runInside(['deploy', `v${8 + index}`, '--fleet', fleet, '--url', urlOf(replica)]),
    );
    await lock.waiters(2);
    await lock.release();
    const [first, second] = (await Promise.all(both)).sort(
      (one, other) => Number(one.code) - Number(other.code),
    );
    expect([first?.code, second?.code]).toEqual([0, 1]);
    expect(second?.err).toMatch(/^loractl: not done: somebody was first: deployed v1\.3 → v[89] /);
    expect(await eventsOf()).toEqual(['AdapterDeployed']);
  });

  it('its own past: a kill that was lifted since does not look like a fresh one', async () => {
    const words = ['kill', '--fleet', fleet, '--key', `old-${fleet}`, '--url', urlOf(b)];
    expect((await runLine(words)).code).toBe(0);
    expect((await runLine(['enable', '--fleet', fleet, '--url', urlOf(b)])).code).toBe(0);
    const { code, out, err } = line(await runLine(words));
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toMatch(/^loractl: NOT IN FORCE: .* was enabled by anonymous: manual_operation since\./);
    expect(await eventsOf()).toEqual(['LoraDisabled', 'LoraEnabled']);
  });
});
