import { createParamDecorator, Injectable, type PipeTransform } from '@nestjs/common';

import { EventStore } from '../event-store/event-store.js';
import type { Confirmed } from '../event-store/submission.js';

/** Under which state of the log a command has arrived. In a box, because what a pipe returns is waited for. */
export interface Confirmation {
  readonly confirmed: Promise<Confirmed>;
}

@Injectable()
class ConfirmPipe implements PipeTransform<unknown, Confirmation> {
  constructor(private readonly store: EventStore) {}

  transform(): Confirmation {
    const { readIndex, memory } = this.store;
    const confirmed = readIndex
      .confirm()
      .then((): Confirmed => ({ position: memory.position, epoch: memory.epoch }));
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
