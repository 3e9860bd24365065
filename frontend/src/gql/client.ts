import { authExchange } from '@urql/exchange-auth';
import { retryExchange } from '@urql/exchange-retry';
import { Client, type CombinedError, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient as createSocket } from 'graphql-ws';
import { connection as reconnection } from '@/lib/connection';
import { cache } from './cache';
import { refetching } from './refetch';

const url = new URL('/graphql', window.location.href);

export const codeOf = (error: CombinedError | undefined) =>
  error?.graphQLErrors.find((e) => typeof e.extensions['code'] === 'string')?.extensions['code'] as string | undefined;

export type Connection = 'connecting' | 'connected' | 'closed';
export type ClientHooks = {
  /** Shows the sign-in dialog; resolves when the person has signed in again, and what waited is sent again. */
  signInAgain: () => Promise<void>;
  connection?: (state: Connection) => void;
};

export function createClient({ signInAgain, connection }: ClientHooks) {
  const refetch = refetching();
  let connectedBefore = false;
  let signedOut = false;
  let leaving = false;
  let asked: Promise<void> | undefined;
  /** One dialog, however many operations and sockets found the session gone. */
  const askOnce = () => (asked ??= signInAgain().finally(() => (asked = undefined)));

  const socket = createSocket({
    url: url.href.replace(/^http/, 'ws'),
    lazy: true,
    lazyCloseTimeout: 5_000,
    keepAlive: 10_000, // a dead peer is noticed in 10 s, not when TCP gives up
    connectionAckWaitTimeout: 10_000,
    retryAttempts: Infinity,
    // Every close is tried again, a fatal-looking one too: the server may be restarting, and open subscriptions live on.
    shouldRetry: () => true,
    retryWait: async (n) => {
      if (leaving)
        await new Promise(() => undefined); // it was asked for: nobody is to sign in again
      else if (signedOut) await askOnce();
      else await new Promise((done) => setTimeout(done, Math.min(250 * 2 ** n, 10_000) * (0.5 + Math.random() / 2)));
    },
    on: {
      connecting: () => connection?.('connecting'),
      connected: () => {
        connection?.('connected');
        if (connectedBefore) {
          reconnection.back();
          refetch.all();
        }
        connectedBefore = true;
      },
      closed: (event) => {
        signedOut = (event as CloseEvent).code === 4403; // 4401 would end the client's retries whatever shouldRetry says
        connection?.('closed');
      },
      ping: (received) => {
        if (!received)
          pongDeadline = setTimeout(() => {
            socket.terminate();
          }, 5_000);
      },
      pong: (received) => {
        if (received) clearTimeout(pongDeadline);
      },
    },
  });
  let pongDeadline: ReturnType<typeof setTimeout> | undefined;

  const client = new Client({
    url: url.href,
    preferGetMethod: false, // urql 5's default sends short queries by GET
    requestPolicy: 'cache-first',
    fetchOptions: {
      credentials: 'same-origin',
      headers: { accept: 'application/graphql-response+json', 'apollo-require-preflight': 'true' },
    },
    exchanges: [
      refetch.first,
      cache(refetch),
      refetch.last,
      // eslint-disable-next-line @typescript-eslint/require-await -- the exchange wants a promise
      authExchange(async () => ({
        addAuthToOperation: (operation) => operation, // the cookie goes along by itself
        didAuthError: (error) => codeOf(error) === 'UNAUTHENTICATED',
        refreshAuth: askOnce,
      })),
      retryExchange({
        initialDelayMs: 500,
        maxDelayMs: 10_000,
        maxNumberAttempts: 4,
        // only what never reached the server, and never a mutation: it may have been done
        retryIf: (error, operation) => operation.kind === 'query' && error.networkError !== undefined,
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe(
              { ...request, query: request.query ?? '' },
              {
                next: (value) => {
                  sink.next(value as never);
                },
                error: (error) => {
                  sink.error(error);
                },
                complete: () => {
                  sink.complete();
                },
              },
            ),
          }),
        }),
      }),
    ],
  });
  return {
    client,
    /** Ends the session by this request, without asking to sign in again when the server then closes the socket. */
    leave: async (end: () => Promise<boolean>) => {
      leaving = true;
      leaving = await end();
      return leaving;
    },
  };
}
