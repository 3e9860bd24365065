import { useEffect } from 'react';
import { useClient } from 'urql';
import { stats } from '@/lib/stats';
import { statsDocument } from './documents';

/** One subscription fills the store of numbers for the whole page. */
export function useLiveStats() {
  const client = useClient();
  useEffect(() => {
    const subscription = client.subscription(statsDocument, {}).subscribe(({ data }) => {
      if (data) stats.put(data.containersStats);
    });
    return () => {
      subscription.unsubscribe();
    };
  }, [client]);
}
