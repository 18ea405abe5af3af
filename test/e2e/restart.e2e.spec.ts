import { afterEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cleanUp, isRunning, usedFolder, until } from '../database/embedded-members.js';
import { type Api, eventually, type Reply } from '../support/http.js';
import { type Replica, startReplica } from '../support/replica.js';

const FLAGS = { LORA_ENABLED: 'true', ACTIVE_LORA_ADAPTER: 'v0' };
const OTHER_FLAGS = { LORA_ENABLED: 'false', ACTIVE_LORA_ADAPTER: 'v-never-deployed' };
const SENDERS = 4;

interface Sent {
  readonly key: string;
  readonly path: string;
  readonly body: object;
  /** Undefined while it is not known what became of the command. */
  answer?: Reply;
}

const EVENTS: Readonly<Record<string, string>> = {
  '/lora/deploy': 'AdapterDeployed',
  '/lora/rollback': 'LoraRolledBack',
  '/lora/disable': 'LoraDisabled',
  '/lora/enable': 'LoraEnabled',
};

const send = ({ key, path, body }: Sent, api: Api): Promise<Reply> =>
  api.post(path, body, { 'Idempotency-Key': key });

/** Sends one command after the other until the service is gone. */
async function stream(api: Api, sent: Sent[], sender: number): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    const calls: readonly (readonly [string, object])[] = [
      ['/lora/deploy', { adapter_version: `v${sender}.${turn}` }],
      ['/lora/rollback', { reason: `back from ${sender}.${turn}` }],
      ['/lora/disable', {}],
      ['/lora/rollback', { adapter_version: `v${sender}.known-good` }],
      ['/lora/enable', {}],
      ['/lora/deploy', { adapter_version: `v${sender}.${turn}-again` }],
    ];
    for (const [path, body] of calls) {
      const command: Sent = { key: randomUUID(), path, body };
      sent.push(command);
      try {
        const answer = await send(command, api);
        // 503 leaves open what became of it, as no answer does.
        if (answer.status !== 503) command.answer = answer;
      } catch {
        return;
      }
    }
  }
}

interface LoggedEvent {
  readonly position: number;
  readonly recorded_at: string;
  readonly type: string;
  readonly from_version: string | null;
  readonly to_version: string | null;
  readonly enabled: boolean;
  readonly reason: string;
  readonly actor: string;
  readonly idempotency_key: string;
}

/** The whole log, oldest first. */
async function logOf(api: Api): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const { body } = await api.get(`/lora/history?limit=500${cursor}`);
    const page = body as unknown as { events: LoggedEvent[]; next_cursor: string | null };
    events.push(...page.events);
    cursor = page.next_cursor && `&cursor=${page.next_cursor}`;
  }
  return events.reverse();
}

async function postmasterOf(dataDir: string): Promise<number> {
  const file = join(dataDir, 'postgres/cluster/data/postmaster.pid');
  return Number((await readFile(file, 'utf8')).split('\n')[0]);
}

describe('a service that is killed together with its database', () => {
  let service: Replica | undefined;

  afterEach(async () => {
    await service?.stop('SIGKILL');
    await cleanUp();
  });

  it('has every answered command exactly once after the next start', async () => {
    const dataDir = await usedFolder();
    const sent: Sent[] = [];
    const start = async (flags: Record<string, string>): Promise<Replica> => {
      service = await startReplica({ cwd: dataDir, env: { DATA_DIR: dataDir, ...flags } });
      return service;
    };
    let running = await start(FLAGS);
    expect((await running.api.get('/health')).body.flags_differ).toBe(false);

    for (let round = 1; round <= 3; round += 1) {
      const { api } = running;
      const senders = Array.from({ length: SENDERS }, (_, sender) => stream(api, sent, sender));
      const before = sent.filter(({ answer }) => answer).length;
      await eventually(() => sent.filter(({ answer }) => answer).length >= before + 60);
      const postmaster = await postmasterOf(dataDir);
      // First the service, lest it start its database again.
      running.process.kill('SIGKILL');
      process.kill(postmaster, 'SIGKILL');
      await Promise.all(senders);
      await running.stop('SIGKILL');
      await until(async () => !(await isRunning(postmaster)));

      running = await start(OTHER_FLAGS);
      await expectWhole(running.api, sent);
      // The log is what counts, not the flags: and the service says that they differ.
      expect((await running.api.get('/health')).body.flags_differ).toBe(true);
      expect(running.output()).toMatch(
        /The flags do not override the log\. .*v-never-deployed.*POST \/lora\/disable/,
      );
      await expectSettled(running.api, sent);
    }
    await running.stop();
    expect(await isRunning(await postmasterOf(dataDir).catch(() => 0))).toBe(false);
  }, 120_000);

  /** Nothing that was answered is lost or doubled, nothing that was refused is there. */
  async function expectWhole(api: Api, sent: readonly Sent[]): Promise<void> {
    const events = await logOf(api);
    expect(events.map(({ position }) => position)).toEqual(events.map((_, index) => index + 1));
    expect(events.filter(({ type }) => type === 'LoraInitialized')).toHaveLength(1);
    const byKey = new Map<string, LoggedEvent[]>();
    for (const event of events)
      byKey.set(event.idempotency_key, [...(byKey.get(event.idempotency_key) ?? []), event]);

    for (const { key, path, answer } of sent) {
      const found = byKey.get(key) ?? [];
      if (answer === undefined) {
        expect(found.length).toBeLessThanOrEqual(1);
      } else if (answer.status === 200) {
        expect(found).toMatchObject([
          { type: EVENTS[path], position: answer.body.generation, recorded_at: answer.body.updated_at },
        ]);
      } else {
        // A deploy while disabled, or a command that was overtaken.
        expect([409, 412]).toContain(answer.status);
        expect(found).toEqual([]);
      }
    }

    const last = events.at(-1);
    const status = (await api.get('/lora/status')).body;
    expect(status).toMatchObject({
      generation: events.length,
      updated_at: last?.recorded_at,
      enabled: last?.enabled,
      active_adapter_version: last?.enabled ? last.to_version : null,
      resume_adapter_version: last?.enabled ? null : last?.to_version,
    });
    const entry = ({
      recorded_at,
      from_version,
      to_version,
      enabled,
      reason,
      actor,
      position,
    }: LoggedEvent) => ({
      timestamp: recorded_at,
      from_version,
      to_version,
      enabled,
      reason,
      actor,
      generation: position,
    });
    const rollbacks = events.filter(({ type }) => type === 'LoraRolledBack');
    expect(status.rollback_history).toEqual(rollbacks.slice(-100).map(entry));
  }

  /** What was not answered is settled by sending it again with its key. */
  async function expectSettled(api: Api, sent: readonly Sent[]): Promise<void> {
    const there = new Set((await logOf(api)).map((event) => event.idempotency_key));
    const open = sent.filter(({ answer }) => answer === undefined);
    for (const command of open) {
      command.answer = await send(command, api);
      const replayed = command.answer.headers.get('idempotency-replayed') === 'true';
      expect(replayed).toBe(there.has(command.key));
      if (replayed) {
        expect(command.answer.status).toBe(200);
        expect(await send(command, api)).toMatchObject({
          status: 200,
          body: { generation: command.answer.body.generation },
        });
      }
    }
    await expectWhole(api, sent);
  }
});
