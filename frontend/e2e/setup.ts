import { request } from '@playwright/test';
import { administrator, password } from './fixtures';

/** The first account of a fresh server administers it, whichever test comes first. */
export default async function setup() {
  const api = await request.newContext({ baseURL: process.env['E2E_URL'] ?? '' });
  const input = { username: administrator, email: `${administrator}@example.org`, password };
  const answer = await api.post('/graphql', {
    data: { query: 'mutation($input: RegisterInput!) { register(input: $input) { user { role } } }', variables: { input } },
  });
  const { data } = (await answer.json()) as { data: { register: { user: { role: string } } } | null };
  if (data?.register.user.role !== 'ADMIN') throw new Error(`the first account does not administer: ${await answer.text()}`);
  await api.dispose();
}
