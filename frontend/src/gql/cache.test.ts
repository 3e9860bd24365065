import { readFileSync } from 'node:fs';
import { Client, type Exchange, type Operation, type OperationResult } from '@urql/core';
import { buildSchema, isObjectType } from 'graphql';
import { filter, fromPromise, fromValue, makeSubject, map, merge, mergeMap, never, pipe, share, type Source, tap } from 'wonka';
import { expect, test } from 'vitest';
import { cache, embeddedTypes } from './cache';
import { refetching } from './refetch';
import { graphql } from './tada';

test('every object type that is not a Node is part of its parent', () => {
  const schema = buildSchema(readFileSync('../schema.graphql', 'utf8'));
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  const embedded = Object.values(schema.getTypeMap())
    .filter((type) => isObjectType(type) && !type.name.startsWith('__') && !roots.includes(type))
    .filter((type) => isObjectType(type) && !type.getInterfaces().some((i) => i.name === 'Node'))
    .map((type) => type.name);
  expect([...embeddedTypes].sort()).toEqual(embedded.sort());
});

const listDocument = graphql(`
  query List {
    containers {
      edges {
        cursor
        node {
          id
          name
        }
      }
    }
  }
`);
const changeDocument = graphql(`
  subscription Change {
    containerChanged {
      kind
      id
      container {
        id
        name
      }
    }
  }
`);

const createDocument = graphql(`
  mutation Create($input: CreateContainerInput!) {
    createContainer(input: $input) {
      container {
        id
        name
      }
    }
  }
`);

const box = (id: string, name: string) => ({ __typename: 'Container', id, name });
const page = (...nodes: ReturnType<typeof box>[]) => ({
  containers: { __typename: 'ContainerConnection', edges: nodes.map((node) => ({ __typename: 'ContainerEdge', cursor: node.id, node })) },
});

/** A client whose server is this function; changes are pushed by hand. */
function house() {
  let now = page(box('ctr_1', 'one'), box('ctr_2', 'two'));
  let asked = 0;
  let held: (() => void)[] | undefined;
  const pushed = makeSubject<OperationResult>();
  let watching: Operation | undefined;
  const server: Exchange = () => (operations$) => {
    const shared$ = share(operations$);
    const answers$ = pipe(
      shared$,
      filter((o) => o.kind === 'query'),
      mergeMap((operation) => {
        asked++;
        const answer: OperationResult = { operation, data: now, stale: false, hasNext: false };
        return held
          ? fromPromise(
              new Promise<OperationResult>((done) =>
                held?.push(() => {
                  done(answer);
                }),
              ),
            )
          : fromValue(answer);
      }),
    );
    const done$ = pipe(
      shared$,
      filter((o) => o.kind === 'mutation'),
      map((operation): OperationResult => {
        const data = { createContainer: { __typename: 'ContainerPayload', container: box('ctr_4', 'starting') } };
        return { operation, data, stale: false, hasNext: false };
      }),
    );
    const watched$ = pipe(
      shared$,
      filter((o) => o.kind === 'subscription'),
      tap((operation) => {
        watching = operation;
      }),
      mergeMap(() => never as Source<OperationResult>),
    );
    return merge<OperationResult>([answers$, done$, watched$, pushed.source]);
  };
  const refetch = refetching();
  const exchanges = [refetch.first, cache(refetch), refetch.last, server];
  const client = new Client({ url: 'http://localhost/graphql', exchanges, preferGetMethod: false });
  const names = () => client.readQuery(listDocument, {})?.data?.containers.edges.map((edge) => edge.node.name);
  return {
    client,
    names,
    asked: () => asked,
    /** From now on answers are on their way until they are let go. */
    hold: () => (held = []),
    letGo() {
      held?.forEach((answer) => {
        answer();
      });
      held = undefined;
    },
    set: (next: typeof now) => (now = next),
    push(change: { kind: string; id: string; container: ReturnType<typeof box> | null }) {
      if (!watching) throw new Error('nobody subscribes');
      const data = { containerChanged: { __typename: 'ContainerChange', ...change } };
      pushed.next({ operation: watching, data, stale: false, hasNext: true });
    },
  };
}
const tick = () => new Promise((done) => setTimeout(done, 0));

test('an update changes the row, a removal drops it, a new one reloads the list once', async () => {
  const h = house();
  h.client.query(listDocument, {}).subscribe(() => undefined);
  h.client.subscription(changeDocument, {}).subscribe(() => undefined);
  await tick();
  expect(h.names()).toEqual(['one', 'two']);
  h.push({ kind: 'UPDATED', id: 'ctr_1', container: box('ctr_1', 'renamed') });
  await tick();
  expect(h.names()).toEqual(['renamed', 'two']);
  h.push({ kind: 'REMOVED', id: 'ctr_2', container: null });
  await tick();
  expect(h.names()).toEqual(['renamed']);
  expect(h.asked()).toBe(1);
  h.set(page(box('ctr_3', 'three'), box('ctr_1', 'renamed')));
  h.push({ kind: 'CREATED', id: 'ctr_3', container: box('ctr_3', 'three') });
  await tick();
  expect(h.names()).toEqual(['three', 'renamed']);
  expect(h.asked()).toBe(2);
});

test('an answer that was on its way does not undo what came after it', async () => {
  const h = house();
  h.client.query(listDocument, {}).subscribe(() => undefined);
  h.client.subscription(changeDocument, {}).subscribe(() => undefined);
  await tick();
  h.set(page(box('ctr_4', 'starting'), box('ctr_1', 'one')));
  h.hold();
  await h.client.mutation(createDocument, { input: { name: 'x', imageId: 'img_1' } });
  await tick();
  h.push({ kind: 'CREATED', id: 'ctr_4', container: box('ctr_4', 'starting') });
  await tick();
  h.push({ kind: 'UPDATED', id: 'ctr_4', container: box('ctr_4', 'running') });
  await tick();
  h.set(page(box('ctr_4', 'running'), box('ctr_1', 'one')));
  h.letGo();
  await tick();
  await tick();
  await tick();
  expect(h.names()).toEqual(['running', 'one']);
  expect(h.asked(), 'once more than the answer that was too old').toBe(3);
});

test('a new one right after the answer is not taken for a loop', async () => {
  const h = house();
  h.client.subscription(changeDocument, {}).subscribe(() => undefined);
  h.client.query(listDocument, {}).subscribe(() => undefined);
  await tick();
  h.set(page(box('ctr_5', 'starting'), box('ctr_1', 'one')));
  h.push({ kind: 'CREATED', id: 'ctr_5', container: box('ctr_5', 'starting') });
  h.push({ kind: 'UPDATED', id: 'ctr_5', container: box('ctr_5', 'running') });
  h.set(page(box('ctr_5', 'running'), box('ctr_1', 'one')));
  await tick();
  await tick();
  expect(h.names()).toEqual(['running', 'one']);
  expect(h.asked()).toBe(2);
});
