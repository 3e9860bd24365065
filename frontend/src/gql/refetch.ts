import type { Client, Exchange, Operation } from '@urql/core';
import { Kind } from 'graphql';
import { tap, pipe } from 'wonka';

const asksFor = ({ query }: Operation, field: string) =>
  query.definitions.some(
    (definition) =>
      definition.kind === Kind.OPERATION_DEFINITION &&
      definition.selectionSet.selections.some((selection) => selection.kind === Kind.FIELD && selection.name.value === field),
  );

/**
 * Asks again for queries in use: all of them when the socket was away, as changes may have been missed, and those for a
 * list that is not what it was. The first exchange knows which are in use, the last which wait for their answer: an
 * answer on its way may be older than what was told meanwhile, and the cache would take it for the newer.
 */
export function refetching() {
  let client: Client | undefined;
  const active = new Map<number, Operation>();
  const waiting = new Set<number>();
  const again = new Set<number>();
  const ask = (operation: Operation | undefined, requestPolicy: 'network-only' | 'cache-and-network') => {
    if (operation) client?.reexecuteOperation(client.createRequestOperation('query', operation, { ...operation.context, requestPolicy }));
  };
  const askingFor = (field: string) => [...active.values()].filter((operation) => asksFor(operation, field));

  const first: Exchange = (input) => {
    client = input.client;
    return (operations$) =>
      input.forward(
        pipe(
          operations$,
          tap((operation) => {
            if (operation.kind === 'query') active.set(operation.key, operation);
            if (operation.kind === 'teardown') active.delete(operation.key);
          }),
        ),
      );
  };
  const last: Exchange =
    ({ forward }) =>
    (operations$) =>
      pipe(
        forward(
          pipe(
            operations$,
            tap(({ kind, key }) => {
              if (kind === 'query') waiting.add(key);
              if (kind === 'teardown') {
                waiting.delete(key);
                again.delete(key);
              }
            }),
          ),
        ),
        tap(({ operation: { key } }) => {
          waiting.delete(key);
          if (!again.delete(key)) return;
          setTimeout(() => {
            ask(active.get(key), 'network-only');
          }, 0);
        }),
      );
  return {
    first,
    last,
    all() {
      for (const operation of [...active.values()]) ask(operation, 'cache-and-network');
    },
    /** The list has changed. */
    reload(field: string) {
      for (const operation of askingFor(field)) {
        if (waiting.has(operation.key)) again.add(operation.key);
        else ask(operation, 'network-only');
      }
    },
    /** Something in the list has changed, which an answer on its way may not know. */
    overtake(field: string) {
      for (const { key } of askingFor(field)) if (waiting.has(key)) again.add(key);
    },
  };
}
export type Refetching = ReturnType<typeof refetching>;
