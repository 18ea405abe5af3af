import { counted } from './text.js';

export type ExportFormat = 'ndjson' | 'csv';

/** Longer than any last line: it has a few counts. */
const TAIL_MAX = 4096;

/** Keeps count of an export as it goes by, and looks at its end. */
export class ExportTail {
  lines = 0;
  bytes = 0;
  private tail = Buffer.alloc(0);

  constructor(private readonly format: ExportFormat) {}

  take(chunk: Buffer): void {
    this.bytes += chunk.length;
    for (const byte of chunk) if (byte === 10) this.lines += 1;
    this.tail = Buffer.concat([this.tail, chunk]).subarray(-TAIL_MAX);
  }

  /** NDJSON closes with a line of counts; CSV has nothing of the kind, only whole lines. */
  isWhole(): boolean {
    const text = this.tail.toString('utf8');
    if (!text.endsWith('\n')) return false;
    return this.format === 'csv' || /(^|\n)\{"record":"end"[^\n]*\}\n$/.test(text);
  }

  words(): string {
    return `${counted(this.lines, 'line')}, ${(this.bytes / 1e6).toFixed(1)} MB`;
  }
}
