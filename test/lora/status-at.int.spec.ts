import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import type { Reply } from '../support/http.js';
import { appendsNothing, expectInvalid, expectProblem } from '../support/problem.js';

let service: TestApp;
/** The answers to what was done, in order. */
const answers: Reply[] = [];
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  const post = (command: string, body: object) => service.api.post(`/lora/${command}?fleet=past`, body);
  answers.push(await service.api.send('PUT', '/fleets/past', { body: { adapter_version: 'v1' } }));
  answers.push(await post('deploy', { adapter_version: 'v2' }));
  answers.push(await post('rollback', { reason: 'back' }));
  answers.push(await post('disable', { reason: 'regression' }));
  answers.push(await post('enable', { adapter_version: 'v3' }));
});
afterAll(() => service.close());

const at = (time: string, fleet = 'past'): Promise<Reply> =>
  service.api.get(`/lora/status?fleet=${fleet}&at=${encodeURIComponent(time)}`);

/** Microseconds since 1970 of a time of the log, and back; a Date would lose the last three digits. */
const micros = (time: string): bigint =>
  BigInt(Date.parse(`${time.slice(0, 19)}Z`)) * 1000n + BigInt(time.slice(20, 26));
const timeOf = (us: bigint): string =>
  `${new Date(Number(us / 1_000_000n) * 1000).toISOString().slice(0, 19)}.${String(us % 1_000_000n).padStart(6, '0')}Z`;
const shifted = (time: string, by: bigint): string => timeOf(micros(time) + by);
const updatedAt = (reply: Reply | undefined): string => String(reply?.body.updated_at);

/** The state of an answer, without what only answers say. */
function stateOf(reply: Reply | undefined): Record<string, unknown> {
  const said = ['notice', 'status', 'version', 'from_version', 'message', 'receipt'];
  return Object.fromEntries(Object.entries(reply?.body ?? {}).filter(([name]) => !said.includes(name)));
}

describe('GET /lora/status?at=', () => {
  it('is the state as of the last event at or before that time, to the microsecond', async () => {
    for (const [index, answer] of answers.entries()) {
      const time = updatedAt(answer);
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      const isLast = index === answers.length - 1;
      for (const moment of [time, shifted(time, 1n)]) {
        const reply = await at(moment);
        expect(reply.status).toBe(200);
        expect(reply.body).toStrictEqual({ ...stateOf(answer), final: !isLast });
        expect(reply.headers.get('etag')).toBe(answer.headers.get('etag'));
      }
      const before = await at(shifted(time, -1n));
      if (index === 0) expectProblem(before, 'no-state-yet', '/lora/status');
      else expect(before.body).toStrictEqual({ ...stateOf(answers[index - 1]), final: true });
    }
  });

  it('tells events of one commit apart, a microsecond from each other', async () => {
    for (let nth = 0; nth < 20; nth += 1) await service.api.send('PUT', `/fleets/many-${nth}`);
    await service.api.post('/lora/disable?fleet=*', { reason: 'all' });
    const rows = await service.database.query<{ fleet: string; at: string; generation: number }>(
      `select fleet, rfc3339(recorded_at) as at, position::int as generation from events
       where type = 'LoraDisabled' and reason = 'all' order by position`,
    );
    expect(rows.length).toBeGreaterThan(20);
    for (const [index, { fleet, at: time, generation }] of rows.entries()) {
      const final = index < rows.length - 1;
      expect((await at(time, fleet)).body).toMatchObject({ generation, enabled: false, final });
      expect((await at(shifted(time, -1n), fleet)).body).toMatchObject({ enabled: true, final: true });
    }
    await service.api.post('/lora/enable?fleet=past');
  });

  it('is final once the log holds a later event, of whatever fleet', async () => {
    const last = await service.api.post('/lora/disable?fleet=past');
    const time = updatedAt(last);
    expect((await at(time)).body).toMatchObject({ generation: last.body.generation, final: false });
    const later = await service.api.post('/lora/disable');
    expect((await at(time)).body).toMatchObject({ generation: last.body.generation, final: true });
    // Between two events, too; from the later one on it is open again.
    const between = shifted(updatedAt(later), -1n);
    expect((await at(between)).body).toMatchObject({ generation: last.body.generation, final: true });
    expect((await at(updatedAt(later))).body).toMatchObject({ final: false });
  });

  it('of a time that is still to come is the head, and never final', async () => {
    const head = await service.api.get('/lora/status?fleet=past');
    for (const time of ['9999-12-31T23:59:59.999999Z', new Date(Date.now() + 3_600_000).toISOString()]) {
      const reply = await at(time);
      expect(reply.body).toStrictEqual({ ...head.body, final: false });
      expect(reply.headers.get('etag')).toBe(head.headers.get('etag'));
    }
  });

  it('of a time that is still to come is the head also where that is ahead of the clock', async () => {
    const ahead = await startApp();
    await ahead.database.query("update log_head set recorded_at = recorded_at + interval '1 hour'");
    const { body } = await ahead.api.post('/lora/disable');
    const soon = new Date(Date.now() + 60_000).toISOString();
    expect(String(body.updated_at) > soon).toBe(true);
    const reply = await ahead.api.get(`/lora/status?at=${soon}`);
    expect(reply.body).toMatchObject({ generation: body.generation, enabled: false, final: false });
    const fleets = await ahead.api.get(`/fleets?at=${soon}`);
    expect(fleets.body).toMatchObject({ final: false, fleets: [{ generation: body.generation }] });
    // What was before it, is.
    const first = await ahead.api.get(`/lora/status?at=${new Date(Date.now() - 1).toISOString()}`);
    expect(first.body).toMatchObject({ enabled: true, final: true });
    await ahead.close();
  });

  it('takes every form of RFC 3339', async () => {
    const time = updatedAt(answers[1]);
    const us = micros(time);
    const local = timeOf(us + 5_400_000_000n).replace('Z', '+01:30');
    for (const form of [local, timeOf(us - 28_800_000_000n).replace('Z', '-08:00')])
      expect((await at(form)).body.generation).toBe(answers[1]?.body.generation);
    // Without a fraction it is the beginning of the second: the last event at or before that.
    const second = `${time.slice(0, 19)}Z`;
    const known = answers.filter((answer) => micros(updatedAt(answer)) <= (us / 1_000_000n) * 1_000_000n);
    const reply = await at(second);
    if (known.length === 0) expectProblem(reply, 'no-state-yet', '/lora/status');
    else expect(reply.body.generation).toBe(known.at(-1)?.body.generation);
  });

  it('before the first event of the fleet is 404 no-state-yet, of no fleet at all unknown-fleet', async () => {
    for (const time of ['2001-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '1969-12-31T23:59:59.999999Z'])
      expectProblem(await at(time), 'no-state-yet', '/lora/status');
    expectProblem(await at('2001-01-01T00:00:00Z', 'nope'), 'unknown-fleet', '/lora/status');
    expectProblem(await at('9999-01-01T00:00:00Z', 'nope'), 'unknown-fleet', '/lora/status');
  });

  it('leaves the connection alone that the answers to commands need', async () => {
    const other = await startApp();
    const { body } = await other.api.post('/lora/disable');
    expect((await other.api.get(`/lora/status?at=${String(body.updated_at)}`)).body).toMatchObject({
      generation: body.generation,
      activation_history: [],
    });
    const sessions = await other.database.query(
      `select from pg_stat_activity where datname = current_database()
       and application_name = 'lora-control-plane answers'`,
    );
    expect(sessions).toHaveLength(0);
    await other.close();
  });

  it('that is no time is 400', async () => {
    const bad = [
      '',
      ' ',
      'now',
      'yesterday',
      '0',
      '1764000000',
      '2026-11-24',
      '2026-11-24T02:14',
      '02:14:07Z',
    ];
    bad.push('2026-11-24T02:14:07', '2026-11-24 02:14:07Z', '2026-11-24T02:14:07.1234567Z');
    bad.push('2026-02-30T00:00:00Z', '2026-13-01T00:00:00Z', '2026-11-24T25:00:00Z', '2026-11-24T02:60:00Z');
    bad.push('2026-11-24T02:14:07+25:00', '2026-11-24T02:14:07 01:00', '2026-11-24T02:14:07.Z', 'infinity');
    bad.push(
      "2026-11-24T02:14:07Z'",
      '0000-01-01T00:00:00Z',
      '10000-01-01T00:00:00Z',
      '-001-01-01T00:00:00Z',
    );
    await appendsNothing(service.database, async () => {
      for (const time of bad) {
        const reply = await at(time);
        expect([time, reply.status]).toStrictEqual([time, 400]);
        expectInvalid(reply, 'at', '/lora/status');
      }
    });
  });

  it('has the histories as of then', async () => {
    const [, deployed, back, , enabled] = answers;
    const histories = async (answer: Reply | undefined) => {
      const { body } = await at(updatedAt(answer));
      const generations = (name: string) =>
        (body[name] as unknown as readonly { generation: number }[]).map(({ generation }) => generation);
      return [generations('rollback_history'), generations('activation_history')];
    };
    const [first, second, third] = [deployed, back, enabled].map((answer) => answer?.body.generation);
    expect(await histories(answers[0])).toStrictEqual([[], []]);
    expect(await histories(deployed)).toStrictEqual([[], [first]]);
    expect(await histories(back)).toStrictEqual([[second], [first]]);
    expect(await histories(enabled)).toStrictEqual([[second], [first, third]]);
  });

  it('agrees with the log at every event of it', async () => {
    const page = await service.api.get('/lora/history?limit=500');
    const events = (
      page.body.events as unknown as { fleet: string; position: number; recorded_at: string }[]
    ).reverse();
    const newest = new Map<string, number>();
    for (const event of events) {
      newest.set(event.fleet, event.position);
      for (const fleet of ['past', 'default']) {
        const known = newest.get(fleet);
        const { body, status } = await at(event.recorded_at, fleet);
        expect([event.position, status, body.generation]).toStrictEqual(
          known === undefined ? [event.position, 404, undefined] : [event.position, 200, known],
        );
      }
    }
  });
});

describe('GET /fleets?at=', () => {
  it('pages past any number of fleets that had no state yet', async () => {
    const then = updatedAt(answers[1]);
    const made = Array.from({ length: 230 }, (_, nth) => `/fleets/early-${nth}`);
    await Promise.all(made.map((path) => service.api.send('PUT', path)));
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await service.api.get(`/fleets?limit=1&at=${then}${cursor && `&cursor=${cursor}`}`);
      const page = body as unknown as { fleets: { fleet: string }[]; next_cursor: string | null };
      seen.push(...page.fleets.map(({ fleet }) => fleet));
      cursor = page.next_cursor ?? '';
    } while (cursor !== '');
    expect(seen).toStrictEqual(['default', 'past']);
  });
});
