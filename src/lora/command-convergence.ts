import { Injectable } from '@nestjs/common';

import type { Convergence } from '../engines/convergence.js';
import { ConvergenceService } from '../engines/convergence.service.js';
import { Answer } from '../http/answer.js';
import type { FleetsAnswerBody } from './lora.dto.js';
import type { Wait } from './status.service.js';

/** Lets callers who would wait for it (`Prefer: wait`) know how far their command has come on the engines. */
@Injectable()
export class CommandConvergence {
  constructor(private readonly convergence: ConvergenceService) {}

  /** The answer to a command of one fleet, with its convergence: 202 where it has not arrived everywhere. */
  async one(answer: Answer<string>, fleet: string, generation: number, wait: Wait): Promise<Answer<string>> {
    const convergence = (await this.of(new Map([[fleet, generation]]), wait)).get(fleet) ?? null;
    const text = `${answer.body.slice(0, -1)},"convergence":${JSON.stringify(convergence)}}`;
    return new Answer(text, headersOf(answer, wait), statusOf([convergence]));
  }

  /** The answer to a command of all fleets, each with its convergence. */
  async all(answer: Answer<FleetsAnswerBody>, wait: Wait): Promise<Answer<FleetsAnswerBody>> {
    const states = answer.body.fleets;
    const found = await this.of(new Map(states.map(({ fleet, generation }) => [fleet, generation])), wait);
    const fleets = states.map((state) => ({ ...state, convergence: found.get(state.fleet) ?? null }));
    const status = statusOf(fleets.map(({ convergence }) => convergence));
    return new Answer({ ...answer.body, fleets }, headersOf(answer, wait), status);
  }

  private of(generations: ReadonlyMap<string, number>, { seconds, signal }: Wait) {
    return this.convergence.arrival(generations, seconds, signal);
  }
}

const headersOf = ({ headers }: Answer<unknown>, { seconds }: Wait) => ({
  ...headers,
  'Preference-Applied': `wait=${seconds}`,
});

function statusOf(found: readonly (Convergence | null)[]): number {
  return found.every((each) => each?.converged === true) ? 200 : 202;
}
