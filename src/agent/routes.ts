import type { Effective } from './effective.js';
import type { EngineReport } from './engine-report.js';
import type { HandBrake } from './hand-brake.js';
import type { Routes } from './loopback-server.js';

export interface Asked {
  readonly brake: HandBrake;
  readonly follower: { readonly connected: boolean };
  readonly reconciler: { readonly sight: object | undefined; readonly trouble: object | undefined };
  /** That another agent reports under this id; null when none does. */
  readonly conflict: string | null;
  /** Why reports are not taken; null when they are. */
  readonly refusal: string | null;
  effective(): Effective;
  report(): EngineReport;
}

/** What a gateway, a health check and a person on this machine may ask. */
export function routesOf(agent: Asked): Routes {
  return {
    'GET /effective': () => ({ status: 200, body: agent.effective() }),
    'GET /health': () => {
      const { state, last_error } = agent.report();
      const { conflict, refusal } = agent;
      const untold = refusal === null ? null : `reports are not taken: ${refusal}`;
      const engine = agent.reconciler.sight !== undefined && agent.reconciler.trouble === undefined;
      const body = {
        control_plane_reachable: agent.follower.connected,
        engine_reachable: engine,
        state: conflict === null ? state : 'conflict',
        last_error: conflict ?? last_error ?? untold,
      };
      return { status: 200, body };
    },
    'POST /kill': async () => {
      const kept = await agent.brake.pull();
      const notice = kept === 'memory' && {
        notice: 'the file could not be made: this kill ends with the process, and with DELETE /kill',
      };
      return { status: 200, body: { local_kill: true, kept_in: kept, ...notice } };
    },
    'DELETE /kill': async () => {
      await agent.brake.release();
      return { status: 200, body: { local_kill: agent.brake.on } };
    },
  };
}
