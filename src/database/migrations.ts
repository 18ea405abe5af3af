import { CreateLog1795556400000 } from '../../migrations/1795556400000-create-log.js';
import { CreateEngines1795571100000 } from '../../migrations/1795571100000-create-engines.js';
import { AppendTogether1795580000000 } from '../../migrations/1795580000000-append-together.js';
import { CreateAccess1795580300000 } from '../../migrations/1795580300000-create-access.js';
import { ServeAuditors1795840000000 } from '../../migrations/1795840000000-serve-auditors.js';
import { KeepCheckpoints1795840100000 } from '../../migrations/1795840100000-keep-checkpoints.js';
import { KeepRefusals1795840200000 } from '../../migrations/1795840200000-keep-refusals.js';
import { AppendSets1795850000000 } from '../../migrations/1795850000000-append-sets.js';
import { TellAgentsApart1795860000000 } from '../../migrations/1795860000000-tell-agents-apart.js';
import { NameCallers1795870000000 } from '../../migrations/1795870000000-name-callers.js';
import { RecordLongAccess1795880000000 } from '../../migrations/1795880000000-record-long-access.js';

/** Every migration, in order; listed one by one so that none is applied by accident of a file name. */
export const MIGRATIONS = [
  CreateLog1795556400000,
  CreateEngines1795571100000,
  AppendTogether1795580000000,
  CreateAccess1795580300000,
  ServeAuditors1795840000000,
  KeepCheckpoints1795840100000,
  KeepRefusals1795840200000,
  AppendSets1795850000000,
  TellAgentsApart1795860000000,
  NameCallers1795870000000,
  RecordLongAccess1795880000000,
];
