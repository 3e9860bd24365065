import { useEffect } from 'react';
import { useClient } from 'urql';
import { stats } from '@/lib/stats';
import { type Row, statsDocument } from './documents';

/** As many as one subscription takes. */
const most = 100;

/** One subscription fills the store of numbers for all of a page's containers that run. */
export function useLiveStats(containers: readonly Pick<Row, 'id' | 'status'>[]) {
  const client = useClient();
  const running = containers
    .filter(({ status }) => status === 'RUNNING' || status === 'PAUSED')
    .slice(0, most)
    .map(({ id }) => id)
    .join(' ');
  useEffect(() => {
    if (!running) return;
    const ids = running.split(' ');
    const subscription = client.subscription(statsDocument, { ids }).subscribe(({ data }) => {
      if (data) stats.put(data.containersStats);
    });
    return () => {
      subscription.unsubscribe();
      // What is no longer heard of is not shown as if it were new.
      for (const id of ids) stats.forget(id);
    };
  }, [client, running]);
}
