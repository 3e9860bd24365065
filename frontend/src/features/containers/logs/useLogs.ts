import { useEffect, useState, useSyncExternalStore } from 'react';
import { useClient } from 'urql';
import { connection } from '@/lib/connection';
import { type Problem, problemIn } from '@/lib/errors';
import { logsDocument } from '../documents';
import { type Chunk, LogBuffer, type LogLine, most } from './buffer';

/** How many of the last lines come first. */
const tail = 1_000;
/** A program may write thousands of lines a second: they are shown a few times a second. */
const every = 150;

const none: readonly Chunk[] = [];

/** A container's output as it comes, across reconnections. */
export function useLogs(id: string) {
  const client = useClient();
  const [state, setState] = useState<{ of: string; chunks: readonly Chunk[]; total: number }>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    const buffer = new LogBuffer();
    let fresh: LogLine[] = [];
    let turn = 0;
    let subscription: { unsubscribe: () => void } | undefined;
    const flush = () => {
      if (fresh.length === 0) return;
      buffer.add(fresh);
      fresh = [];
      setState({ of: id, chunks: buffer.get(), total: buffer.total });
    };
    const follow = () => {
      subscription?.unsubscribe();
      flush();
      const since = buffer.place;
      if (since) buffer.resume();
      const mine = ++turn;
      subscription = client.subscription(logsDocument, since ? { id, since, tail: most } : { id, tail }).subscribe(({ data, error }) => {
        // What an old socket still tells would be told twice.
        if (mine !== turn) return;
        if (data) fresh.push(data.containerLogs);
        setProblem(error && problemIn(error));
      });
    };
    follow();
    const timer = setInterval(flush, every);
    const stay = connection.onBack(follow);
    return () => {
      turn++;
      clearInterval(timer);
      stay();
      subscription?.unsubscribe();
    };
  }, [client, id]);
  return { chunks: state?.of === id ? state.chunks : none, total: state?.of === id ? state.total : 0, problem };
}

const keyOf = (name: string) => `logs.${name}`;
const listeners = new Set<() => void>();
const watch = (listener: () => void) => {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
};

/** How somebody likes to read logs: kept in the browser. */
export function usePreference(name: 'wrap' | 'times', usual: boolean) {
  const kept = useSyncExternalStore(watch, () => localStorage.getItem(keyOf(name)));
  const set = (value: boolean) => {
    localStorage.setItem(keyOf(name), String(value));
    for (const listener of listeners) listener();
  };
  return [kept === null ? usual : kept === 'true', set] as const;
}
