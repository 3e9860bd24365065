import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { freeName, isName, Link, type State } from './link';

/** The browser's socket, with the server's side in the test's hand. */
class Socket {
  static readonly OPEN = 1;
  static all: Socket[] = [];
  readyState = 0;
  sent: (string | Uint8Array)[] = [];
  closedWith: number | undefined;
  onopen: () => void = () => undefined;
  onmessage: (event: { data: unknown }) => void = () => undefined;
  onclose: (event: { code: number; reason: string }) => void = () => undefined;
  readonly url: string;
  constructor(url: string) {
    this.url = url;
    Socket.all.push(this);
  }
  send(data: string | Uint8Array) {
    this.sent.push(data);
  }
  close(code: number) {
    this.closedWith = code;
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.onopen();
  }
  end(code: number, reason = '') {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

function start() {
  const states: State[] = [];
  const printed: string[] = [];
  let opened = 0;
  const link = new Link({
    address: ({ cols, rows }) => `ws://here/terminal/ctr_1?cols=${cols}&rows=${rows}&name=main`,
    size: () => ({ cols: 80, rows: 24 }),
    print: (bytes) => printed.push(new TextDecoder().decode(bytes)),
    opened: () => opened++,
    changed: (state) => states.push(state),
  });
  link.connect();
  return { link, states, printed, opened: () => opened };
}
const last = () => {
  const socket = Socket.all.at(-1);
  if (!socket) throw new Error('there is no socket');
  return socket;
};

beforeEach(() => {
  Socket.all = [];
  vi.stubGlobal('WebSocket', Socket);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('bytes go both ways, and sizes as text', () => {
  const { link, printed, states } = start();
  link.type('lost: nothing is open');
  last().open();
  expect(last().url).toContain('name=main');
  expect(last().sent).toEqual(['{"cols":80,"rows":24}']);
  link.type('ls\r');
  link.resize({ cols: 100, rows: 30 });
  expect(last().sent.slice(1)).toEqual([new TextEncoder().encode('ls\r'), '{"cols":100,"rows":30}']);
  last().onmessage({ data: new TextEncoder().encode('répondu').buffer });
  expect(printed).toEqual(['répondu']);
  expect(states.map(({ at }) => at)).toEqual(['connecting', 'open']);
});

test('a long paste goes in frames that a server takes', () => {
  const { link } = start();
  last().open();
  link.type('x'.repeat(40_000));
  expect(
    last()
      .sent.slice(1)
      .map((data) => data.length),
  ).toEqual([16_384, 16_384, 7_232]);
});

test.each([1001, 1006, 1011, 1012, 4503])('what is closed with %i is taken up again under the same name, later and later', (code) => {
  const { link, opened } = start();
  last().open();
  const { url } = last();
  for (let tries = 1; tries <= 8; tries++) {
    last().end(code);
    expect(link.state).toEqual({ at: 'waiting', tries, restarting: code === 1012 });
    expect(Socket.all).toHaveLength(tries);
    vi.advanceTimersByTime(10_000);
    expect(Socket.all).toHaveLength(tries + 1);
    expect(last().url).toBe(url);
  }
  last().open();
  expect(opened()).toBe(2);
  last().end(code);
  expect(link.state, 'what has worked begins anew').toMatchObject({ tries: 1 });
  link.hurry();
  expect(Socket.all, 'the connection is there again: at once').toHaveLength(10);
});

test.each([
  [1000, 'ended'],
  [4404, 'gone'],
  [4409, 'stopped'],
  [4415, 'noShell'],
  [4429, 'tooMany'],
  [4508, 'full'],
] as const)('%i is the end: %s', (code, why) => {
  const { link } = start();
  last().end(code, 'said');
  expect(link.state).toEqual({ at: 'over', why, reason: 'said' });
  vi.advanceTimersByTime(60_000);
  link.hurry();
  expect(Socket.all).toHaveLength(1);
  link.connect();
  expect(Socket.all, 'until it is asked for').toHaveLength(2);
});

test('a sign-in that has ended is waited for', () => {
  const { link } = start();
  last().open();
  last().end(4403);
  expect(link.state).toEqual({ at: 'signedOut' });
  vi.advanceTimersByTime(60_000);
  expect(Socket.all).toHaveLength(1);
  link.hurry();
  expect(Socket.all).toHaveLength(2);
});

test('what was left is not connected again', () => {
  const { link } = start();
  last().open();
  link.leave();
  expect(last().closedWith).toBe(1000);
  last().end(1000);
  link.hurry();
  vi.advanceTimersByTime(60_000);
  expect(Socket.all).toHaveLength(1);
  const second = start();
  last().end(1006);
  second.link.leave();
  vi.advanceTimersByTime(60_000);
  expect(Socket.all).toHaveLength(2);
});

test('names of terminals', () => {
  expect(freeName([])).toBe('main');
  expect(freeName(['main', 'shell-2'])).toBe('shell-3');
  expect(isName('main')).toBe(true);
  expect(isName('')).toBe(false);
  expect(isName('a b')).toBe(false);
  expect(isName('x'.repeat(33))).toBe(false);
});
