import { Logger } from '@nestjs/common';
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose';

import { fetchKeys, IssuerError } from './issuer.js';

/** How often the keys are asked for, and how soon again when the issuer does not answer. */
const AGAIN_MS = 5 * 60_000;
const AGAIN_FAILED_MS = 10_000;
/** How long keys are good that the issuer was not there to confirm. */
export const KEYS_GOOD_MS = 24 * 60 * 60_000;
/** Between two questions for the sake of tokens: nobody can make the service flood the issuer. */
const COOL_MS = 10_000;
const COOL_WITHOUT_KEYS_MS = 1_000;
/** A caller waits no longer for it; a kill has 2 s for all. */
const CALLER_PATIENCE_MS = 1_000;

export interface Keys {
  readonly find: JWTVerifyGetKey;
  /** Each of them as a text, for telling whether one has gone. */
  readonly texts: readonly string[];
}

/** The keys of an issuer, kept through its outages. */
export class IssuerKeys {
  private readonly logger = new Logger('Access');
  private keys: Keys | undefined;
  private confirmedAt = -Infinity;
  private triedAt = -Infinity;
  private asking: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private fault: string | undefined;

  /**
   * @param onGone called when a key is no longer among them
   * @param now milliseconds on a clock that only goes forward
   */
  constructor(
    private readonly issuer: string,
    private readonly onGone: () => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Undefined when none were had yet, or for too long none could be confirmed. */
  get current(): Keys | undefined {
    return this.ageMs <= KEYS_GOOD_MS ? this.keys : undefined;
  }

  /** Whether the issuer did not answer the last question as it should. */
  get isAway(): boolean {
    return this.fault !== undefined;
  }

  /** How long ago the issuer confirmed the keys; Infinity: never. */
  get ageMs(): number {
    return this.now() - this.confirmedAt;
  }

  /** Asks now, and from now on at times. */
  begin(): void {
    void this.ask();
  }

  end(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** For a token that the known keys do not explain: the keys after a question, if one is due. */
  async renewed(): Promise<Keys | undefined> {
    const cool = this.current === undefined ? COOL_WITHOUT_KEYS_MS : COOL_MS;
    if (this.asking === undefined && this.now() - this.triedAt < cool) return this.current;
    let patience: NodeJS.Timeout | undefined;
    const enough = new Promise((resolve) => (patience = setTimeout(resolve, CALLER_PATIENCE_MS)));
    await Promise.race([this.ask(), enough]);
    clearTimeout(patience);
    return this.current;
  }

  private ask(): Promise<void> {
    return (this.asking ??= this.askOnce().finally(() => {
      this.asking = undefined;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.ask(), this.isAway ? AGAIN_FAILED_MS : AGAIN_MS).unref();
    }));
  }

  private async askOnce(): Promise<void> {
    this.triedAt = this.now();
    try {
      const keys = await fetchKeys(this.issuer);
      if (this.fault !== undefined) this.logger.log('The issuer of OIDC_ISSUER answers again.');
      this.fault = undefined;
      this.confirmedAt = this.now();
      this.take({ find: createLocalJWKSet(keys), texts: keys.keys.map((key) => JSON.stringify(key)) });
    } catch (error) {
      const fault = error instanceof IssuerError ? error.message : 'its keys cannot be used';
      if (this.fault !== fault) {
        const rest =
          this.current === undefined ? 'nobody is known by it' : 'the keys that it had go on counting';
        this.logger.error(`The issuer of OIDC_ISSUER cannot be asked, ${rest}: ${fault}.`);
      }
      this.fault = fault;
      if (this.current === undefined) this.take(undefined);
    }
  }

  private take(keys: Keys | undefined): void {
    const before = this.keys;
    this.keys = keys;
    if (before?.texts.some((text) => !keys?.texts.includes(text))) this.onGone();
  }
}
