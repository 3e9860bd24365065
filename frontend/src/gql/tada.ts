import { initGraphQLTada } from 'gql.tada';
import type { introspection } from './schema';

export const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { Time: string; Bytes: number; Duration: string; Cursor: string };
}>();

export type { ResultOf, VariablesOf } from 'gql.tada';
