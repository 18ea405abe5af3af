/** Who may do what: the one table that decides. What does not stand here is refused to everybody. Pure. */

export const ROLES = ['viewer', 'engine', 'deployer', 'operator', 'auditor', 'breaker', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export const OPERATIONS = [
  /** The state of a fleet. */
  'status',
  /** Each new state of a fleet, as it comes. */
  'stream',
  /** Fleets, engines, convergence, the history. */
  'read',
  /** Say what an engine serves. */
  'report',
  /** End the registration of an engine. */
  'retire',
  'deploy',
  'disable',
  /** Enable, roll back, make a fleet. */
  'operate',
  /** Take a part of the log away as a file. */
  'export',
  /** Who could and who tried. */
  'audit',
  'metrics',
  /** The description of the calls. */
  'describe',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** How far a permission goes: `own` is only what belongs to the caller. */
export type Reach = 'all' | 'own';

type Permissions = Readonly<Partial<Record<Operation, Reach>>>;

const VIEWER = { status: 'all', stream: 'all', read: 'all', metrics: 'all', describe: 'all' } as const;
const DEPLOYER = { ...VIEWER, deploy: 'all' } as const;

const PERMISSIONS: Readonly<Record<Role, Permissions>> = {
  viewer: VIEWER,
  engine: { status: 'all', stream: 'all', report: 'own', retire: 'own' },
  deployer: DEPLOYER,
  operator: { ...DEPLOYER, disable: 'all', operate: 'all', retire: 'all' },
  auditor: { ...VIEWER, export: 'all', audit: 'all' },
  breaker: { status: 'all', disable: 'all' },
  admin: Object.fromEntries(OPERATIONS.map((each) => [each, 'all'])),
};

/** The farthest reach that any of the roles gives; undefined: none. */
export function reachOf(roles: readonly Role[], operation: Operation): Reach | undefined {
  const reaches = roles.map((role) => PERMISSIONS[role][operation]);
  return reaches.includes('all') ? 'all' : reaches.find((each) => each !== undefined);
}

/** The roles that may do this, for people who were refused. */
export function rolesFor(operation: Operation): Role[] {
  return ROLES.filter((role) => PERMISSIONS[role][operation] !== undefined);
}

export function operationsOf(role: Role): Operation[] {
  return OPERATIONS.filter((operation) => PERMISSIONS[role][operation] !== undefined);
}

/** How the fleets of a call are found, for callers who are limited to some. */
export type FleetRule =
  /** `?fleet=`, without it `default`; `*` is all that the caller has. */
  | 'query'
  /** `?fleet=`, without it all that the caller has: the route leaves out the others. */
  | 'some'
  /** `:fleet` of the path. */
  | 'path'
  /** That of the thing named: the route looks, and refuses. */
  | 'found'
  /** The call is about the whole service: only callers of all fleets. */
  | 'whole'
  /** The call is about no fleet. */
  | 'none';

export interface Route {
  readonly needs: Operation;
  readonly fleet: FleetRule;
  /** Open to callers on this machine. */
  readonly openOnLoopback?: true;
}

const route = (needs: Operation, fleet: FleetRule): Route => ({ needs, fleet });

/** Every route, as Express names it; `open` is for everybody. */
export const ROUTES: Readonly<Partial<Record<string, Route | 'open'>>> = {
  'GET /health': 'open',
  'GET /health/live': 'open',
  'GET /health/ready': 'open',
  'GET /metrics': { needs: 'metrics', fleet: 'whole', openOnLoopback: true },

  'GET /lora/status': route('status', 'query'),
  'GET /lora/stream': route('stream', 'query'),
  'POST /lora/disable': route('disable', 'query'),
  'POST /lora/enable': route('operate', 'query'),
  'POST /lora/rollback': route('operate', 'query'),
  'POST /lora/deploy': route('deploy', 'query'),
  'POST /adapters/:version/deploy': route('deploy', 'query'),
  'GET /fleets': route('read', 'some'),
  'PUT /fleets/:fleet': route('operate', 'path'),

  'GET /lora/convergence': route('read', 'query'),
  'GET /engines': route('read', 'some'),
  'GET /engines/:id': route('read', 'found'),
  'PUT /engines/:id': route('report', 'query'),
  'DELETE /engines/:id': route('retire', 'found'),

  'GET /lora/history': route('read', 'some'),
  'GET /lora/history/summary': route('read', 'some'),
  'GET /lora/history/:position': route('read', 'found'),
  'GET /lora/history/export': route('export', 'some'),
  'GET /audit/access': route('audit', 'whole'),
  'GET /audit/checkpoint': route('read', 'none'),
  'GET /audit/checkpoints': route('read', 'none'),
  'GET /audit/proof/:position': route('read', 'none'),
  'GET /audit/consistency': route('read', 'none'),
  'GET /audit/key': route('read', 'none'),
  'GET /audit/refusals': route('audit', 'some'),
};

/** The pages that describe the calls, and all below them: they are no routes of a controller. */
export const DESCRIPTION_PATHS = ['/docs', '/openapi.json', '/openapi.yaml'] as const;
export const DESCRIPTION: Route = { needs: 'describe', fleet: 'none', openOnLoopback: true };
