import type { Status } from './answers.js';
import { arrivedWords, awaitArrivals, exitOf } from './arrival.js';
import { refused } from './client.js';
import { againWords, type CommandOptions, keyOf, waitOf } from './command-options.js';
import { Ended, EXIT, unlessEnded } from './ends.js';
import { noticeLines } from './kill-words.js';
import { query } from './options.js';
import type { Session } from './session.js';
import { settled } from './settled.js';
import { lastOf, rollbackWords, servingWords, switchWords } from './state-words.js';
import { lastWords } from './status-words.js';
import type { Problem } from './verdict.js';
import { tagOf } from './watch-words.js';

/** A command that is no kill. */
export interface Change {
  readonly name: 'enable' | 'rollback' | 'deploy';
  readonly version: string | undefined;
  readonly options: CommandOptions & { readonly yes?: true };
  /** Says what is about to happen, or asks. @throws Ended when it shall not */
  readonly before: (seen: Status) => Promise<void> | void;
}

/**
 * Sends a change together with the state that it was decided on, so that it is never made on top of what somebody
 * else has done meanwhile, however often it is sent.
 */
export async function change(session: Session, { name, version, options, before }: Change): Promise<number> {
  const { client, terminal, json, now } = session;
  const { fleet, reason, reference } = options;
  const seen = await look(session, fleet);
  await before(seen);
  const key = keyOf(options);
  const ifMatch = options.ifMatch ?? tagOf(seen);
  const outcome = await client.send(
    {
      method: 'POST',
      path: `/lora/${name}${query({ fleet })}`,
      headers: { 'Idempotency-Key': key, 'If-Match': ifMatch.includes('-') ? `"${ifMatch}"` : ifMatch },
      body: { adapter_version: version, reason, reference },
    },
    'generation',
  );
  if (outcome.type === 'refused' && outcome.problem.code === 'generation-mismatch') {
    throw await somebodyWasFirst(session, fleet, outcome.problem);
  }
  const yes = name === 'enable' || undefined;
  const again = againWords(name, { ...options, version, key, ifMatch, yes });
  const what = `the ${name} of fleet ${fleet ?? 'default'}`;
  const answer = settled(outcome, { what, key, again }, session);

  const state = answer.body;
  const seconds = waitOf(options);
  const [convergence] = seconds === undefined ? [] : await awaitArrivals(session, [state], seconds);
  if (json) {
    terminal.out(JSON.stringify(convergence === undefined ? state : { ...state, convergence }));
  } else {
    const parts = [
      switchWords(state, undefined, now(), terminal.paint),
      ...(state.enabled ? [] : [servingWords(state), lastWords(state, now())]),
      ...(convergence === undefined ? [] : [arrivedWords(convergence, state.enabled)]),
      rollbackWords(state),
    ];
    for (const line of [parts.join(' · '), ...noticeLines(state.notice)]) terminal.out(line);
  }
  return convergence === undefined ? EXIT.done : exitOf([convergence]);
}

/** Strong: a change that is decided on what may be over is better not sent. */
async function look({ client }: Session, fleet: string | undefined): Promise<Status> {
  try {
    const path = `/lora/status${query({ fleet, consistency: 'strong' })}`;
    return (await client.get(path, 'generation')).body;
  } catch (error) {
    if (!(error instanceof Ended) || error.code !== EXIT.refused || error.more.outcome !== 'none')
      throw error;
    const why = error.message.replace(/^no answer: /, '');
    throw new Ended(error.code, `not done: ${why} Nothing was sent.`, error.more);
  }
}

/** Who was first, as far as the state of now tells. */
async function somebodyWasFirst(
  { client, now }: Session,
  fleet: string | undefined,
  problem: Problem,
): Promise<Ended> {
  const answer = await unlessEnded(client.get(`/lora/status${query({ fleet })}`, 'generation'));
  if (answer === undefined) return refused(problem);
  const state = answer.body;
  const first = { ...lastOf(state), generation: state.generation };
  return new Ended(
    EXIT.refused,
    `not done: somebody was first: ${lastWords(state, now())}. Nothing was changed; the fleet serves ${servingWords(state)}.`,
    { outcome: 'refused', code: problem.code, first },
  );
}
