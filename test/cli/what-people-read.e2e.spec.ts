import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import {
  type CommandLine,
  type Ran,
  runInside,
  runLine,
  startOnTerminal,
  withoutChance,
} from '../support/command-line.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import type { Json } from '../support/http.js';
import { type Replica, startReplica } from '../support/replica.js';

describe('what people read of loractl', () => {
  let database: TestDatabase;
  let replica: Replica;
  let fleet = '';
  let fleets = 0;

  const env = () => ({ LORA_URL: replica.api.url });
  const run = (...words: string[]): Promise<Ran> => runLine(words, env());
  const onTerminal = (words: string[], more: Record<string, string> = {}): CommandLine =>
    startOnTerminal(words, { ...env(), ...more });
  const settled = (text: string): string =>
    withoutChance(text)
      .replaceAll(fleet, 'FLEET')
      .replaceAll(/generation \d+/g, 'generation G');
  const screenOf = async (line: CommandLine) => ({ code: await line.ended(), screen: settled(line.out()) });
  const screen = ({ code, out, err }: Ran) => ({ code, out: settled(out), err: settled(err) });
  /** What a pipe gets of a question; a terminal is shown the same. */
  const both = async (words: string[], same = (text: string): string => text) => {
    const [piped, shown] = await Promise.all([run(...words), screenOf(onTerminal(words))]);
    const { code, out, err } = screen(piped);
    expect({ code: shown.code, screen: same(shown.screen) }).toEqual({ code, screen: same(out) });
    return { code, out: same(out), err };
  };
  const post = (command: string, body: object = {}) =>
    replica.api.post(`/lora/${command}?fleet=${fleet}`, body);

  beforeAll(async () => {
    database = await createDatabase();
    replica = await startReplica({ env: { DATABASE_URL: database.url } });
  });

  afterAll(async () => {
    await replica.stop();
    await database.drop();
  });

  /** On v1.3, with v1.2 before it. */
  beforeEach(async () => {
    fleets += 1;
    fleet = `fleet-${fleets}`;
    await replica.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1.2' } });
    await post('deploy', { adapter_version: 'v1.3' });
  });

  it('in a pipe: kill, status, rollback, enable, history', async () => {
    const killed = await run(
      'kill',
      '--fleet',
      fleet,
      '--reason',
      'regression_detected',
      '--reference',
      'INC-7',
    );
    expect(screen(killed)).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "DISABLED since HH:MM (N s) by anonymous: regression_detected · base model; enable brings v1.3
     ",
     }
    `);
    await run('kill', '--fleet', fleet, '--reason', 'to be sure');
    expect(screen(await run('status', '--fleet', fleet))).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "DISABLED since HH:MM (N s) by anonymous: regression_detected · no engine registered · rollback now → v1.2
     fleet  FLEET, generation G of log LOG
     serves  base model; enable brings v1.3
     since  TIME (N s ago)
     last  disabled TIME (N s ago) by anonymous: to be sure
     ",
     }
    `);
    expect(screen(await run('rollback', '--fleet', fleet))).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "Rolling back v1.3 → v1.2, from generation G.
     ",
       "out": "DISABLED · base model; enable brings v1.2 · rolled back v1.3 → v1.2 TIME (N s ago) by anonymous: manual_operation · rollback now → base model
     notice: LoRA stays DISABLED; enable will bring v1.2.
     ",
     }
    `);
    expect(screen(await run('status', '--fleet', fleet))).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "DISABLED since HH:MM (N s) by anonymous: regression_detected · no engine registered · rollback now → base model
     fleet  FLEET, generation G of log LOG
     serves  base model; enable brings v1.2
     since  TIME (N s ago)
     last  rolled back v1.3 → v1.2 TIME (N s ago) by anonymous: manual_operation
     ",
     }
    `);
    expect(screen(await run('enable', '--fleet', fleet, '--reason', 'mended'))).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "ENABLED · v1.2 enabled HH:MM (N s) by anonymous: mended · rollback now → base model
     ",
     }
    `);
    expect(screen(await run('status', '--fleet', fleet))).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "ENABLED · v1.2 enabled HH:MM (N s) by anonymous: mended · no engine registered · rollback now → base model
     fleet  FLEET, generation G of log LOG
     serves  v1.2
     since  TIME (N s ago)
     ",
     }
    `);
    expect(await both(['history', '--fleet', fleet])).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "TIME  AGO  FLEET  TYPE  FROM → TO  ACTOR  REASON
     DATE TIME  N s  FLEET  LoraEnabled  v1.2  anonymous  mended
     DATE TIME  N s  FLEET  LoraRolledBack  v1.3 → v1.2  anonymous  manual_operation
     DATE TIME  N s  FLEET  LoraDisabled  v1.3  anonymous  to be sure
     DATE TIME  N s  FLEET  LoraDisabled  v1.3  anonymous  regression_detected (INC-7)
     DATE TIME  N s  FLEET  AdapterDeployed  v1.2 → v1.3  anonymous  manual_deploy
     DATE TIME  N s  FLEET  LoraInitialized  base model → v1.2  anonymous  manual_operation
     ",
     }
    `);
    const { err } = await run('history', '--fleet', fleet, '--limit', '1');
    expect(err).toMatch(/^There are older ones: --cursor \d+, or --all\.\n$/);
    const all = await run('history', '--fleet', fleet, '--limit', '2', '--all', '--json');
    expect((JSON.parse(all.out) as { events: unknown[] }).events).toHaveLength(6);
  });

  it('in a pipe: one event, a summary, fleets', async () => {
    await run('kill', '--fleet', fleet, '--reason', 'regression_detected', '--reference', 'INC-7');
    await run('enable', '--fleet', fleet, '--reason', 'mended');
    await run('kill', '--fleet', fleet, '--reason', 'again');
    const killed = String((await replica.api.get(`/lora/status?fleet=${fleet}`)).body.generation);
    const settledEvent = (text: string): string =>
      text
        .replace(/^(position +)\d+$/m, '$1N')
        .replace(/[0-9a-f]{64}/, 'HASH')
        .replace(/\S+Z \(N s ago\)/, 'TIME (N s ago)')
        .replace(/loractl\/\S+/, 'loractl/VERSION');
    expect(await both(['history', killed], settledEvent)).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "position  N
     recorded_at  TIME (N s ago)
     actor  anonymous
     adapter_version  -
     auth  none
     enabled  false
     fleet  FLEET
     from_version  v1.3
     id  UUID
     idempotency_key  UUID
     reason  again
     reference  -
     remote_address  127.0.0.1
     request_id  UUID
     schema_version  1
     source  loractl/VERSION
     to_version  v1.3
     type  LoraDisabled
     leaf_hash  HASH
     ",
     }
    `);

    const lasting = (text: string): string => text.replaceAll(/(?<= {2})[\d.]+ s\b/g, 'T s');
    expect(await both(['summary', '--fleet', fleet], lasting)).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "5 events

     TYPE  EVENTS
     AdapterDeployed  1
     LoraDisabled  2
     LoraEnabled  1
     LoraInitialized  1

     FLEET  EVENTS  DISABLED
     FLEET  5  T s

     ACTOR  EVENTS
     anonymous  5

     KILLED  AGO  FLEET  ACTOR  REASON  DISABLED  ENGINES LET GO
     DATE TIME  N s  FLEET  anonymous  again  still  not known
     DATE TIME  N s  FLEET  anonymous  regression_detected (INC-7)  T s  not known
     ",
     }
    `);
    const one = await run('summary', '--fleet', fleet, '--limit', '1');
    expect(one.err).toBe('There were more kills before these: --all.\n');
    const all = await run('summary', '--fleet', fleet, '--limit', '1', '--all', '--json');
    expect(JSON.parse(all.out)).toMatchObject({ kills: [{ reason: 'again' }, {}], next_cursor: null });

    const mine = (text: string): string => text.replaceAll(/^(?!FLEET ).*\n/gm, '');
    expect(await both(['fleets'], mine)).toMatchInlineSnapshot(`
     {
       "code": 0,
       "err": "",
       "out": "FLEET  LORA  SERVES  LAST  TIME  AGO  BY
     FLEET  DISABLED  base model; enable brings v1.3  disabled  DATE TIME  N s  anonymous: again
     ",
     }
    `);
    const { body } = await replica.api.get(`/lora/history/${killed}`);
    const then = await run('fleets', '--at', String(body.recorded_at));
    expect(then.code).toBe(0);
    expect(then.out).toMatch(
      /^As of \S+Z \(not final: nothing has been recorded since\):\nFLEET +LORA [^]*DISABLED/,
    );
    expect(JSON.parse((await run('fleets', '--json')).out)).toMatchObject({ next_cursor: null });
    expect((await run('history', '999999')).code).toBe(1);
  });

  it('on a terminal: the same in colour, unless NO_COLOR objects', async () => {
    expect(await screenOf(onTerminal(['status', '--fleet', fleet]))).toMatchInlineSnapshot(`
     {
       "code": 0,
       "screen": "<esc>[1;32mENABLED<esc>[0m · v1.3 deployed HH:MM (N s) by anonymous: manual_deploy · no engine registered · rollback now → v1.2
     fleet  FLEET, generation G of log LOG
     serves  v1.3
     since  TIME (N s ago)
     ",
     }
    `);
    expect(await screenOf(onTerminal(['kill', '--fleet', fleet]))).toMatchInlineSnapshot(`
     {
       "code": 0,
       "screen": "<esc>[1;31mDISABLED<esc>[0m since HH:MM (N s) by anonymous: manual_operation · base model; enable brings v1.3
     ",
     }
    `);
    expect(await screenOf(onTerminal(['status', '--fleet', fleet], { NO_COLOR: '1' })))
      .toMatchInlineSnapshot(`
     {
       "code": 0,
       "screen": "DISABLED since HH:MM (N s) by anonymous: manual_operation · no engine registered · rollback now → v1.2
     fleet  FLEET, generation G of log LOG
     serves  base model; enable brings v1.3
     since  TIME (N s ago)
     ",
     }
    `);
    // An empty NO_COLOR says nothing.
    const coloured = await screenOf(onTerminal(['status', '--fleet', fleet], { NO_COLOR: '' }));
    expect(coloured.screen).toMatch('<esc>[1;31mDISABLED<esc>[0m');
  });

  it('on a terminal: an enable is asked back, a kill is not', async () => {
    await post('disable', { reason: 'safety' });
    const no = onTerminal(['enable', '--fleet', fleet], { NO_COLOR: '1' });
    await no.shows('[y/N]');
    no.type('\n');
    expect(await screenOf(no)).toMatchInlineSnapshot(`
     {
       "code": 1,
       "screen": "DISABLED (disabled TIME (N s ago) by anonymous: safety)
     Enable fleet FLEET with v1.3? [y/N] 
     loractl: not done: not confirmed. Nothing was sent.
     ",
     }
    `);
    const yes = onTerminal(['enable', '--fleet', fleet], { NO_COLOR: '1' });
    await yes.shows('[y/N]');
    yes.type('y\n');
    expect(await yes.ended()).toBe(0);
    expect(yes.out()).toMatch('ENABLED · v1.3 enabled');
    await post('disable');
    const gaveUp = onTerminal(['enable', '--fleet', fleet]);
    await gaveUp.shows('[y/N]');
    gaveUp.type('\u0003');
    expect(await gaveUp.ended()).toBe(1);
    expect((await replica.api.get(`/lora/status?fleet=${fleet}`)).body.enabled).toBe(false);
    const unasked = onTerminal(['enable', '--fleet', fleet, '--yes']);
    expect(await unasked.ended()).toBe(0);
    const killed = onTerminal(['kill', '--fleet', fleet]);
    expect(await killed.ended()).toBe(0);
  });

  it('puts nothing but JSON on standard output for scripts', async () => {
    const json = async (...words: string[]): Promise<unknown> => {
      const { out } = await run(...words, '--fleet', fleet, '--json');
      expect(out.split('\n')).toHaveLength(2);
      return JSON.parse(out);
    };
    expect(await json('status')).toMatchObject({ fleet, enabled: true, convergence: { engines: 0 } });
    expect(await json('rollback', '--wait', '1')).toMatchObject({
      active_adapter_version: 'v1.2',
      convergence: { converged: null },
    });
    expect(await json('kill')).toMatchObject({ enabled: false });
    expect(await json('deploy', 'v9')).toMatchObject({ exit_code: 1, code: 'kill-switch-active' });
    expect(await json('enable', 'v1.9')).toMatchObject({ active_adapter_version: 'v1.9' });
    expect(await json('engines')).toEqual({ engines: [], next_cursor: null });
    expect(await json('history', '--type', 'LoraDisabled')).toMatchObject({
      events: [{ type: 'LoraDisabled' }],
    });
  });

  it('lets no reason write to the terminal of who reads it', async () => {
    await post('disable', { reason: '\u001b[2Jall is well\u202e' });
    const { out } = await run('status', '--fleet', fleet);
    expect(out).toMatch('�[2Jall is well�');
  });

  it('knows the state of a time', async () => {
    const time = String((await replica.api.get(`/lora/status?fleet=${fleet}`)).body.updated_at);
    await post('disable');
    const { code, out } = await run('status', '--fleet', fleet, '--at', time);
    expect(code).toBe(0);
    expect(out.split('\n').slice(0, 2)).toEqual([
      `As of ${time}:`,
      expect.stringMatching(/^ENABLED · v1.3 deployed .* · rollback now → v1.2$/),
    ]);
    expect((await run('status', '--fleet', fleet, '--at', 'yesterday')).code).toBe(2);
    expect((await run('status', '--fleet', fleet, '--at', '2020-01-01T00:00:00Z')).code).toBe(1);
  });

  it('shows engines, and waits for them', async () => {
    const report = (id: string, generation: number, adapters: string[], state = 'converged') =>
      replica.api.send('PUT', `/engines/${id}?fleet=${fleet}`, {
        body: {
          observed_generation: generation,
          log_id: logId,
          observed_adapters: adapters,
          state,
        },
      });
    const state = async () => (await replica.api.get(`/lora/status?fleet=${fleet}`)).body;
    const logId = (await state()).log_id;
    const generation = Number((await state()).generation);
    await report(`${fleet}-1`, generation, ['v1.3']);
    await report(`${fleet}-2`, generation, ['v1.3']);
    expect((await run('status', '--fleet', fleet)).out).toMatch('all 2 engines follow');
    const missed = await run('kill', '--fleet', fleet, '--wait', '1');
    expect(screen(missed)).toMatchInlineSnapshot(`
     {
       "code": 3,
       "err": "",
       "out": "DISABLED since HH:MM (N s) by anonymous: manual_operation · 0 of 2 engines counted at the commit have let go · pending: FLEET-1, FLEET-2 · base model; enable brings v1.3
     ",
     }
    `);

    const killed = Number((await state()).generation);
    await report(`${fleet}-1`, killed, []);
    const half = await run('status', '--fleet', fleet);
    expect(half.out.split('\n')[0]).toMatch(/ · 1 of 2 engines have let go · rollback now → v1\.2$/);
    await report(`${fleet}-2`, killed, ['v1.3'], 'unreachable');
    const engines = await both(['engines', '--fleet', fleet]);
    expect(engines.out.replaceAll(` ${killed} `, ' G ')).toMatchInlineSnapshot(`
     "ENGINE  FLEET  STATE  GENERATION  ADAPTERS  HEARD  ERROR
     FLEET-1  FLEET  converged  G  base model  N s ago
     FLEET-2  FLEET  unreachable  G  v1.3  N s ago
     "
    `);
    const late = onTerminal(['status', '--fleet', fleet], { NO_COLOR: '1' });
    expect(await screenOf(late)).toMatchInlineSnapshot(`
     {
       "code": 0,
       "screen": "DISABLED since HH:MM (N s) by anonymous: manual_operation · 1 of 2 engines have let go · rollback now → v1.2
     fleet  FLEET, generation G of log LOG
     serves  base model; enable brings v1.3
     since  TIME (N s ago)
     missing  unreachable: FLEET-2
     ",
     }
    `);

    expect((await run('engines', 'remove', `${fleet}-2`)).code).toBe(0);
    expect((await run('engines', 'remove', `${fleet}-2`)).code).toBe(1);
    expect((await run('status', '--fleet', fleet)).out).toMatch('the one engine has let go');
  });

  it('says in one line what is wrong with a command, and sends nothing', async () => {
    const position = async () => (await database.query('select from events')).length;
    const before = await position();
    for (const words of [
      ['kill', '--flet', fleet],
      ['kill', fleet],
      ['kill', '--fleet', '*'],
      ['kill', '--fleet', fleet, '--all'],
      ['kill', '--fleet', fleet, '--wait', 'long'],
      ['kill', '--url', 'ftp://somewhere'],
      ['kill', '--key', 'é'],
      ['rollback', '--if-match', 'yesterday'],
      ['deploy'],
      ['status', '--at', '2026-11-24T02:14:07Z', '--watch'],
      ['history', '--type', 'Kill'],
      ['history', '0'],
      ['history', '1', '--fleet', fleet],
      ['summary', '--limit', '0'],
      ['fleets', fleet],
      ['explode'],
    ]) {
      const url = words.includes('--url') ? [] : ['--url', replica.api.url];
      const { code, out, err } = await runInside([...words, ...url]);
      expect({ words, code, out, lines: err.split('\n').length }).toEqual({
        words,
        code: 2,
        out: '',
        lines: 2,
      });
    }
    const { code, err } = await runLine(['kill'], { LORA_URL: 'nowhere at all' });
    expect({ code, err }).toEqual({
      code: 2,
      err: 'loractl: LORA_URL is not usable. It must be http://host:port, or several of them with commas between. Nothing was sent.\n',
    });
    expect(await position()).toBe(before);
  });

  it('kills all fleets', async () => {
    const { code, out } = await run('kill', '--all', '--reason', 'safety');
    expect(code).toBe(0);
    expect(out).toMatch(/^DISABLED: \d+ fleets\nFLEET +GENERATION +SERVES\n/);
    expect(out).toMatch(new RegExp(`^${fleet} +\\d+ +base model; enable brings v1.3`, 'm'));
    const again = await run('kill', '--all', '--wait', '1', '--json');
    expect(again.code).toBe(3);
    const { fleets: killed } = JSON.parse(again.out) as { fleets: Json[] };
    expect(killed).toHaveLength(fleets + 1);
    for (const { fleet, generation, convergence } of killed)
      expect(convergence).toMatchObject({ fleet, generation });
  });

  it('says which fleets a kill that is told again did not kill', async () => {
    const kill = () => run('kill', '--all', '--key', `${fleet}-all`);
    expect((await kill()).out).not.toContain('notice');
    expect((await replica.api.send('PUT', `/fleets/${fleet}-since`)).status).toBe(201);
    expect((await kill()).out).toMatch(
      new RegExp(
        `^notice: This is the first answer again: fleets made since are NOT killed by it \\(1: ${fleet}-since\\)\\.`,
        'm',
      ),
    );
  });
});
