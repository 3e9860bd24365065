import { useEffect, useState, useSyncExternalStore } from 'react';
import { type CombinedError, useClient } from 'urql';
import { figuresDocument, historyDocument } from '../documents';
import { type Columns, type Range, Series } from './series';

const watchHidden = (listener: () => void) => {
  document.addEventListener('visibilitychange', listener);
  return () => {
    document.removeEventListener('visibilitychange', listener);
  };
};
/** Whether nobody sees the page. */
const useHidden = () => useSyncExternalStore(watchHidden, () => document.hidden);

const duration = (seconds: number) => `${seconds}s`;
/** How long it is waited before a history is asked for that could not be had, in ms. */
const again = 5_000;

export type Figures = { range: Range; columns?: Columns; error?: CombinedError };

/**
 * The figures of a container over a range: history first, then live; what was missed is asked for again. Nothing is asked
 * for while the page is hidden.
 */
export function useFigures(id: string, range: Range): Figures {
  const client = useClient();
  const hidden = useHidden();
  const [figures, setFigures] = useState<Figures>({ range });
  useEffect(() => {
    if (hidden) return;
    const series = new Series(range);
    let gone = false;
    let asking = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      setFigures({ range, columns: series.columns() });
    };
    const fill = async () => {
      if (asking) return;
      asking = true;
      const since = new Date(Date.now() - range.span * 1000).toISOString();
      const { data, error } = await client
        .query(historyDocument, { id, since, step: duration(range.step) }, { requestPolicy: 'network-only' })
        .toPromise();
      asking = false;
      if (gone) return;
      if (data?.node?.__typename === 'Container') {
        series.fill(data.node.statsHistory);
        show();
      } else if (error) {
        setFigures((before) => (before.range === range && before.columns ? before : { range, error }));
        timer = setTimeout(() => void fill(), again);
      }
    };
    void fill();
    const subscription = client.subscription(figuresDocument, { id, interval: duration(range.every) }).subscribe(({ data }) => {
      if (!data) return;
      if (series.add(data.containerStats)) void fill();
      show();
    });
    return () => {
      gone = true;
      clearTimeout(timer);
      subscription.unsubscribe();
    };
  }, [client, id, range, hidden]);
  // What belongs to another range is not shown as if it were of this one.
  return figures.range === range ? figures : { range };
}
