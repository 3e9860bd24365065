import { useSubscription } from 'urql';
import { oneChangedDocument, type Row } from './documents';
import { rates } from './rate';

/** Notes the bytes of a pull, from which its rate is told. */
export function note({ id, status, progress }: Pick<Row, 'id' | 'status' | 'progress'>) {
  rates.put(id, status === 'PULLING' ? progress?.currentBytes : undefined, Date.now());
}

/** An image as it is now, live; undefined until it is known, null once it is gone. */
export function useImage(id: string | undefined): Row | null | undefined {
  const [{ data }] = useSubscription({ query: oneChangedDocument, variables: { id: id ?? '' }, pause: !id }, (_, change) => {
    if (change.imageChanged.image) note(change.imageChanged.image);
    return change;
  });
  return data?.imageChanged.id === id ? data?.imageChanged.image : undefined;
}
