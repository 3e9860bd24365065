import { useEffect, useState } from 'react';
import { useClient } from 'urql';
import { onEnd, pipe, subscribe } from 'wonka';
import { problemIn } from '@/lib/errors';
import { logDocument } from './documents';
import { empty, grown, type Line, type Log } from './log';

/** The log of an image's pull or build, as it comes. It lives on over a connection that was lost. */
export function useLog(id: string) {
  const client = useClient();
  const [log, setLog] = useState<Log>(empty);
  const [problem, setProblem] = useState<string>();
  const [ended, setEnded] = useState(false);
  useEffect(() => {
    let fresh: Line[] = [];
    // A build may print thousands of lines a second: they are shown a few times a second.
    const show = () => {
      if (fresh.length === 0) return;
      const added = fresh;
      fresh = [];
      setLog((old) => grown(old, added));
    };
    const timer = setInterval(show, 150);
    let gone = false;
    const subscription = pipe(
      client.subscription(logDocument, { id, after: 0 }),
      onEnd(() => {
        if (!gone) setEnded(true);
      }),
      subscribe(({ data, error }) => {
        if (data) fresh.push(data.imageLog);
        if (error) setProblem(problemIn(error).message);
      }),
    );
    return () => {
      gone = true;
      clearInterval(timer);
      subscription.unsubscribe();
    };
  }, [client, id]);
  return { log, problem, ended };
}
