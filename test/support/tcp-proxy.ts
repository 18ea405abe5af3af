import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

import { reset } from './reset.js';

import { MessageFilter, startupParameter } from './agreement-wire.js';

/**
 * What happens to bytes: `pass` them; `hole` lets them vanish both ways while connections stay open, as behind a
 * broken router; `deaf` loses only what the server answers; `hold` keeps bytes and delivers them late, as TCP does
 * when a partition heals.
 */
export type Weather = 'pass' | 'hole' | 'deaf' | 'hold';

/** Which connections are meant, by the application_name that they gave; all when absent. */
export type Which = (applicationName: string) => boolean;

/** One connection through the proxy. */
class Passage {
  applicationName = '';
  private started = false;
  /** Bytes were lost: what would follow makes no sense any more. */
  private broken = false;
  private lost = false;
  private weather: Weather = 'pass';
  private readonly held: { readonly to: Socket; readonly bytes: Buffer }[] = [];
  private readonly filter = new MessageFilter('A');
  clientGone = false;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    proxy: TcpProxy,
    private readonly ended: () => void,
  ) {
    client.on('data', (bytes) => {
      if (!this.started) {
        this.started = true;
        this.applicationName = startupParameter(bytes, 'application_name') ?? '';
        this.weather = proxy.weatherOf(this.applicationName);
      }
      this.carry(bytes, server);
    });
    server.on('data', (bytes) => {
      this.carry(proxy.swallowsNotifications ? this.filter.take(bytes) : bytes, client);
    });
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        if (socket === client) this.clientGone = true;
        // In a hole nobody hears that the other side has gone.
        if (this.weather === 'pass' && !this.broken) this.cut();
      });
    }
  }

  /** Its bytes vanish from now on, whatever the weather. */
  lose(): void {
    this.weather = 'hole';
    this.broken = true;
    this.lost = true;
  }

  get isSound(): boolean {
    return !this.broken && !this.clientGone;
  }

  become(weather: Weather): void {
    if (this.lost) return;
    this.weather = weather;
    if (weather !== 'pass') return;
    for (const { to, bytes } of this.held.splice(0)) if (!to.destroyed) to.write(bytes);
    if (this.broken || this.clientGone || this.server.destroyed) this.cut();
  }

  /** Bytes of the client that nobody will get. */
  swallowed = 0;

  /** Whether the client has sent something that is kept back. */
  get holdsRequest(): boolean {
    return this.held.some(({ to }) => to === this.server);
  }

  /** Resets both sides. */
  cut(): void {
    reset(this.client);
    reset(this.server);
    this.ended();
  }

  private carry(bytes: Buffer, to: Socket): void {
    if (bytes.length === 0) return;
    const lost = this.weather === 'hole' || (this.weather === 'deaf' && to === this.client);
    if (lost || (this.broken && this.weather !== 'deaf')) {
      this.broken = true;
      if (to === this.server) this.swallowed += bytes.length;
      return;
    }
    if (this.weather === 'hold') this.held.push({ to, bytes });
    else if (!to.destroyed) to.write(bytes);
  }
}

/** A loopback TCP proxy in front of PostgreSQL that can do what networks do. */
export class TcpProxy {
  private readonly passages = new Set<Passage>();
  private weather: Weather = 'pass';
  private which: Which = () => true;
  /** Like a transaction pooler that swallows what LISTEN would bring. */
  swallowsNotifications = false;

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  /** Listens on a free port of 127.0.0.1. */
  static async to(target: () => number): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new TcpProxy(server, (server.address() as AddressInfo).port);
    server.on('connection', (client) => {
      proxy.open(client, target());
    });
    return proxy;
  }

  /** The URL of the same database through the proxy. */
  through(url: string): string {
    const other = new URL(url);
    other.hostname = '127.0.0.1';
    other.port = String(this.port);
    return other.href;
  }

  /** Also for connections to come. */
  set(weather: Weather, which: Which = () => true): void {
    this.weather = weather;
    this.which = which;
    for (const passage of this.passages) passage.become(this.weatherOf(passage.applicationName));
  }

  /** The connections there are die unnoticed, as those that were idle too long behind a firewall; new ones pass. */
  lose(which: Which = () => true): void {
    for (const passage of this.passages) if (which(passage.applicationName)) passage.lose();
  }

  /** How many connections there are whose bytes have not been lost. */
  count(which: Which): number {
    return [...this.passages].filter((passage) => passage.isSound && which(passage.applicationName)).length;
  }

  weatherOf(applicationName: string): Weather {
    return this.which(applicationName) ? this.weather : 'pass';
  }

  /** Whether a client has sent something that is held. */
  holdsRequest(which: Which = () => true): boolean {
    return [...this.passages].some((passage) => which(passage.applicationName) && passage.holdsRequest);
  }

  /** How many bytes of clients got lost, on the connections that are still open. */
  swallowed(which: Which = () => true): number {
    return [...this.passages]
      .filter(({ applicationName }) => which(applicationName))
      .reduce((sum, { swallowed }) => sum + swallowed, 0);
  }

  cut(which: Which = () => true): void {
    for (const passage of [...this.passages]) if (which(passage.applicationName)) passage.cut();
  }

  async close(): Promise<void> {
    this.cut();
    const closed = once(this.server, 'close');
    this.server.close();
    await closed;
  }

  private open(client: Socket, port: number): void {
    const passage: Passage = new Passage(client, connect(port, '127.0.0.1'), this, () => {
      this.passages.delete(passage);
    });
    this.passages.add(passage);
  }
}
