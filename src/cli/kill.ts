import type { Command } from 'commander';

import type { Convergence, KilledFleets, Status } from './answers.js';
import { awaitArrivals, exitOf } from './arrival.js';
import { addCommandOptions, againWords, type CommandOptions, keyOf, waitOf } from './command-options.js';
import { Ended, EXIT, unlessEnded } from './ends.js';
import { fewAtATime } from './few-at-a-time.js';
import { killedLines, overtakenLine } from './kill-words.js';
import { query } from './options.js';
import type { Run, Session } from './session.js';
import { settled } from './settled.js';
import type { Answer } from './verdict.js';

interface KillOptions extends CommandOptions {
  readonly all?: true;
}

export function addKill(program: Command, run: Run): void {
  addCommandOptions(program.command('kill').alias('disable'))
    .description('turn LoRA off: asks nothing, and tries until it has landed')
    .option('--all', 'every fleet there is')
    .action((options: KillOptions, command: Command) => run(command, (session) => kill(session, options)));
}

async function kill(session: Session, options: KillOptions): Promise<number> {
  const { fleet, all, reason, reference } = options;
  if (all && fleet !== undefined)
    throw new Ended(EXIT.usage, '--all and --fleet do not go together. Nothing was sent.');
  const key = keyOf(options);
  const call = {
    method: 'POST' as const,
    path: `/lora/disable${query({ fleet: all ? '*' : fleet })}`,
    headers: { 'Idempotency-Key': key },
    body: { reason, reference },
  };
  const what = all ? 'the kill of all fleets' : `the kill of fleet ${fleet ?? 'default'}`;
  const again = againWords('kill', { ...options, key });
  const sent = { what, key, again };
  const answer = all
    ? settled(await session.client.send(call, 'fleets'), sent, session)
    : settled(await session.client.send(call, 'generation'), sent, session);
  const fleets = 'fleets' in answer.body ? answer.body.fleets : [answer.body];

  const lifted = await liftedSince(session, answer, fleets);
  if (lifted !== undefined) throw lifted;
  const seconds = waitOf(options);
  const convergences = seconds === undefined ? undefined : await awaitArrivals(session, fleets, seconds);
  tell(session, answer, fleets, convergences);
  return convergences === undefined ? EXIT.done : exitOf(convergences);
}

function tell(
  { json, terminal, now }: Session,
  { body }: Answer<Status | KilledFleets>,
  fleets: KilledFleets['fleets'],
  convergences: readonly (Convergence | null)[] | undefined,
): void {
  if (!json) {
    const partial = 'scope' in body && body.scope === 'partial';
    const notice = 'fleets' in body ? body.notice : undefined;
    const lines = killedLines({ fleets, convergences, partial, notice }, now(), terminal.paint);
    for (const line of lines) terminal.out(line);
    return;
  }
  const withThem = fleets.map((state, index) =>
    convergences === undefined ? state : { ...state, convergence: convergences[index] ?? null },
  );
  terminal.out(JSON.stringify('fleets' in body ? { ...body, fleets: withThem } : withThem[0]));
}

/**
 * A repeat of a kill gets the first answer again, also when somebody has enabled the fleet since: a kill that is no
 * longer in force must not look like a fresh one.
 */
async function liftedSince(
  { client }: Session,
  { headers }: Answer<unknown>,
  fleets: KilledFleets['fleets'],
): Promise<Ended | undefined> {
  if (headers['lora-superseded-by'] === undefined) return undefined;
  const current = await fewAtATime(fleets, async ({ fleet }) => {
    const answer = await unlessEnded(client.get(`/lora/status${query({ fleet })}`, 'generation'));
    return answer?.body;
  });
  const lifted = current.filter((state) => state?.enabled !== false);
  if (lifted.length === 0) return undefined;
  const more = { outcome: 'landed', in_force: false };
  return new Ended(EXIT.notConverged, overtakenLine(lifted), more);
}
