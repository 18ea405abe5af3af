import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { readSettings } from '../../src/config/settings.js';
import { closeApp, createApp, listen } from '../../src/configure-app.js';
import { Api } from '../support/http.js';
import { Metrics } from '../support/metrics.js';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly datasource: { readonly type: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly legendFormat: string;
  }[];
}

const file = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const { groups } = parse(file('deploy/prometheus/alerts.yml')) as {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(file('deploy/grafana/dashboard.json')) as { readonly panels: readonly Panel[] };
const expressions: readonly (readonly [string, string])[] = [
  ...rules.map(({ alert, expr }) => [`alert ${alert}`, expr] as const),
  ...panels.flatMap(({ title, targets }) =>
    targets.map(({ refId, expr }) => [`panel ${title} ${refId}`, expr] as const),
  ),
];

/** The series that an expression names. */
const namesIn = (text: string): string[] => [...new Set(text.match(/\blora_[a-z_]+\b/g) ?? [])];

/** What PromQL knows of itself, as far as it is used. */
const WORDS = [
  'and',
  'by',
  'for',
  'on',
  'group_left',
  'offset',
  'min',
  'max',
  'sum',
  'rate',
  'increase',
  'histogram_quantile',
];
/** `instance` is added by Prometheus, the others by the service. */
const LABELS = ['instance', 'fleet', 'type', 'outcome', 'code', 'state', 'le'];

let metrics: Metrics;
let close: () => Promise<void>;
beforeAll(async () => {
  // No database is asked for what can be measured.
  const settings = readSettings({ PORT: '0', DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' });
  const nothing = (): void => undefined;
  const app = await createApp(settings, { log: nothing, warn: nothing, error: nothing });
  close = () => closeApp(app);
  metrics = await Metrics.of(new Api(await listen(app, settings)));
});
afterAll(() => close());

/** The service's own, by the family's name. */
const own = (): string[] => [...metrics.types.keys()].filter((name) => name.startsWith('lora_'));

describe('alerts.yml and dashboard.json', () => {
  it.each(expressions)('%s names only metrics that there are', (_, expression) => {
    const names = namesIn(expression);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names)
      expect([name, metrics.familyOf(name)]).toStrictEqual([name, expect.any(String)]);
  });

  it.each(expressions)('%s asks each metric for what it is', (_, expression) => {
    for (const name of namesIn(expression)) {
      const type = metrics.types.get(metrics.familyOf(name) ?? '');
      const grows = type === 'counter' || type === 'histogram';
      // What only grows is looked at by its rate; what goes up and down is not.
      const rated = new RegExp(`(rate|increase)\\(${name}(\\{[^}]*\\})?\\[`).test(expression);
      expect([name, rated]).toStrictEqual([name, grows]);
      if (expression.includes('histogram_quantile(')) expect(name).toMatch(/_bucket$/);
    }
  });

  it.each(expressions)('%s can be read', (_, expression) => {
    let depth = 0;
    for (const sign of expression.replace(/"[^"]*"/g, '')) {
      if ('([{'.includes(sign)) depth += 1;
      if (')]}'.includes(sign)) depth -= 1;
      expect(depth).toBeGreaterThanOrEqual(0);
    }
    expect(depth).toBe(0);
    const words = expression
      .replace(/"[^"]*"/g, '')
      .replace(/\[[^\]]*\]/g, '')
      .replace(/\boffset \d+[smh]\b/g, 'offset')
      .match(/[a-z_]+\b/gi);
    const known = [...WORDS, ...LABELS];
    expect(words?.filter((word) => !word.startsWith('lora_') && !known.includes(word))).toStrictEqual([]);
  });

  it('leave out none of the metrics', () => {
    const shown = new Set(
      expressions.flatMap(([, text]) => namesIn(text)).map((name) => metrics.familyOf(name)),
    );
    expect(own().filter((name) => !shown.has(name))).toStrictEqual([]);
    expect(own().length).toBeGreaterThan(15);
  });

  it('have alerts that say whom they concern and how grave they are', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, labels, annotations, for: lasting } of rules) {
      expect(alert).toMatch(/^Lora[A-Za-z]+$/);
      expect(['info', 'warning', 'critical']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/\S/);
      if (lasting !== undefined) expect(lasting).toMatch(/^\d+[smh]$/);
    }
  });

  it('wake somebody for every command that the log could not take, also for the first one', () => {
    const { expr } = rules.find(({ alert }) => alert === 'LoraCommandUnavailable') ?? { expr: '' };
    const pattern = /outcome=~"([^"]+)"/.exec(expr)?.[1] ?? '';
    const counted = metrics.samples.filter(({ name, labels }) => {
      return name === 'lora_commands_total' && new RegExp(`^(${pattern})$`).test(labels.outcome ?? '');
    });
    // A series that begins with its first command has not increased: it must be there, at 0, from the start.
    const series = counted.map(
      ({ labels, value }) => `${labels.type ?? ''} ${labels.outcome ?? ''} ${value}`,
    );
    const types = ['InitializeFleet', 'DisableLora', 'EnableLora', 'RollBackLora', 'DeployAdapter'];
    const outcomes = ['unavailable-none', 'unavailable-unknown'];
    expect(series.sort()).toStrictEqual(
      types.flatMap((type) => outcomes.map((outcome) => `${type} ${outcome} 0`)).sort(),
    );
  });

  it('do not take replicas that were scraped at different moments for ones that disagree', () => {
    const rule = rules.find(({ alert }) => alert === 'LoraReplicasDisagree');
    // Compared with what was known a minute before, and for longer than that minute.
    expect(rule?.expr).toMatch(/^lora_log_position < .*max\(lora_log_position offset 1m\)$/);
    expect(rule?.for).toBe('2m');
  });

  it('have panels that do not overlap', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { gridPos, targets } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
    }
  });
});

it('docs/operations.md explains every metric, and none that there is not', () => {
  const names = namesIn(file('docs/operations.md'));
  expect(names.map((name) => metrics.familyOf(name)).sort()).toStrictEqual(own().sort());
});
