import type { GraphQLProblem } from '@/lib/errors';

/** Asks the API without the client of the app: what is needed before anybody has signed in, and what checks a password. */
type Answer = { data?: Record<string, unknown> | null; errors?: GraphQLProblem[] };
type Entrant = { user: { mustChangePassword?: boolean } };

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

const errorsOf = ({ data, errors }: Answer) => (data && !errors ? undefined : (errors ?? []));

export type Viewer = { id: string; mustChangePassword: boolean };

/** Who is signed in here; undefined for a visitor, and when the server does not answer. */
export async function whoIsHere(): Promise<Viewer | undefined> {
  const { data } = await ask('{ viewer { id mustChangePassword } }');
  return (data?.['viewer'] as Viewer | null | undefined) ?? undefined;
}

export type Info = {
  registrationOpen: boolean;
  registrationNeedsCode: boolean;
  registrationMode: 'OPEN' | 'CLOSED' | 'INVITE';
  contact: string | null;
  passwordRules: string;
};

export async function serverInfo(): Promise<Info | undefined> {
  const { data } = await ask('{ serverInfo { registrationOpen registrationNeedsCode registrationMode contact passwordRules } }');
  return data?.['serverInfo'] as Info | undefined;
}

/**
 * How an attempt ended: with errors, of which there are none when the server did not answer, or signed in, perhaps with
 * a one-time password.
 */
export type Entry = { errors: GraphQLProblem[] } | { errors?: undefined; oneTime: boolean };

async function enter(mutation: 'login' | 'restoreAccount', login: string, password: string): Promise<Entry> {
  const answer = await ask(`mutation($input: LoginInput!) { ${mutation}(input: $input) { user { id mustChangePassword } } }`, {
    input: { login, password },
  });
  const errors = errorsOf(answer);
  if (errors) return { errors };
  return { oneTime: (answer.data?.[mutation] as Entrant | undefined)?.user.mustChangePassword ?? false };
}

export const signIn = (login: string, password: string) => enter('login', login, password);

/** Takes back the deletion of an account, and signs in. */
export const restore = (login: string, password: string) => enter('restoreAccount', login, password);

export type Registration = { username: string; email: string; password: string; nickname?: string; code?: string };

export async function register(input: Registration): Promise<GraphQLProblem[] | undefined> {
  return errorsOf(await ask('mutation($input: RegisterInput!) { register(input: $input) { user { id } } }', { input }));
}

/** Not by the app's client, which would take a wrong password for a session that has ended. */
export async function changePassword(currentPassword: string, newPassword: string): Promise<GraphQLProblem[] | undefined> {
  return errorsOf(
    await ask('mutation($input: ChangePasswordInput!) { changePassword(input: $input) { user { id } } }', {
      input: { currentPassword, newPassword },
    }),
  );
}

/** Deletes one's own account; what went wrong, or until when it can be restored. */
export async function deleteAccount(
  password: string,
): Promise<{ errors: GraphQLProblem[] } | { errors?: undefined; until: string | null }> {
  const answer = await ask('mutation($password: String!) { deleteAccount(password: $password) { user { deletionScheduledAt } } }', {
    password,
  });
  const errors = errorsOf(answer);
  if (errors) return { errors };
  return { until: (answer.data?.['deleteAccount'] as { user: { deletionScheduledAt: string | null } }).user.deletionScheduledAt };
}

/** Says whether the session has ended. */
export async function signOut(): Promise<boolean> {
  const { errors } = await ask('mutation { logout }');
  // Who is not signed in any more has what they wanted.
  return !errors || errors[0]?.extensions?.['code'] === 'UNAUTHENTICATED';
}
