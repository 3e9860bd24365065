import { graphql, type ResultOf, type VariablesOf } from '@/gql/tada';

const eventFragment = graphql(`
  fragment AuditRow on AuditEvent {
    id
    at
    actorName
    action
    target
    targetName
    outcome
    ip
    detail
    requestId
    actor {
      id
    }
  }
`);

export const eventsDocument = graphql(
  `
    query AuditEvents($after: Cursor, $where: AuditFilter) {
      auditEvents(first: 50, after: $after, where: $where) {
        edges {
          cursor
          node {
            ...AuditRow
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [eventFragment],
);

export const addedDocument = graphql(
  `
    subscription AuditEventAdded($where: AuditFilter) {
      auditEventAdded(where: $where) {
        ...AuditRow
      }
    }
  `,
  [eventFragment],
);

export const whoDocument = graphql(`
  query AuditViewer {
    viewer {
      id
      role
    }
  }
`);

export const peopleDocument = graphql(`
  query AuditPeople($where: UserFilter) {
    users(first: 20, where: $where, orderBy: { field: USERNAME, direction: ASC }) {
      edges {
        cursor
        node {
          id
          username
        }
      }
    }
  }
`);

export type Event = ResultOf<typeof eventFragment>;
export type AuditFilter = NonNullable<VariablesOf<typeof eventsDocument>['where']>;
