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

export async function signedIn(): Promise<boolean> {
  const { data } = await ask('{ viewer { id } }');
  return Boolean(data?.['viewer']);
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

export const signOut = () => ask('mutation { logout }');
