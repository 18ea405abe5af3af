/**
 * A line of RFC 4180. A cell that a spreadsheet would take for a formula gets an apostrophe in front, which
 * spreadsheets show as text: what a caller typed as a reason must not run on an auditor's machine.
 */
export function csvLine(cells: readonly unknown[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  // Where a semicolon separates cells, what follows one begins a cell too; full-width signs count as signs.
  const safe = text.replace(/(^|[;\t\r\n])(\s*[=+\-@\t\r\n＝＋－＠])/gu, "$1'$2");
  return /[",;\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
