/** Milliseconds on a clock that all processes of the machine share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function percentile(sorted, percent) {
  if (sorted.length === 0) throw new Error('Nothing was measured.');
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))];
}

export function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Runs what is compared in turn, A B C, then C B A, …: what else the machine does meets all of them.
 * @returns by name, the figures of its rounds in order
 */
export async function inTurn(rounds, runs) {
  const names = Object.keys(runs);
  const figures = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) figures[name].push(await runs[name]());
  }
  return figures;
}

/**
 * A row of the table: medians over the rounds, and the median of the rounds' ratios.
 * @param bar `{ most }` or `{ least }` for the ratio; absent where there is none
 */
export function compare({ row, unit, pick, subject, floor, bar, note }) {
  const measured = subject.map(pick);
  const ground = floor.map(pick);
  const ratios = measured.map((value, round) => value / ground[round]);
  const ratio = median(ratios);
  const met = bar ? (bar.most === undefined ? ratio >= bar.least : ratio <= bar.most) : undefined;
  const client =
    subject[0]?.clientCpu === undefined ? undefined : median(subject.map((each) => each.clientCpu));
  return {
    row,
    unit,
    measured: median(measured),
    floor: median(ground),
    ratio,
    bar,
    met,
    note,
    client_cpu: client,
    rounds: { measured, floor: ground, ratios },
  };
}

/** A row with a bar for the measured value itself. @param bar `{ most }` or `{ least }`, in the unit of the row */
export function absolute({ bar, ...row }) {
  if (!bar) return row;
  const met = bar.most === undefined ? row.measured >= bar.least : row.measured <= bar.most;
  return { ...row, bar: { ...bar, absolute: true }, met };
}

/** @throws Error when one of the rounds met a wrong answer */
export function refuseFaults(row, figures) {
  const faults = Object.values(figures)
    .flat()
    .flatMap((figure) => figure.faults);
  if (faults.length > 0) throw new Error(`${row}: wrong answers: ${faults[0]}`);
}

export function table(rows) {
  const shown = (value, unit) =>
    value === undefined
      ? ''
      : `${unit === '/s' ? Math.round(value) : value.toFixed(value < 10 ? 2 : 1)} ${unit}`;
  const lines = rows.map(({ row, unit, measured, floor, ratio, bar, met, client_cpu: client, note }) => [
    row,
    shown(measured, unit),
    shown(floor, unit),
    ratio === undefined ? '' : ratio.toFixed(2),
    bar
      ? `${bar.most === undefined ? '>=' : '<='} ${bar.most ?? bar.least} ${bar.absolute ? unit : 'x'}`
      : '',
    [met === undefined ? '' : met ? 'met' : 'MISSED', note].filter(Boolean).join('; '),
    client === undefined ? '' : `${Math.round(client * 100)} %`,
  ]);
  lines.unshift(['row', 'measured', 'floor', 'ratio', 'bar', '', 'client CPU']);
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
