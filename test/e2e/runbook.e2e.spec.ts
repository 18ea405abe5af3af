import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';

import { parse } from 'yaml';

import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Api, eventually, type Json, type Reply } from '../support/http.js';
import { type Replica, startReplica } from '../support/replica.js';
import { parseCurl, runCurl } from './curl.js';

/** The commands of the user's own runbook, as printed there and in its order. */
const STATUS = `curl -X GET http://localhost:8003/lora/status`;
const DISABLE = `curl -X POST http://localhost:8003/lora/disable \\
  -H 'Content-Type: application/json' \\
  -d '{"reason":"regression_detected"}'`;
const ROLLBACK = `curl -X POST http://localhost:8003/lora/rollback \\
  -H 'Content-Type: application/json' \\
  -d '{"reason":"rollback_to_previous"}'`;
const ROLLBACK_TO_VERSION = `curl -X POST http://localhost:8003/lora/rollback \\
  -H 'Content-Type: application/json' \\
  -d '{"adapter_version":"v1.2","reason":"rollback_to_known_good"}'`;
const ENABLE = `curl -X POST http://localhost:8003/lora/enable \\
  -H 'Content-Type: application/json' \\
  -d '{"adapter_version":"v1.2","reason":"post_incident_reenable"}'`;
const USERS_COMMANDS = [STATUS, DISABLE, ROLLBACK, ROLLBACK_TO_VERSION, ENABLE];

const USERS_WORDS = [
  '# LoRA kill-switch and rollback procedure',
  '## Runtime controls',
  '### Environment flags',
  '## Rollback runbook',
  '### Trigger conditions',
  '### Fast rollback to base model (kill-switch)',
  '3. Confirm `enabled=false` and `active_adapter_version=null`.',
  '### Rollback to previous adapter',
  '### Re-enable after mitigation',
  '## Operational notes',
  '- Adapter deployment is blocked while kill-switch is active (`409 Conflict`).',
  '- Every rollback operation appends an entry to `rollback_history` for auditing.',
  '- Keep canary and monitoring checks in place before re-enabling new adapters.',
];

interface Step {
  readonly command: string;
  /** The answer printed below the command. */
  readonly answer: Json | undefined;
}

/** The commands of a page, each with the first JSON that is printed between it and the next one. */
function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  for (const [, language, text = ''] of markdown.matchAll(/^```(\w+)\n(.*?)\n```$/gms)) {
    if (language === 'bash') steps.push({ command: text, answer: undefined });
    const last = steps.at(-1);
    if (language === 'json' && last?.answer === undefined)
      steps.splice(-1, 1, { command: last?.command ?? '', answer: JSON.parse(text) as Json });
  }
  return steps;
}

/** What is another in every run stands as its kind. */
function withoutChance(value: unknown): unknown {
  const text = JSON.stringify(value)
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/g, '<time>')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replace(/\b[0-9a-f]{8}-(\d+)/g, '<log>-$1');
  return JSON.parse(text) as unknown;
}

/** How the compose file lets callers in. */
async function composeSettings(): Promise<Record<string, string>> {
  const file = parse(await readFile(new URL('../../docker-compose.yml', import.meta.url), 'utf8')) as {
    services: { 'replica-1': { environment: Record<string, string> } };
  };
  const { ACCESS = '', TRUST_PROXY = '' } = file.services['replica-1'].environment;
  expect(ACCESS).toBe('open');
  return { ACCESS, TRUST_PROXY };
}

const page = await readFile(new URL('../../docs/runbook.md', import.meta.url), 'utf8');

describe('the page', () => {
  it('is the one of the user, grown: its commands as printed, in their order, its headings and notes', () => {
    const commands = stepsOf(page).map(({ command }) => command);
    expect(commands.slice(0, USERS_COMMANDS.length)).toEqual(USERS_COMMANDS);
    const lines = page.split('\n');
    const places = USERS_WORDS.map((line) => lines.indexOf(line));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((one, other) => one - other));
  });
});

describe('the runbook', () => {
  let database: TestDatabase;
  let service: Replica;
  let api: Api;
  const deploy = (version: string): Promise<Reply> =>
    api.post('/lora/deploy', { adapter_version: version, reason: 'manual_deploy' });

  beforeEach(async () => {
    database = await createDatabase();
    service = await startReplica({ env: { DATABASE_URL: database.url, ...(await composeSettings()) } });
    api = service.api;
    await eventually(async () =>
      JSON.stringify((await api.get('/health')).body).includes('"feed":"listening"'),
    );
  });

  afterEach(async () => {
    await service.stop();
    await database.drop();
  });

  it('works command by command on a fresh system', async () => {
    const steps = stepsOf(page);
    expect(steps.length).toBeGreaterThan(USERS_COMMANDS.length);
    for (const { command, answer } of steps) {
      const { status, body } = await runCurl(api, command);
      const refused = typeof answer?.status === 'number' ? Number(answer.status) : undefined;
      expect({ command, status, body }).toMatchObject({
        command,
        status: refused ?? (status === 201 ? 201 : 200),
      });
    }
  });

  it('gets the answers that it shows after two deploys', async () => {
    await deploy('v1.2');
    await deploy('v1.3');
    for (const { command, answer } of stepsOf(page)) {
      const { body } = await runCurl(api, command);
      expect(answer).toBeDefined();
      expect({ command, body: withoutChance(body) }).toMatchObject({
        command,
        body: withoutChance(answer) as object,
      });
    }
  });

  describe.each([
    { system: 'a fresh system', deployed: [] as string[], previous: null, killed: null },
    { system: 'a system after two deploys', deployed: ['v1.2', 'v1.3'], previous: 'v1.2', killed: 'v1.3' },
  ])("the user's commands on $system", ({ deployed, previous, killed }) => {
    beforeEach(async () => {
      for (const version of deployed) expect((await deploy(version)).status).toBe(200);
    });

    it('do in the printed order what the runbook says of them', async () => {
      expect(await runCurl(api, STATUS)).toMatchObject({
        status: 200,
        body: { enabled: true, active_adapter_version: killed, rollback_history: [] },
      });

      expect(await runCurl(api, DISABLE)).toMatchObject({
        status: 200,
        body: { enabled: false, active_adapter_version: null, resume_adapter_version: killed },
      });
      expect(await runCurl(api, STATUS)).toMatchObject({
        status: 200,
        body: { enabled: false, active_adapter_version: null, last_reason: 'regression_detected' },
      });
      expect(await deploy('v1.4')).toMatchObject({
        status: 409,
        body: {
          code: 'kill-switch-active',
          detail:
            'LoRA is disabled by kill-switch. Re-enable via POST /lora/enable before deploying adapters.',
          notice: 'Nothing was changed. LoRA is DISABLED.',
        },
      });
      expect((await api.post('/adapters/v1.4/deploy')).body.detail).toBe(
        'LoRA is disabled by kill-switch. Re-enable via POST /lora/enable before deploying adapters.',
      );

      expect(await runCurl(api, ROLLBACK)).toMatchObject({
        status: 200,
        body: { enabled: false, active_adapter_version: null, resume_adapter_version: previous },
      });
      expect(await runCurl(api, ROLLBACK_TO_VERSION)).toMatchObject({
        status: 200,
        body: { enabled: false, active_adapter_version: null, resume_adapter_version: 'v1.2' },
      });
      expect(await runCurl(api, ENABLE)).toMatchObject({
        status: 200,
        body: { enabled: true, active_adapter_version: 'v1.2', resume_adapter_version: null },
      });

      const { body } = await runCurl(api, STATUS);
      expect(body).toMatchObject({ enabled: true, active_adapter_version: 'v1.2' });
      expect(body.rollback_history).toMatchObject([
        { from_version: killed, to_version: previous, enabled: false, reason: 'rollback_to_previous' },
        { from_version: previous, to_version: 'v1.2', enabled: false, reason: 'rollback_to_known_good' },
      ]);
      expect((await deploy('v1.4')).status).toBe(200);
      const { events } = (await api.get('/lora/history')).body;
      expect(events).toHaveLength(1 + deployed.length + 4 + 1);
    });

    it('roll back while LoRA remains enabled', async () => {
      expect(await runCurl(api, ROLLBACK)).toMatchObject({
        status: 200,
        body: { enabled: true, active_adapter_version: previous, last_operation: 'rollback' },
      });
      await deploy('v1.4');
      expect(await runCurl(api, ROLLBACK_TO_VERSION)).toMatchObject({
        status: 200,
        body: { enabled: true, active_adapter_version: 'v1.2', previous_adapter_version: 'v1.4' },
      });
      expect((await runCurl(api, STATUS)).body.rollback_history).toHaveLength(2);
    });
  });
});

describe('the reader of curl commands', () => {
  it('reads what a shell and curl read', () => {
    expect(parseCurl(DISABLE)).toEqual({
      method: 'POST',
      url: 'http://localhost:8003/lora/disable',
      headers: { accept: '*/*', 'content-type': 'application/json' },
      data: '{"reason":"regression_detected"}',
    });
    expect(parseCurl(STATUS)).toMatchObject({ method: 'GET', data: undefined });
    expect(parseCurl(`curl -d x http://localhost:8003/`)).toMatchObject({
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  });

  it.each([
    ['a pattern for the shell', 'curl http://localhost:8003/lora/disable?fleet=*'],
    ['a pipe', 'curl http://localhost:8003/ | jq'],
    ['another program', 'wget http://localhost:8003/'],
    ['an option that it does not know', 'curl --fail http://localhost:8003/'],
    ['two addresses', 'curl http://localhost:8003/ http://localhost:8003/'],
    ['a variable', 'curl "$URL"'],
  ])('refuses %s', (_, command) => {
    expect(() => parseCurl(command)).toThrow();
  });
});
