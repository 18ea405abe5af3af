import { type Answered, type Call, callAt, type Target } from './agreement-call.js';
import { startReplica, type Replica } from './replica.js';
import { TcpProxy } from './tcp-proxy.js';

/** A replica process with a network of its own between it and the database. */
export class Node implements Target {
  private current: Replica | undefined;
  private readonly pauses: { readonly from: number; to: number }[] = [];

  private constructor(
    readonly name: string,
    readonly proxy: TcpProxy,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  static async start(
    name: string,
    database: { readonly url: string },
    env: Readonly<Record<string, string>> = {},
    prepare: (proxy: TcpProxy) => void = () => undefined,
  ): Promise<Node> {
    const proxy = await TcpProxy.to(() => Number(new URL(database.url).port));
    prepare(proxy);
    const node = new Node(name, proxy, { ...env, DATABASE_URL: proxy.through(database.url) });
    await node.start();
    return node;
  }

  get replica(): Replica {
    if (!this.current) throw new Error(`Replica ${this.name} does not run.`);
    return this.current;
  }

  get isUp(): boolean {
    return this.current !== undefined;
  }

  get url(): string {
    return this.replica.api.url;
  }

  /** Changes with every process. */
  get incarnation(): string {
    return `${this.name}:${this.current?.pid ?? 'down'}`;
  }

  /** @param until `listening`: also while its database is away */
  async start(until?: 'listening'): Promise<void> {
    this.current = await startReplica({ env: { ...this.env }, until });
  }

  /** `kill -9`; with SIGTERM as an operator ends it. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const { replica } = this;
    if (signal === 'SIGKILL') this.current = undefined;
    await replica.stop(signal);
    this.current = undefined;
  }

  /** Stops the process, which keeps its sockets and its locks. */
  pause(): void {
    process.kill(this.replica.pid, 'SIGSTOP');
    this.pauses.push({ from: performance.now(), to: Number.POSITIVE_INFINITY });
  }

  resume(): void {
    const last = this.pauses.at(-1);
    if (last) last.to = performance.now();
    process.kill(this.replica.pid, 'SIGCONT');
  }

  /** Whether the process stood still for a part of this time. */
  stoodStill({ sentAt, receivedAt }: Pick<Answered, 'sentAt' | 'receivedAt'>): boolean {
    return this.pauses.some(({ from, to }) => from <= receivedAt && to >= sentAt);
  }

  /** For good. */
  async stop(): Promise<void> {
    this.proxy.set('pass');
    if (this.current) {
      this.current.process.kill('SIGCONT');
      await this.current.stop('SIGKILL');
    }
    await this.proxy.close();
  }

  /** Never throws: a broken socket or none at all is status 0. */
  call(call: Call): Promise<Answered> {
    const now = performance.now();
    if (!this.current)
      return Promise.resolve({ status: 0, body: {}, headers: new Headers(), sentAt: now, receivedAt: now });
    return callAt(this, call);
  }

  get(path: string): Promise<Answered> {
    return this.call({ method: 'GET', path });
  }

  post(path: string, body?: unknown, key?: string): Promise<Answered> {
    return this.call({ path, body, headers: key === undefined ? {} : { 'idempotency-key': key } });
  }

  /** Two linearizable reads, one after the other: what was sent before them has arrived and is under way. */
  async barrier(): Promise<void> {
    for (let nth = 0; nth < 2; nth++) await this.get('/lora/status?consistency=strong');
  }

  /** Waits until it can take a kill, and hears of others'. */
  async healed(): Promise<void> {
    await until(`${this.name} is ready`, async () => {
      const { status, body } = await this.get('/health');
      const { components } = body as { components?: { feed?: string } };
      return status === 200 && body.status === 'ok' && components?.feed === 'listening';
    });
  }
}

/** The connections of a replica by what they are for. */
export const lanes = (name: string): boolean =>
  name.startsWith('lora-control-plane') && name.endsWith('lane');
export const firstLane = (name: string): boolean => name === 'lora-control-plane lane';
export const spareLane = (name: string): boolean => name === 'lora-control-plane spare lane';
export const readIndex = (name: string): boolean => name === 'lora-control-plane read index';
export const answers = (name: string): boolean => name === 'lora-control-plane answers';

/** Waits until the condition holds, and gives up loudly after a while. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  atMostMs = 20_000,
): Promise<T> {
  const end = performance.now() + atMostMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`It did not happen within ${atMostMs} ms: ${what}.`);
    await new Promise((resume) => setTimeout(resume, 10));
  }
}
