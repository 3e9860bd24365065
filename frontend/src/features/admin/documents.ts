import { graphql, type ResultOf, type VariablesOf } from '@/gql/tada';

const limitsFragment = graphql(`
  fragment SomeLimits on QuotaLimits {
    maxContainers
    maxCpu
    maxMemory
    maxGpu
    maxImages
    maxVolumes
    maxDisk
  }
`);

const quotaFragment = graphql(`
  fragment WholeQuota on Quota {
    id
    maxContainers
    maxCpu
    maxMemory
    maxGpu
    maxImages
    maxVolumes
    maxDisk
  }
`);

/** What of a person changes by what an administrator does. */
const standingFragment = graphql(`
  fragment Standing on User {
    id
    username
    nickname
    email
    role
    suspendedAt
    expiresAt
    deletionScheduledAt
    mustChangePassword
  }
`);

const personFragment = graphql(
  `
    fragment Person on User {
      ...Standing
      avatarUrl
      createdAt
      lastSeenAt
      quota {
        ...WholeQuota
      }
      usage {
        containers
        cpu
        memory
        gpu
        images
        volumes
        disk
      }
    }
  `,
  [standingFragment, quotaFragment],
);

export const usersDocument = graphql(
  `
    query Users($after: Cursor, $where: UserFilter, $orderBy: UserOrder) {
      users(first: 20, after: $after, where: $where, orderBy: $orderBy) {
        edges {
          cursor
          node {
            ...Person
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
        totalCount
      }
      viewer {
        id
      }
    }
  `,
  [personFragment],
);

/** Who they are and nothing more: all that selecting everybody needs. */
export const namesDocument = graphql(`
  query UserNames($after: Cursor, $where: UserFilter, $orderBy: UserOrder) {
    users(first: 100, after: $after, where: $where, orderBy: $orderBy) {
      edges {
        cursor
        node {
          id
          username
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

export const quotaDocument = graphql(
  `
    mutation SetQuota($userId: ID!, $input: QuotaInput!) {
      setQuota(userId: $userId, input: $input) {
        quota {
          ...WholeQuota
        }
      }
    }
  `,
  [quotaFragment],
);

export const createUserDocument = graphql(`
  mutation CreateUser($input: CreateUserInput!) {
    createUser(input: $input) {
      user {
        id
        username
      }
      oneTimePassword
    }
  }
`);

export const updateUserDocument = graphql(
  `
    mutation UpdateUser($id: ID!, $input: UpdateUserInput!) {
      updateUser(id: $id, input: $input) {
        user {
          ...Standing
        }
      }
    }
  `,
  [standingFragment],
);

export const updateUsersDocument = graphql(
  `
    mutation UpdateUsers($ids: [ID!]!, $input: UpdateUserInput!) {
      updateUsers(ids: $ids, input: $input) {
        id
        code
        message
        user {
          ...Standing
        }
      }
    }
  `,
  [standingFragment],
);

export const resetPasswordDocument = graphql(
  `
    mutation ResetPassword($userId: ID!) {
      resetPassword(userId: $userId) {
        user {
          ...Standing
        }
        oneTimePassword
      }
    }
  `,
  [standingFragment],
);

export const deleteUserDocument = graphql(
  `
    mutation DeleteUser($id: ID!) {
      deleteUser(id: $id) {
        user {
          ...Standing
        }
      }
    }
  `,
  [standingFragment],
);

export const deleteUsersDocument = graphql(
  `
    mutation DeleteUsers($ids: [ID!]!) {
      deleteUsers(ids: $ids) {
        id
        code
        message
        user {
          ...Standing
        }
      }
    }
  `,
  [standingFragment],
);

export const restoreUserDocument = graphql(
  `
    mutation RestoreUser($id: ID!) {
      restoreUser(id: $id) {
        user {
          ...Standing
        }
      }
    }
  `,
  [standingFragment],
);

export const importDocument = graphql(`
  mutation ImportUsers($file: Upload!, $dryRun: Boolean!) {
    importUsers(input: { file: $file }, dryRun: $dryRun) {
      dryRun
      accounts {
        line
        username
        email
        oneTimePassword
      }
      errors {
        line
        column
        message
      }
    }
  }
`);

export const endOfTermDocument = graphql(
  `
    mutation EndOfTerm($ids: [ID!]!, $dryRun: Boolean!) {
      endOfTerm(ids: $ids, dryRun: $dryRun) {
        dryRun
        bytes
        archiveBytes
        people {
          containers
          images
          volumes
          volumeBytes
          bytes
          archiveFolder
          problem
          user {
            ...Standing
          }
        }
      }
    }
  `,
  [standingFragment],
);

const invitationFragment = graphql(
  `
    fragment InvitationRow on Invitation {
      id
      note
      uses
      maxUses
      expiresAt
      createdAt
      quota {
        ...SomeLimits
      }
      createdBy {
        id
        username
      }
    }
  `,
  [limitsFragment],
);

export const invitationsDocument = graphql(
  `
    query Invitations($after: Cursor) {
      invitations(first: 20, after: $after) {
        edges {
          cursor
          node {
            ...InvitationRow
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [invitationFragment],
);

export const createInvitationDocument = graphql(
  `
    mutation CreateInvitation($input: CreateInvitationInput!) {
      createInvitation(input: $input) {
        invitation {
          ...InvitationRow
        }
        code
        url
      }
    }
  `,
  [invitationFragment],
);

export const revokeInvitationDocument = graphql(`
  mutation RevokeInvitation($id: ID!) {
    revokeInvitation(id: $id)
  }
`);

const requestFragment = graphql(
  `
    fragment RequestRow on QuotaRequest {
      id
      reason
      status
      answer
      createdAt
      decidedAt
      limits {
        ...SomeLimits
      }
      user {
        id
        username
        nickname
        quota {
          ...WholeQuota
        }
      }
    }
  `,
  [limitsFragment, quotaFragment],
);

export const requestsDocument = graphql(
  `
    query QuotaRequests($after: Cursor, $status: QuotaRequestStatus) {
      quotaRequests(first: 20, after: $after, status: $status) {
        edges {
          cursor
          node {
            ...RequestRow
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [requestFragment],
);

export const grantDocument = graphql(
  `
    mutation GrantQuota($id: ID!, $input: QuotaInput, $answer: String) {
      grantQuota(id: $id, input: $input, answer: $answer) {
        quotaRequest {
          ...RequestRow
        }
      }
    }
  `,
  [requestFragment],
);

export const declineDocument = graphql(
  `
    mutation DeclineQuota($id: ID!, $answer: String) {
      declineQuota(id: $id, answer: $answer) {
        quotaRequest {
          ...RequestRow
        }
      }
    }
  `,
  [requestFragment],
);

export type Person = ResultOf<typeof personFragment>;
export type Invitation = ResultOf<typeof invitationFragment>;
export type Request = ResultOf<typeof requestFragment>;
export type Import = NonNullable<ResultOf<typeof importDocument>>['importUsers'];
export type EndOfTerm = NonNullable<ResultOf<typeof endOfTermDocument>>['endOfTerm'];
export type UserFilter = NonNullable<VariablesOf<typeof usersDocument>['where']>;
export type UserOrder = NonNullable<VariablesOf<typeof usersDocument>['orderBy']>;
export type UserChange = VariablesOf<typeof updateUsersDocument>['input'];
