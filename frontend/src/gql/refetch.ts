import type { Exchange, Operation } from '@urql/core';
import { tap, pipe } from 'wonka';

/** Asks again for every query in use: after the socket was away, changes may have been missed. */
export function refetchExchange(onReconnect: (refetch: () => void) => void): Exchange {
  return ({ client, forward }) => {
    const active = new Map<number, Operation>();
    onReconnect(() => {
      for (const operation of active.values()) {
        client.reexecuteOperation(
          client.createRequestOperation('query', operation, { ...operation.context, requestPolicy: 'cache-and-network' }),
        );
      }
    });
    return (operations$) =>
      forward(
        pipe(
          operations$,
          tap((operation) => {
            if (operation.kind === 'query') active.set(operation.key, operation);
            if (operation.kind === 'teardown') active.delete(operation.key);
          }),
        ),
      );
  };
}
