import { createParamDecorator, Injectable, type PipeTransform } from '@nestjs/common';

import { EventStore } from '../event-store/event-store.js';
import type { Confirmed } from '../event-store/submission.js';

/** A confirmation, and whether it came in time. */
export interface ConfirmedOnce extends Confirmed {
  /**
   * Where the confirmation took too long to tell what had happened when the command arrived: the position that this
   * replica knew then. What came after it may have come after the command.
   */
  readonly onArrival?: number;
}

/** Under which state of the log a command has arrived. In a box, because what a pipe returns is waited for. */
export interface Confirmation {
  readonly confirmed: Promise<ConfirmedOnce>;
}

/** After this a confirmation does not tell any more what had happened when the command arrived. */
const LATE_MS = 100;

@Injectable()
class ConfirmPipe implements PipeTransform<unknown, Confirmation> {
  constructor(private readonly store: EventStore) {}

  transform(): Confirmation {
    const { readIndex, memory } = this.store;
    const { position: known, epoch } = memory;
    const arrivedAt = performance.now();
    const confirmed = readIndex.confirm().then((): ConfirmedOnce => {
      const late = performance.now() - arrivedAt > LATE_MS && memory.epoch === epoch;
      return { position: memory.position, epoch: memory.epoch, ...(late ? { onArrival: known } : {}) };
    });
    // Nobody waits for it when the request turns out to be none.
    confirmed.catch(() => undefined);
    return { confirmed };
  }
}

const Nothing = createParamDecorator(() => undefined);

/**
 * Has the log confirmed from the moment at which the head of the command is here, while its body is still on its way:
 * a kill that commits while a body trickles in has come after the command.
 */
export const ConfirmedOnArrival = (): ParameterDecorator => Nothing(ConfirmPipe);
