const GAP = '  ';

/** Lines of a table: columns as wide as their widest cell, no space at the end of a line. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? ''))));
  return lines.map((line) =>
    line
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell))))
      .join(GAP)
      .trimEnd(),
  );
}

/** In code points: near enough for versions, ids and times. */
function width(text: string): number {
  return [...text].length;
}
