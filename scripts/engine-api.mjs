// The little of the Docker Engine API that the scripts need. An engine may be
// running where no docker client and no curl are; Node is always there.
//
//   node scripts/engine-api.mjs ping                        does an engine answer?
//   node scripts/engine-api.mjs has IMAGE                   is the image there?
//   node scripts/engine-api.mjs pull IMAGE SECONDS          pull it, at most so long
//   node scripts/engine-api.mjs tag IMAGE NAME              give it one more name
//   node scripts/engine-api.mjs push IMAGE                  put it into the registry that it names
//   node scripts/engine-api.mjs remove IMAGE                take the name away, and the image with its last one
//   node scripts/engine-api.mjs forget REGISTRY             remove what came from a registry, host:port
//   node scripts/engine-api.mjs import NAME FILE CHANGE...  make an image of a tar file
//   node scripts/engine-api.mjs containers INSTANCE         print the names of an instance's containers
//   node scripts/engine-api.mjs clean INSTANCE              remove all that an instance made
//
// Speaks to DOCKER_HOST (unix:// or tcp://, with DOCKER_TLS_VERIFY and
// DOCKER_CERT_PATH), else to the default socket. Exit: 0 yes or done, 1 no,
// 2 wrong use, 3 the engine's socket may not be used by this user.
import { createReadStream, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** How long the engine may be silent; removing a container deletes all its files first. */
const SILENCE_MS = 60_000;

const host = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock';

/** Where requests go, in the words of node:http. */
function target() {
  if (host.startsWith('unix://')) return { via: http, socketPath: host.slice('unix://'.length) };
  const url = new URL(host);
  if (url.protocol !== 'tcp:') throw new Error(`DOCKER_HOST takes unix:// or tcp://, not ${host}`);
  const address = { host: url.hostname, port: url.port || (process.env.DOCKER_TLS_VERIFY ? 2376 : 2375) };
  if (!process.env.DOCKER_TLS_VERIFY) return { via: http, ...address };
  const folder = process.env.DOCKER_CERT_PATH || join(homedir(), '.docker');
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readFileSync(join(folder, name)));
  return { via: https, ...address, ca, cert, key };
}

/** Sends one request; resolves with the response once its head is there. */
function send(method, path, { query = {}, headers = {}, body, signal, silence = SILENCE_MS } = {}) {
  const { via, ...where } = target();
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) for (const one of [value].flat()) search.append(name, one);
  return new Promise((resolve, reject) => {
    const request = via.request({ ...where, method, path: `${path}?${search}`, signal, headers: { Host: 'engine', ...headers } }, resolve);
    request.setTimeout(silence, () => request.destroy(new Error(`the engine was silent for ${silence / 1000} s`)));
    request.on('error', reject);
    if (body) body.on('error', (error) => request.destroy(error)).pipe(request);
    else request.end();
  });
}

async function text(response) {
  let all = '';
  for await (const chunk of response.setEncoding('utf8')) all += chunk;
  return all;
}

/** Sends a request whose answer is one JSON document; statuses other than 2xx and the accepted ones throw. */
async function call(method, path, options = {}) {
  const response = await send(method, path, options);
  const answer = await text(response);
  if (options.accept?.includes(response.statusCode)) return undefined;
  if (response.statusCode >= 300) throw new Error(message(answer) || `status ${response.statusCode}`);
  return answer.trimStart().match(/^[[{]/) ? JSON.parse(answer) : answer;
}

function message(answer) {
  try {
    return JSON.parse(answer).message;
  } catch {
    return answer.trim();
  }
}

/** Sends a request that the engine answers with a line of JSON for each piece of progress. */
async function progress(path, options) {
  const response = await send('POST', path, options);
  if (response.statusCode >= 300) throw new Error(message(await text(response)));
  for await (const line of createInterface({ input: response })) {
    const { error } = line.trim() ? JSON.parse(line) : {};
    if (error) throw new Error(error);
  }
}

/** Splits a name into repository and tag: a colon before a slash belongs to the registry's port. */
function split(name) {
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/') ? { repo: name.slice(0, colon), tag: name.slice(colon + 1) } : { repo: name, tag: 'latest' };
}

const labelled = (instance) => ({ filters: JSON.stringify({ label: [`mlride.instance=${instance}`] }) });

const commands = {
  async ping() {
    await call('GET', '/_ping', { silence: 5000 });
  },
  async has(image) {
    const response = await send('GET', `/images/${image}/json`);
    await text(response);
    if (response.statusCode !== 200) process.exitCode = 1;
  },
  async pull(image, seconds) {
    const { repo, tag } = split(image);
    // Closing the connection is how the engine is told to give up.
    const signal = AbortSignal.timeout(Number(seconds) * 1000);
    try {
      await progress('/images/create', { query: { fromImage: repo, tag }, signal });
    } catch (error) {
      throw signal.aborted ? new Error(`not pulled within ${seconds} s`) : error;
    }
  },
  async tag(image, name) {
    await call('POST', `/images/${image}/tag`, { query: split(name) });
  },
  async push(image) {
    const { repo, tag } = split(image);
    // The engine wants the header also where nobody has to sign in: this is {}.
    await progress(`/images/${repo}/push`, { query: { tag }, headers: { 'X-Registry-Auth': 'e30=' } });
  },
  async remove(image) {
    await call('DELETE', `/images/${image}`, { accept: [404] });
  },
  async forget(registry) {
    if (!registry) throw new Error('forget takes host:port of a registry');
    const from = (name) => name.startsWith(`${registry}/`);
    for (const { Id, RepoTags, RepoDigests } of await call('GET', '/images/json')) {
      const tags = (RepoTags ?? []).filter(from);
      // Without a name it is only known by where it came from.
      const names = tags.length > 0 ? tags : (RepoDigests ?? []).some(from) && !(RepoTags ?? []).length ? [Id] : [];
      for (const name of names) await call('DELETE', `/images/${name}`, { accept: [404, 409] });
    }
  },
  async import(name, file, ...changes) {
    await progress('/images/create', { query: { fromSrc: '-', ...split(name), changes }, body: createReadStream(file) });
  },
  async containers(instance) {
    for (const row of await call('GET', '/containers/json', { query: { all: '1', ...labelled(instance) } })) {
      console.log(row.Names[0].slice(1));
    }
  },
  async clean(instance) {
    if (!instance) throw new Error('clean takes the name of an instance');
    for (const row of await call('GET', '/containers/json', { query: { all: '1', ...labelled(instance) } })) {
      // 409: its removal is already under way
      await call('DELETE', `/containers/${row.Id}`, { query: { force: '1', v: '1' }, accept: [404, 409] });
    }
    for (const row of await call('GET', '/networks', { query: labelled(instance) })) {
      await call('DELETE', `/networks/${row.Id}`, { accept: [404] });
    }
    for (const row of (await call('GET', '/volumes', { query: labelled(instance) })).Volumes ?? []) {
      await call('DELETE', `/volumes/${row.Name}`, { accept: [404] });
    }
    for (const row of await call('GET', '/images/json')) {
      for (const tag of row.RepoTags ?? []) {
        if (tag.startsWith(`mlride-${instance}/`)) await call('DELETE', `/images/${tag}`, { accept: [404] });
      }
    }
  },
};

const [name, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(commands, name ?? '')) {
  console.error(`usage: node scripts/engine-api.mjs ${Object.keys(commands).join('|')} ...`);
  process.exit(2);
}
try {
  await commands[name](...rest);
} catch (error) {
  console.error(`engine at ${host}: ${error.message}`);
  process.exitCode = error.code === 'EACCES' ? 3 : 1;
}
