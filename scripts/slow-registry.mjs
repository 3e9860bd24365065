// A registry as it is over a slow line, for tests that watch a pull or give one up:
//
//   node scripts/slow-registry.mjs REGISTRY    REGISTRY is host:port of a real one
//
// Listens on a free loopback port, prints it as host:port, and hands everything
// on. Layers of repositories under slow/ come at a quarter MiB a second, those
// of others as they are. Ends with SIGTERM.
import http from 'node:http';
import { Transform } from 'node:stream';

const [host, port] = (process.argv[2] ?? '').split(':');
if (!host || !port) {
  console.error('usage: node scripts/slow-registry.mjs HOST:PORT');
  process.exit(2);
}

const PIECE = 16 * 1024;
const PAUSE_MS = 62.5; // sixteen pieces a second

/** Lets bytes through piece by piece, with a pause after each. */
class Slow extends Transform {
  _transform(chunk, _encoding, done) {
    const next = (from) => {
      if (from >= chunk.length) return done();
      this.push(chunk.subarray(from, from + PIECE));
      setTimeout(next, PAUSE_MS, from + PIECE);
    };
    next(0);
  }
}

const server = http.createServer((request, response) => {
  const { method, url, headers } = request;
  const onward = http.request({ host, port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    if (method === 'GET' && /^\/v2\/slow\/.*\/blobs\//.test(url)) answer.pipe(new Slow()).pipe(response);
    else answer.pipe(response);
  });
  const fail = () => response.destroy();
  onward.on('error', fail);
  request.on('error', fail);
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
