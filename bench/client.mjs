import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');

/** One keep-alive connection, one request at a time, which does no more with an answer than find its end. */
export class KeepAlive {
  #socket;
  #waiting;
  #received;
  #ended;

  static async open(port) {
    const connection = new KeepAlive();
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    connection.#socket = socket;
    await once(socket, 'connect');
    socket.on('data', (chunk) => connection.#take(chunk));
    socket.on('error', (error) => connection.#fail(error));
    socket.on('close', () => connection.#fail(new Error('The server closed the connection.')));
    return connection;
  }

  /** @param bytes a whole request @returns status, head and body of the answer */
  ask(bytes) {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#waiting = { resolve, reject };
      this.#socket.write(bytes);
    });
  }

  close() {
    this.#socket.destroy();
  }

  #take(chunk) {
    const received = this.#received ? Buffer.concat([this.#received, chunk]) : chunk;
    this.#received = received;
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = received.latin1Slice(0, headEnd);
    const length = /\r\ncontent-length: (\d+)/i.exec(head);
    if (!length) return this.#fail(new Error(`An answer without a length:\n${head}`));
    const bodyStart = headEnd + HEAD_END.length;
    const end = bodyStart + Number(length[1]);
    if (received.length < end) return;
    this.#received = undefined;
    const { resolve } = this.#waiting;
    this.#waiting = undefined;
    resolve({ status: Number(head.slice(9, 12)), head, body: received.subarray(bodyStart, end) });
  }

  #fail(error) {
    this.#ended ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

/** A request as it goes over the wire. @param body a value, sent as JSON @param headers further ones, by name */
export function requestBytes({ method = 'GET', path, body, headers = {} }) {
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: 127.0.0.1', 'User-Agent: lora-bench'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  const text = body === undefined ? '' : JSON.stringify(body);
  if (method !== 'GET') lines.push(`Content-Length: ${Buffer.byteLength(text)}`);
  if (text !== '') lines.push('Content-Type: application/json');
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${text}`);
}

/** One call on a connection of its own. @returns the answer with its body as text @throws Error unless it is 2xx */
export async function call(port, request) {
  const connection = await KeepAlive.open(port);
  try {
    const { status, head, body } = await connection.ask(requestBytes(request));
    const text = body.toString();
    if (status >= 300 && !request.any) throw new Error(`${request.path} answered ${status}: ${text}`);
    return { status, head, text, json: () => JSON.parse(text) };
  } finally {
    connection.close();
  }
}
