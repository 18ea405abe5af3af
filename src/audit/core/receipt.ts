import { LOG_ID } from './checkpoint.js';

/** What the answer of a command leaves in the hands of its caller: the place and the hash of its event. */
export interface Receipt {
  readonly log_id: string;
  readonly position: number;
  /** 64 hexadecimal digits. */
  readonly leaf: string;
}

/** One word: `<log_id>/<position>/<leaf>`. The header `Lora-Receipt` has one for each event, with `, ` between. */
export function receiptText({ log_id, position, leaf }: Receipt): string {
  return `${log_id}/${position}/${leaf}`;
}

/** Reads one or more, with commas or white space between. @returns undefined when one is not of the form */
export function readReceipts(text: string): Receipt[] | undefined {
  const receipts: Receipt[] = [];
  for (const word of text.trim().split(/[\s,]+/)) {
    const [log_id = '', position = '', leaf = '', ...more] = word.split('/');
    const isOne = LOG_ID.test(log_id) && /^[1-9]\d{0,15}$/.test(position) && /^[0-9a-f]{64}$/.test(leaf);
    if (!isOne || more.length > 0) return undefined;
    receipts.push({ log_id, position: Number(position), leaf });
  }
  return receipts;
}
