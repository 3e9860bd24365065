// The whole journey from a script: register, take an image, make a container,
// see it run, read three samples, stop it, remove it. Plain HTTP and one
// WebSocket (the subprotocol graphql-transport-ws); nothing to install.
//
//   node examples/journey.mjs [URL]         default http://127.0.0.1:8080
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

const site = new URL(process.argv[2] ?? 'http://127.0.0.1:8080');
const DEADLINE_MS = 180_000;

let cookie = '';

/** Sends one query or mutation; resolves with its data, rejects with what the server says is wrong. */
async function graphql(query, variables = {}) {
  const response = await fetch(new URL('/graphql', site), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json', Cookie: cookie },
    body: JSON.stringify({ query, variables }),
  });
  // Registering and signing in set the cookie mlride_session.
  for (const set of response.headers.getSetCookie()) cookie = set.split(';')[0];
  const text = await response.text();
  if (!response.headers.get('content-type')?.includes('json')) throw new Error(`${response.status}: ${text.trim()}`);
  const { data, errors } = JSON.parse(text);
  if (errors) throw new Error(explain(errors));
  return data;
}

function explain(errors) {
  return errors.map(({ message, extensions }) => (extensions?.code ? `${extensions.code}: ${message}` : message)).join('\n');
}

/** A WebSocket that carries subscriptions, in the little of RFC 6455 that this needs. */
class Subscriptions {
  #socket;
  #received = Buffer.alloc(0);
  #parts = [];
  #listeners = new Map();
  #lastId = 0;

  static open() {
    const key = randomBytes(16).toString('base64');
    const request = (site.protocol === 'https:' ? https : http).request(new URL('/graphql', site), {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': key,
        'Sec-WebSocket-Protocol': 'graphql-transport-ws',
        Cookie: cookie,
      },
    });
    return new Promise((resolve, reject) => {
      request.on('error', reject);
      request.on('response', ({ statusCode }) => reject(new Error(`the server refused the WebSocket with ${statusCode}`)));
      request.on('upgrade', (response, socket, head) => {
        const expected = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        if (response.headers['sec-websocket-accept'] !== expected) return reject(new Error('not a WebSocket server'));
        const subscriptions = new Subscriptions(socket);
        subscriptions.#listeners.set('ack', { tell: () => resolve(subscriptions), fail: reject });
        subscriptions.#take(head);
        subscriptions.#send({ type: 'connection_init' });
      });
      request.end();
    });
  }

  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the WebSocket')));
  }

  /** Yields the data of each message of a subscription until the server completes it or the caller stops reading. */
  async *subscribe(query, variables) {
    const id = String(++this.#lastId);
    const waiting = [];
    let wake = () => {};
    const put = (item) => {
      waiting.push(item);
      wake();
    };
    this.#listeners.set(id, { tell: (data) => put({ data }), fail: (error) => put({ error }), end: () => put({ end: true }) });
    this.#send({ id, type: 'subscribe', payload: { query, variables } });
    let over = false;
    try {
      for (;;) {
        while (waiting.length === 0) await new Promise((resolve) => (wake = resolve));
        const { data, error, end } = waiting.shift();
        over = Boolean(error || end);
        if (error) throw error;
        if (end) return;
        yield data;
      }
    } finally {
      this.#listeners.delete(id);
      if (!over) this.#send({ id, type: 'complete' });
    }
  }

  close() {
    this.#listeners.clear();
    this.#socket.end(frame(0x8, Buffer.from([0x03, 0xe8]))); // 1000: done
  }

  #send(message) {
    this.#socket.write(frame(0x1, Buffer.from(JSON.stringify(message))));
  }

  #fail(error) {
    for (const listener of this.#listeners.values()) listener.fail(error);
    this.#listeners.clear();
  }

  /** Cuts what was received into frames and frames into messages. Frames from a server are not masked. */
  #take(chunk) {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const bytes = this.#received;
      if (bytes.length < 2) return;
      let length = bytes[1] & 0x7f;
      let start = 2;
      if (length === 126 || length === 127) {
        start = length === 126 ? 4 : 10;
        if (bytes.length < start) return;
        length = start === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      }
      if (bytes.length < start + length) return;
      this.#received = bytes.subarray(start + length);
      this.#frame(bytes[0] & 0x0f, Boolean(bytes[0] & 0x80), bytes.subarray(start, start + length));
    }
  }

  #frame(opcode, last, payload) {
    if (opcode === 0x9) this.#socket.write(frame(0xa, payload)); // ping → pong
    if (opcode === 0x8) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#fail(new Error(`the server closed the WebSocket: ${code} ${payload.subarray(2)}`));
    }
    if (opcode >= 0x8) return;
    this.#parts.push(payload);
    if (!last) return;
    const text = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#message(JSON.parse(text));
  }

  #message({ id, type, payload }) {
    const listener = this.#listeners.get(type === 'connection_ack' ? 'ack' : id);
    if (type === 'ping') this.#send({ type: 'pong' });
    else if (type === 'connection_ack') {
      this.#listeners.delete('ack');
      listener?.tell();
    } else if (type === 'next' && payload.errors) listener?.fail(new Error(explain(payload.errors)));
    else if (type === 'next') listener?.tell(payload.data);
    else if (type === 'error') listener?.fail(new Error(explain(payload)));
    else if (type === 'complete') listener?.end();
  }
}

/** One whole frame from a client: masked, as RFC 6455 wants it. */
function frame(opcode, payload) {
  const length = payload.length;
  const head = length < 126 ? Buffer.from([0, 0x80 | length]) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  if (head.length === 4) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(length, 2);
  } else if (head.length === 10) {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
}

/** An image that containers can be made of: one that is there, else the first of the catalogue, pulled. */
async function readyImage(subscriptions) {
  const { images } = await graphql('{ images(first: 1, where: { status: [READY] }) { edges { node { id reference } } } }');
  if (images.edges.length > 0) return images.edges[0].node;

  const { imageCatalogue } = await graphql('{ imageCatalogue { reference } }');
  if (imageCatalogue.length === 0) throw new Error('there is no image here, and the catalogue is empty');
  const { pullImage } = await graphql(
    'mutation ($input: PullImageInput!) { pullImage(input: $input) { image { id reference } } }',
    { input: { reference: imageCatalogue[0].reference } },
  );
  const { image } = pullImage;
  console.log(`pulling ${image.reference}`);
  const changes = subscriptions.subscribe(
    'subscription ($id: ID!) { imageChanged(id: $id) { image { status statusMessage progress { percent } } } }',
    { id: image.id },
  );
  for await (const { imageChanged } of changes) {
    const { status, statusMessage, progress } = imageChanged.image ?? { status: 'REMOVED' };
    if (status === 'READY') return image;
    if (!['PENDING', 'PULLING'].includes(status)) throw new Error(`${image.reference} is ${status}: ${statusMessage ?? ''}`);
    if (progress?.percent != null) console.log(`  ${Math.round(progress.percent)} %`);
  }
  throw new Error('the server ended the subscription to the image');
}

/** Reads changes until the container has the status, or is gone where the status is REMOVED. */
async function until(changes, wanted) {
  for (;;) {
    const { value, done } = await changes.next();
    if (done) throw new Error(`the changes ended before ${wanted}`);
    const { kind, container } = value.containerChanged;
    const status = kind === 'REMOVED' ? 'REMOVED' : container.status;
    console.log(`  ${status}`);
    if (status === wanted) return;
    if (['FAILED', 'LOST', 'REMOVED'].includes(status)) {
      throw new Error(`the container is ${status}, not ${wanted}: ${container?.statusMessage ?? 'it is gone'}`);
    }
  }
}

async function journey() {
  const username = `journey-${randomBytes(4).toString('hex')}`;
  await graphql('mutation ($input: RegisterInput!) { register(input: $input) { user { id } } }', {
    input: { username, email: `${username}@example.com`, password: randomBytes(12).toString('base64url') },
  });
  console.log(`registered ${username}`);

  const subscriptions = await Subscriptions.open();
  const image = await readyImage(subscriptions);
  const { createContainer } = await graphql(
    'mutation ($input: CreateContainerInput!) { createContainer(input: $input) { container { id name } } }',
    { input: { name: username, imageId: image.id } },
  );
  const { id, name } = createContainer.container;
  console.log(`made ${name} of ${image.reference}`);

  let there = true;
  try {
    const changes = subscriptions.subscribe(
      'subscription ($id: ID!) { containerChanged(id: $id) { kind container { status statusMessage } } }',
      { id },
    );
    await until(changes, 'RUNNING');

    const samples = subscriptions.subscribe(
      'subscription ($id: ID!) { containerStats(id: $id) { cpuPercent memoryUsage memoryLimit pids } }',
      { id },
    );
    for (let n = 0; n < 3; n++) {
      const { value, done } = await samples.next();
      if (done) throw new Error('the samples ended');
      const { cpuPercent, memoryUsage, memoryLimit, pids } = value.containerStats;
      const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
      console.log(`  cpu ${cpuPercent.toFixed(1)} %, memory ${mib(memoryUsage)} of ${mib(memoryLimit)} MiB, ${pids} processes`);
    }
    await samples.return();

    await graphql('mutation ($id: ID!) { stopContainer(id: $id, timeout: "2s") { container { id } } }', { id });
    await until(changes, 'EXITED');
    await graphql('mutation ($id: ID!) { removeContainer(id: $id) { container { id } } }', { id });
    await until(changes, 'REMOVED');
    there = false;
    console.log('done');
  } finally {
    // Nothing is left behind, also when something went wrong half way.
    if (there) await graphql('mutation ($id: ID!) { removeContainer(id: $id) { container { id } } }', { id }).catch(() => {});
    subscriptions.close();
  }
}

function fail(reason) {
  console.error(`journey: ${reason}`);
  process.exit(1);
}

setTimeout(() => fail(`not done within ${DEADLINE_MS / 1000} s`), DEADLINE_MS).unref();
journey().catch((error) => fail(error.cause ? `${error.message}: ${error.cause.message}` : error.message));
