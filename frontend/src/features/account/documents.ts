import { graphql, type ResultOf } from '@/gql/tada';

const profileFragment = graphql(`
  fragment Profile on User {
    id
    username
    nickname
    email
    avatarUrl
  }
`);

export const profileDocument = graphql(
  `
    query Profile {
      viewer {
        ...Profile
        role
        createdAt
        expiresAt
      }
      serverInfo {
        maxAvatarSize
      }
    }
  `,
  [profileFragment],
);

export const updateProfileDocument = graphql(
  `
    mutation UpdateProfile($input: UpdateProfileInput!) {
      updateProfile(input: $input) {
        user {
          ...Profile
        }
      }
    }
  `,
  [profileFragment],
);

export const uploadAvatarDocument = graphql(
  `
    mutation UploadAvatar($file: Upload!) {
      uploadAvatar(file: $file) {
        user {
          ...Profile
        }
      }
    }
  `,
  [profileFragment],
);

export const removeAvatarDocument = graphql(
  `
    mutation RemoveAvatar {
      removeAvatar {
        user {
          ...Profile
        }
      }
    }
  `,
  [profileFragment],
);

const sessionFragment = graphql(`
  fragment SessionRow on Session {
    id
    createdAt
    lastSeenAt
    ip
    userAgent
    current
  }
`);

const tokenFragment = graphql(`
  fragment TokenRow on AccessToken {
    id
    name
    readOnly
    createdAt
    expiresAt
    lastUsedAt
  }
`);

export const securityDocument = graphql(
  `
    query Security {
      viewer {
        id
        username
        sessions {
          ...SessionRow
        }
        accessTokens {
          ...TokenRow
        }
      }
      serverInfo {
        passwordRules
        deletionGrace
      }
    }
  `,
  [sessionFragment, tokenFragment],
);

export const revokeSessionDocument = graphql(`
  mutation RevokeSession($id: ID!) {
    revokeSession(id: $id)
  }
`);

export const createTokenDocument = graphql(
  `
    mutation CreateAccessToken($input: CreateAccessTokenInput!) {
      createAccessToken(input: $input) {
        accessToken {
          ...TokenRow
        }
        secret
      }
    }
  `,
  [tokenFragment],
);

export const revokeTokenDocument = graphql(`
  mutation RevokeAccessToken($id: ID!) {
    revokeAccessToken(id: $id)
  }
`);

export type Profile = ResultOf<typeof profileFragment>;
export type SessionRow = ResultOf<typeof sessionFragment>;
export type TokenRow = ResultOf<typeof tokenFragment>;
