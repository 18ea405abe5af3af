import type { Log } from './log.js';
import { plan } from './plan.js';
import type { Sight } from './reconciler.js';
import type { Target } from './target.js';

/** Says once when the engine has become what a decision wanted, and how long that took. */
export class Obedience {
  private open: Target | undefined;

  constructor(private readonly log: Log) {}

  aim(target: Target): void {
    this.open = target;
    const { adapter, why } = target.desired;
    this.log('info', 'decided', { adapter, why, generation: target.state?.generation ?? null });
  }

  look(sight: Sight | undefined): void {
    if (!this.open || sight?.under !== this.open) return;
    const { desired, at, state } = this.open;
    if (plan(sight.observed.adapters, desired.adapter).act !== 'nothing') return;
    this.open = undefined;
    const ms = Math.round(performance.now() - at);
    const kill = desired.why === 'killed' || desired.why === 'local-kill';
    this.log('info', kill ? `kill obeyed in ${ms} ms` : 'converged', {
      adapter: desired.adapter,
      why: desired.why,
      generation: state?.generation ?? null,
      ms,
    });
  }
}
