interface Request {
  readonly fleet: string;
  readonly reason: string;
  readonly reference: string | null;
}

export interface InitializeFleet extends Request {
  readonly type: 'InitializeFleet';
  readonly enabled: boolean;
  readonly adapterVersion: string | null;
}
export interface DisableLora extends Request {
  readonly type: 'DisableLora';
}
export interface EnableLora extends Request {
  readonly type: 'EnableLora';
  /** Null: what the fleet resumes. */
  readonly adapterVersion: string | null;
}
export interface RollBackLora extends Request {
  readonly type: 'RollBackLora';
  /** Null: one version back from the current one of the state it was confirmed under. */
  readonly adapterVersion: string | null;
}
export interface DeployAdapter extends Request {
  readonly type: 'DeployAdapter';
  readonly adapterVersion: string;
}

/** What somebody asks of one fleet. A kill of all fleets is one DisableLora for each. */
export type LoraCommand = InitializeFleet | DisableLora | EnableLora | RollBackLora | DeployAdapter;
