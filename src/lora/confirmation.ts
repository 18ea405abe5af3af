import { createParamDecorator, Injectable, type PipeTransform } from '@nestjs/common';

import { EventStore } from '../event-store/event-store.js';
import type { LogMemory } from '../event-store/log-memory.js';
import type { Confirmed } from '../event-store/submission.js';

/** Under which state of the log a command has arrived. In a box, because what a pipe returns is waited for. */
export interface Confirmation {
  readonly confirmed: Promise<Confirmed>;
}

/** A confirmation that takes longer than this does not tell any more what had happened when the command arrived. */
const LATE_MS = 100;

function asOfNow({ position, epoch }: LogMemory): Confirmed {
  return { position, epoch };
}

@Injectable()
class ConfirmPipe implements PipeTransform<unknown, Confirmation> {
  constructor(private readonly store: EventStore) {}

  transform(): Confirmation {
    const { readIndex, memory } = this.store;
    const known = asOfNow(memory);
    const arrivedAt = performance.now();
    const confirmed = readIndex.confirm().then((): Confirmed => {
      const now = asOfNow(memory);
      const late = performance.now() - arrivedAt > LATE_MS;
      // What such a confirmation brings may have happened after the command had arrived.
      return late && known.epoch === now.epoch ? known : now;
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
