import { graphql, type ResultOf } from '@/gql/tada';

export const rowFragment = graphql(`
  fragment ImageRow on Image {
    id
    reference
    requestedReference
    usedFallback
    size
    status
    statusMessage
    visibility
    createdAt
    owner {
      id
      username
    }
    progress {
      currentBytes
      totalBytes
      percent
      layers {
        id
        state
        currentBytes
        totalBytes
      }
    }
  }
`);

export const listDocument = graphql(
  `
    query Images($after: Cursor) {
      images(first: 50, after: $after) {
        edges {
          cursor
          node {
            ...ImageRow
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

export const changedDocument = graphql(
  `
    subscription ImagesChanged($all: Boolean) {
      imageChanged(all: $all) {
        kind
        id
        image {
          ...ImageRow
        }
      }
    }
  `,
  [rowFragment],
);

export const catalogueDocument = graphql(`
  query Catalogue {
    imageCatalogue {
      name
      reference
      description
      minMemory
      port
    }
  }
`);

export const pullDocument = graphql(
  `
    mutation PullImage($input: PullImageInput!) {
      pullImage(input: $input) {
        image {
          ...ImageRow
        }
      }
    }
  `,
  [rowFragment],
);

export const cancelDocument = graphql(`
  mutation CancelImage($id: ID!) {
    cancelImage(id: $id) {
      image {
        id
        status
        statusMessage
      }
    }
  }
`);
export const deleteDocument = graphql(`
  mutation DeleteImage($id: ID!) {
    deleteImage(id: $id) {
      image {
        id
        status
        statusMessage
      }
    }
  }
`);

export type Row = ResultOf<typeof rowFragment>;
