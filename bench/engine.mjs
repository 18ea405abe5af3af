import { Buffer } from 'node:buffer';
import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';

/**
 * One engine's end of GET /lora/stream, on a bare socket: thousands of them must cost the load process little. Every
 * event is checked: a state of its own fleet, newer than the one before. Anything else, an end included, is a fault.
 */
export class Engine {
  /** The newest state that has come. */
  generation = 0;
  enabled;
  /** What the engine must serve; null is the base model. */
  adapter;
  logId;
  fault;
  #port;
  #fleet;
  #onState;
  #socket;
  #id;
  #rest = '';
  #headSeen = false;
  #connected;

  /** @param onState called with the engine at each state */
  constructor(port, fleet, onState) {
    this.#port = port;
    this.#fleet = fleet;
    this.#onState = onState;
  }

  /** Connects, as EventSource does with the id of the last event. @returns when the stream has begun */
  open() {
    const last = this.#id === undefined ? '' : `Last-Event-ID: ${this.#id}\r\n`;
    this.#rest = '';
    this.#headSeen = false;
    const socket = connect(this.#port, '127.0.0.1');
    this.#socket = socket;
    socket.write(
      Buffer.from(`GET /lora/stream?fleet=${this.#fleet} HTTP/1.1\r\nHost: 127.0.0.1\r\n${last}\r\n`),
    );
    socket.setEncoding('latin1').on('data', (text) => this.#take(text));
    return new Promise((resolve, reject) => {
      this.#connected = { resolve, reject };
      socket.on('error', (error) => this.#fail(`${error.code ?? error}`));
      socket.on('close', () => this.#fail('the stream ended'));
    });
  }

  /** What comes from now on is nobody's. */
  drop() {
    this.#socket?.removeAllListeners().on('error', () => undefined);
    this.#socket?.destroy();
  }

  #take(text) {
    this.#rest += text;
    if (!this.#headSeen) {
      const end = this.#rest.indexOf(HEAD_END);
      if (end < 0) return;
      const head = this.#rest.slice(0, end);
      if (!/^HTTP\/1\.1 200 [^]*content-type: text\/event-stream/i.test(head)) {
        this.#fail(`no stream: ${this.#rest.slice(0, 500)}`);
        return;
      }
      this.#headSeen = true;
      this.#rest = this.#rest.slice(end + HEAD_END.length);
    }
    for (let end = this.#rest.indexOf('\n\n'); end >= 0; end = this.#rest.indexOf('\n\n')) {
      const block = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 2);
      if (block.startsWith('retry: ')) this.#connected.resolve();
      else if (!block.startsWith(':')) this.#event(block);
    }
  }

  #event(block) {
    const [, id, data] = /^id: (\S+)\nevent: state\ndata: (\{.*\})$/.exec(block) ?? [];
    const state = id === undefined ? undefined : JSON.parse(data);
    if (state?.fleet !== this.#fleet || !id.endsWith(`-${state.generation}`)) {
      this.#fail(`not a state of ${this.#fleet}: ${block}`);
    } else if (state.generation <= this.generation) {
      this.#fail(`${state.generation} after ${this.generation}`);
    } else {
      this.#id = id;
      this.generation = state.generation;
      this.enabled = state.enabled;
      this.adapter = state.active_adapter_version;
      this.logId = state.log_id;
      this.#onState(this);
    }
  }

  #fail(fault) {
    this.fault ??= fault;
    this.#connected.reject(new Error(`A stream: ${fault}`));
  }
}
