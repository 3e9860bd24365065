import { graphql, type ResultOf } from '@/gql/tada';

export const rowFragment = graphql(`
  fragment VolumeRow on Volume {
    id
    name
    visibility
    size
    createdAt
    deletedAt
    purgeAt
    owner {
      id
      username
    }
    mountedBy {
      id
      name
    }
  }
`);

export const listDocument = graphql(
  `
    query Volumes($after: Cursor, $trash: Boolean) {
      volumes(first: 20, after: $after, trash: $trash) {
        edges {
          cursor
          node {
            ...VolumeRow
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
      viewer {
        id
        role
      }
    }
  `,
  [rowFragment],
);

/** Which containers there are is all that a list of volumes needs to hear: the cache then asks anew for what is mounted where. */
export const containersDocument = graphql(`
  subscription ContainersForVolumes($all: Boolean) {
    containerChanged(all: $all) {
      kind
      id
      container {
        id
        name
      }
    }
  }
`);

export const createDocument = graphql(
  `
    mutation CreateVolume($input: CreateVolumeInput!) {
      createVolume(input: $input) {
        volume {
          ...VolumeRow
        }
      }
    }
  `,
  [rowFragment],
);

export const updateDocument = graphql(
  `
    mutation UpdateVolume($id: ID!, $input: UpdateVolumeInput!) {
      updateVolume(id: $id, input: $input) {
        volume {
          ...VolumeRow
        }
      }
    }
  `,
  [rowFragment],
);

export const deleteDocument = graphql(
  `
    mutation DeleteVolume($id: ID!) {
      deleteVolume(id: $id) {
        volume {
          ...VolumeRow
        }
      }
    }
  `,
  [rowFragment],
);

export const restoreDocument = graphql(
  `
    mutation RestoreVolume($id: ID!) {
      restoreVolume(id: $id) {
        volume {
          ...VolumeRow
        }
      }
    }
  `,
  [rowFragment],
);

export const purgeDocument = graphql(`
  mutation PurgeVolume($id: ID!) {
    purgeVolume(id: $id)
  }
`);

export type Row = ResultOf<typeof rowFragment>;
