/** Why a terminal's socket was closed: see docs/terminal.md. */
export type Ending =
  | 'ended' // the shell ended by itself, or was closed on purpose
  | 'gone' // no such container, or not one's own
  | 'stopped' // the container does not run
  | 'noShell' // its image has none
  | 'tooMany' // one has too many open
  | 'full' // no process more can begin in the container
  | 'refused'; // not allowed

export type State =
  | { at: 'connecting' }
  | { at: 'open' }
  /** It is tried again by itself; `restarting`: the server said so. */
  | { at: 'waiting'; tries: number; restarting: boolean }
  | { at: 'signedOut' }
  | { at: 'over'; why: Ending; reason: string };

const endings: Record<number, Ending> = {
  1000: 'ended',
  1008: 'refused',
  4400: 'refused',
  4404: 'gone',
  4409: 'stopped',
  4415: 'noShell',
  4429: 'tooMany',
  4508: 'full',
};

/** What is typed goes in frames of at most this many bytes: a server bounds them. */
const frame = 16_384;

export type Size = { cols: number; rows: number };
type Hooks = {
  /** The address of the terminal's socket at this size. */
  address: (size: Size) => string;
  size: () => Size;
  /** What the shell prints. */
  print: (bytes: Uint8Array) => void;
  /** A socket is open: the server tells the last lines again, so what is on the screen goes. */
  opened: () => void;
  changed: (state: State) => void;
};

/**
 * Keeps a terminal's socket open: connects, and connects again with the same name, so with the same shell, until it has
 * ended or cannot be had.
 */
export class Link {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private left = false;
  private readonly encoder = new TextEncoder();
  state: State = { at: 'connecting' };

  private readonly hooks: Hooks;

  constructor(hooks: Hooks) {
    this.hooks = hooks;
  }

  /** Connects now, whatever was before. */
  connect() {
    this.left = false;
    this.drop();
    this.tell({ at: 'connecting' });
    const socket = new WebSocket(this.hooks.address(this.hooks.size()));
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      if (this.socket !== socket) return;
      this.tries = 0;
      this.hooks.opened();
      this.tell({ at: 'open' });
      this.resize(this.hooks.size()); // it may have changed meanwhile
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (this.socket === socket && typeof data !== 'string') this.hooks.print(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (this.socket === socket) this.closed(code, reason);
    };
  }

  /** Tries at once what would be tried later: the connection or the sign-in is there again. */
  hurry() {
    if (!this.left && (this.state.at === 'waiting' || this.state.at === 'signedOut')) this.connect();
  }

  type(text: string) {
    this.send(this.encoder.encode(text));
  }

  /** Bytes that are no text, one for each character: reports of the mouse. */
  typeBytes(text: string) {
    this.send(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  }

  resize({ cols, rows }: Size) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ cols, rows }));
  }

  /** Leaves the terminal; its shell goes on. */
  leave() {
    this.left = true;
    this.drop();
  }

  private send(bytes: Uint8Array<ArrayBuffer>) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    for (let i = 0; i < bytes.length; i += frame) this.socket.send(bytes.subarray(i, i + frame));
  }

  private drop() {
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = undefined;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(1000);
  }

  private closed(code: number, reason: string) {
    this.socket = undefined;
    if (this.left) return;
    if (code === 4403) {
      this.tell({ at: 'signedOut' });
      return;
    }
    const why = endings[code];
    if (why) {
      this.tell({ at: 'over', why, reason });
      return;
    }
    this.tries++;
    this.tell({ at: 'waiting', tries: this.tries, restarting: code === 1012 });
    this.timer = setTimeout(
      () => {
        this.connect();
      },
      Math.min(500 * 2 ** (this.tries - 1), 10_000) * (0.5 + Math.random() / 2),
    );
  }

  private tell(state: State) {
    this.state = state;
    this.hooks.changed(state);
  }
}

const named = /^[A-Za-z0-9_-]{1,32}$/;
export const isName = (name: string) => named.test(name);

/** A name for one more terminal: the first that is free. */
export function freeName(taken: readonly string[]) {
  if (!taken.includes('main')) return 'main';
  let number = 2;
  while (taken.includes(`shell-${number}`)) number++;
  return `shell-${number}`;
}
