import type { GraphQLProblem } from '@/lib/errors';

/** Asks the API without the client of the app: what is needed before anybody has signed in. */
type Answer = { data?: Record<string, unknown> | null; errors?: GraphQLProblem[] };

async function ask(query: string, variables: object = {}): Promise<Answer> {
  try {
    const response = await fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()) as Answer;
  } catch {
    return { errors: [] };
  }
}

/** Who is signed in here; undefined for a visitor, and when the server does not answer. */
export async function viewerId(): Promise<string | undefined> {
  const { data } = await ask('{ viewer { id } }');
  return (data?.['viewer'] as { id: string } | null | undefined)?.id;
}

export type Info = { registrationOpen: boolean; registrationNeedsCode: boolean; contact: string | null; passwordRules: string };

export async function serverInfo(): Promise<Info | undefined> {
  const { data } = await ask('{ serverInfo { registrationOpen registrationNeedsCode contact passwordRules } }');
  return data?.['serverInfo'] as Info | undefined;
}

/** Signs in; the errors are empty when the server did not answer, and undefined when it worked. */
export async function signIn(login: string, password: string): Promise<GraphQLProblem[] | undefined> {
  const { data, errors } = await ask('mutation($input: LoginInput!) { login(input: $input) { user { id } } }', {
    input: { login, password },
  });
  return data && !errors ? undefined : (errors ?? []);
}

export type Registration = { username: string; email: string; password: string; nickname?: string; code?: string };

export async function register(input: Registration): Promise<GraphQLProblem[] | undefined> {
  const { data, errors } = await ask('mutation($input: RegisterInput!) { register(input: $input) { user { id } } }', { input });
  return data && !errors ? undefined : (errors ?? []);
}

/** Says whether the session has ended. */
export async function signOut(): Promise<boolean> {
  const { errors } = await ask('mutation { logout }');
  // Who is not signed in any more has what they wanted.
  return !errors || errors[0]?.extensions?.['code'] === 'UNAUTHENTICATED';
}
