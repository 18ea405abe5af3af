import type pg from 'pg';

/** A step of what the database has done for a query. */
export interface Step {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Step[];
}

/** Asks, and tells the steps of it. */
export async function explained(
  client: pg.Client,
  sql: string,
  parameters: readonly unknown[],
): Promise<Step[]> {
  const { rows } = await client.query<{ 'QUERY PLAN': { Plan: Step }[] }>(
    `explain (analyze, format json) ${sql}`,
    [...parameters],
  );
  return (rows[0]?.['QUERY PLAN'] ?? []).flatMap(({ Plan }) => stepsOf(Plan));
}

const stepsOf = (step: Step): Step[] => [step, ...(step.Plans ?? []).flatMap(stepsOf)];

/** How many rows a step looked at. */
export const lookedAtBy = (step: Step): number =>
  step['Actual Loops'] * (step['Actual Rows'] + (step['Rows Removed by Filter'] ?? 0));

/** The most rows that any step looked at. */
export const looked = (steps: readonly Step[]): number => Math.max(...steps.map(lookedAtBy));
