import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server that can be shut: what knocks meanwhile waits, what is through stays through. */
export interface TcpGate {
  readonly port: number;
  shut(): void;
  /** Like `shut`, and what is through hears nothing any more: no byte, no end, no reset, also after `open`. */
  swallow(): void;
  open(): void;
  /** How many connections wait. */
  waiting(): number;
  close(): Promise<void>;
}

export async function openGate(host: string, port: number): Promise<TcpGate> {
  const sockets = new Set<Socket>();
  const knocking = new Map<Socket, () => void>();
  const through = new Map<Socket, Socket>();
  let isOpen = true;
  const keep = (socket: Socket, other: () => Socket | undefined): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      knocking.delete(socket);
      through.delete(socket);
      other()?.destroy();
    });
  };
  const server = createServer((client) => {
    let behind: Socket | undefined;
    keep(client, () => behind);
    const join = (): void => {
      behind = connect(port, host);
      keep(behind, () => client);
      client.pipe(behind).pipe(client);
      through.set(client, behind);
    };
    if (isOpen) join();
    else knocking.set(client, join);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    shut: () => {
      isOpen = false;
    },
    swallow: () => {
      isOpen = false;
      for (const [client, behind] of through) {
        for (const socket of [client.unpipe(), behind.unpipe()]) {
          socket.removeAllListeners('data');
          // Read on, so that the end of the one side is noticed here, but let nothing through.
          socket.resume();
        }
      }
    },
    open: () => {
      isOpen = true;
      for (const join of knocking.values()) join();
      knocking.clear();
    },
    waiting: () => knocking.size,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
