import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { Alert, Button } from 'antd';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { copy } from '@/lib/browser';
import { connection } from '@/lib/connection';
import { type Theme, theme } from '@/lib/theme';
import { Link, type State } from './link';

const themes: Record<Theme, object> = {
  light: {
    background: '#ffffff',
    foreground: '#1f1f1f',
    cursor: '#1f1f1f',
    cursorAccent: '#ffffff',
    selectionBackground: '#b5d4ff',
  },
  dark: {
    background: '#141414',
    foreground: '#e6e6e6',
    cursor: '#e6e6e6',
    cursorAccent: '#141414',
    selectionBackground: '#264f78',
  },
};

type Props = {
  id: string;
  name: string;
  /** What the screen is called. */
  label: string;
  visible: boolean;
  screenReader: boolean;
  /** Whether the container runs: a terminal that could not be had since it did not is tried again. */
  running: boolean;
  /** Where the keyboard goes that leaves the terminal. */
  exit: () => void;
  /** Shown beside the reason why it is over. */
  start: React.ReactNode;
};

/** Ctrl+Shift+Esc, and Ctrl+F6 for systems that keep the first for themselves. */
const leaves = (event: KeyboardEvent) => event.ctrlKey && ((event.shiftKey && event.key === 'Escape') || event.key === 'F6');
const copies = (event: KeyboardEvent) => event.ctrlKey && event.shiftKey && event.code === 'KeyC';

/** One terminal: its screen, and what became of its connection. */
export function Screen({ id, name, label, visible, screenReader, running, exit, start }: Props) {
  const { t } = useTranslation();
  const host = useRef<HTMLDivElement>(null);
  const [state, setState] = useState<State>({ at: 'connecting' });
  const [parts, setParts] = useState<{ terminal: Terminal; link: Link; aloud: (on: boolean) => void }>();
  const leave = useRef(exit);
  useEffect(() => {
    leave.current = exit;
  });
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const terminal = new Terminal({
      fontFamily: "ui-monospace, Consolas, 'Noto Sans Mono', 'Noto Sans Mono CJK SC', monospace",
      fontSize: 13,
      cursorBlink: !window.matchMedia('(prefers-reduced-motion: reduce)').matches,
      scrollback: 5_000,
      minimumContrastRatio: 4.5,
      theme: themes[theme.get()],
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.open(element);
    const link = new Link({
      address: ({ cols, rows }) => {
        const url = new URL(`/terminal/${id}`, window.location.href);
        url.protocol = url.protocol.replace('http', 'ws');
        url.search = new URLSearchParams({ cols: String(cols), rows: String(rows), name }).toString();
        return url.href;
      },
      size: () => ({ cols: terminal.cols, rows: terminal.rows }),
      print: (bytes) => {
        terminal.write(bytes);
      },
      opened: () => {
        terminal.reset();
      },
      changed: setState,
    });
    terminal.attachCustomKeyEventHandler((event) => {
      if (event.type !== 'keydown') return true;
      if (leaves(event)) {
        event.preventDefault();
        leave.current();
        return false;
      }
      if (copies(event) && terminal.hasSelection()) {
        event.preventDefault();
        void copy(terminal.getSelection()).then(() => {
          terminal.focus();
        });
        return false;
      }
      return true;
    });
    terminal.onData((text) => {
      link.type(text);
    });
    terminal.onBinary((text) => {
      link.typeBytes(text);
    });
    terminal.onResize((size) => {
      link.resize(size);
    });
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientHeight > 0) fit.fit();
    });
    observer.observe(element);
    fit.fit();
    link.connect();
    const stay = connection.onBack(() => {
      link.hurry();
    });
    const unwatch = theme.subscribe(() => {
      terminal.options.theme = themes[theme.get()];
    });
    setParts({
      terminal,
      link,
      aloud: (on) => {
        terminal.options.screenReaderMode = on;
      },
    });
    return () => {
      observer.disconnect();
      stay();
      unwatch();
      link.leave();
      terminal.dispose();
      setParts(undefined);
    };
  }, [id, name]);
  useEffect(() => {
    parts?.aloud(screenReader);
  }, [parts, screenReader]);
  useEffect(() => {
    if (running && parts?.link.state.at === 'over' && parts.link.state.why === 'stopped') parts.link.connect();
  }, [parts, running]);
  useEffect(() => {
    if (!parts) return;
    const area = parts.terminal.textarea;
    area?.setAttribute('aria-label', label);
    if (visible) parts.terminal.focus();
  }, [parts, visible, label]);
  const again = (
    <Button
      size="small"
      onClick={() => {
        parts?.link.connect();
        parts?.terminal.focus();
      }}
    >
      {state.at === 'over' && state.why === 'ended' ? t('terminal.anew') : t('terminal.again')}
    </Button>
  );
  return (
    <div className="screen" hidden={!visible}>
      <div role="status">
        {state.at === 'connecting' && <span className="soft">{t('terminal.connecting')}</span>}
        {state.at === 'waiting' && (
          <Alert
            type="info"
            showIcon
            title={state.restarting ? t('terminal.restarting') : t('terminal.away')}
            description={t('terminal.tries', { count: state.tries })}
            action={again}
          />
        )}
        {state.at === 'signedOut' && <Alert type="warning" showIcon title={t('terminal.signedOut')} action={again} />}
        {state.at === 'over' && (
          <Alert
            type={state.why === 'ended' ? 'info' : 'warning'}
            showIcon
            title={t(`terminal.over.${state.why}`)}
            action={state.why === 'stopped' ? start : again}
          />
        )}
      </div>
      <div className="glass">
        <div ref={host} className="xterm-host" data-testid={`terminal-${name}`} />
      </div>
    </div>
  );
}
