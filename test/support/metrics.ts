import type { Api } from './http.js';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What /metrics says, read strictly by Prometheus's text format 0.0.4: anything else throws. */
export class Metrics {
  readonly types = new Map<string, string>();
  readonly helps = new Map<string, string>();
  readonly samples: Sample[] = [];

  constructor(text: string) {
    if (!text.endsWith('\n')) throw new Error('The last line does not end.');
    for (const line of text.split('\n')) if (line !== '') this.take(line);
  }

  static async of({ url }: Api): Promise<Metrics> {
    const response = await fetch(`${url}/metrics`);
    if (response.status !== 200) throw new Error(`/metrics answered ${response.status}.`);
    return new Metrics(await response.text());
  }

  /** The one sample with these labels and no other; undefined when there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const wanted = keyOf({ name, labels });
    return this.samples.find((sample) => keyOf(sample) === wanted)?.value;
  }

  /** The metric that a sample belongs to: a histogram's buckets, sum and count are of one. */
  familyOf(sample: string): string | undefined {
    if (this.types.has(sample)) return sample;
    const base = sample.replace(/_(bucket|sum|count)$/, '');
    return /histogram|summary/.test(this.types.get(base) ?? '') ? base : undefined;
  }

  private take(line: string): void {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
    if (comment) {
      const [, kind, name = '', text = ''] = comment;
      const known = kind === 'HELP' ? this.helps : this.types;
      if (known.has(name)) throw new Error(`A second ${kind ?? ''} of ${name}.`);
      if (kind === 'TYPE' && !/^(counter|gauge|histogram|summary|untyped)$/.test(text))
        throw new Error(`Not a type: ${line}`);
      known.set(name, text);
      return;
    }
    // Prometheus reads values as Go does, whose NaN may be written in any case.
    const sample =
      /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([+-]?Inf|[Nn]a[Nn]|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(line);
    if (!sample) throw new Error(`Not a line of a metric: ${line}`);
    const [, name = '', inside = '', value = ''] = sample;
    const read = { name, labels: labelsIn(inside), value: Number(value.replace('Inf', 'Infinity')) };
    if (this.familyOf(name) === undefined) throw new Error(`No TYPE before ${line}`);
    if (this.samples.some((other) => keyOf(other) === keyOf(read))) throw new Error(`Twice: ${line}`);
    this.samples.push(read);
  }
}

export function keyOf({ name, labels }: Omit<Sample, 'value'>): string {
  return JSON.stringify([name, Object.entries(labels).sort()]);
}

function labelsIn(text: string): Record<string, string> {
  const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(,|$)/y;
  const labels: Record<string, string> = {};
  while (label.lastIndex < text.length) {
    const found = label.exec(text);
    if (!found) throw new Error(`Not labels: ${text}`);
    labels[found[1] ?? ''] = found[2] ?? '';
  }
  return labels;
}
