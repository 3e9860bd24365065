import { graphql, type ResultOf, type VariablesOf } from '@/gql/tada';

export const rowFragment = graphql(`
  fragment ImageRow on Image {
    id
    reference
    requestedReference
    usedFallback
    updateAvailable
    size
    source
    status
    statusMessage
    visibility
    minMemory
    createdAt
    queuePosition
    owner {
      id
      username
    }
    progress {
      currentBytes
      totalBytes
      percent
      step
      steps
      layers {
        id
        state
        currentBytes
        totalBytes
      }
    }
  }
`);

const detailFragment = graphql(
  `
    fragment ImageDetail on Image {
      ...ImageRow
      digest
      minCpu
      minGpu
      lastUsedAt
      sharedWith {
        id
        username
      }
      dockerfile
      form {
        base
        preset
        packages
        systemPackages
      }
      layers {
        command
        size
        createdAt
      }
      containers {
        id
        name
        status
      }
    }
  `,
  [rowFragment],
);

export const listDocument = graphql(
  `
    query Images($after: Cursor, $where: ImageFilter, $orderBy: ImageOrder) {
      images(first: 50, after: $after, where: $where, orderBy: $orderBy) {
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

export const oneDocument = graphql(
  `
    query Image($id: ID!) {
      node(id: $id) {
        __typename
        id
        ... on Image {
          ...ImageDetail
        }
      }
      viewer {
        id
        role
      }
    }
  `,
  [detailFragment],
);

export const oneChangedDocument = graphql(
  `
    subscription ImageChanged($id: ID!) {
      imageChanged(id: $id) {
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

export const logDocument = graphql(`
  subscription ImageLog($id: ID!, $after: Int) {
    imageLog(id: $id, after: $after) {
      number
      text
      at
    }
  }
`);

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

export const choicesDocument = graphql(`
  query BuildChoices {
    imageBases {
      name
      title
      description
      reference
      size
      compilers
    }
    imagePresets {
      name
      title
      description
      packages
      systemPackages
      minMemory
      port
      large
    }
  }
`);

export const previewDocument = graphql(`
  query PreviewDockerfile($input: BuildImageInput!) {
    previewDockerfile(input: $input)
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

export const buildDocument = graphql(
  `
    mutation BuildImage($input: BuildImageInput!) {
      buildImage(input: $input) {
        image {
          ...ImageRow
        }
      }
    }
  `,
  [rowFragment],
);

export const refreshDocument = graphql(
  `
    mutation RefreshImage($id: ID!) {
      refreshImage(id: $id) {
        image {
          ...ImageRow
          containers {
            id
            name
            status
          }
        }
      }
    }
  `,
  [rowFragment],
);

export const updateDocument = graphql(
  `
    mutation UpdateImage($id: ID!, $input: UpdateImageInput!) {
      updateImage(id: $id, input: $input) {
        image {
          ...ImageDetail
        }
      }
    }
  `,
  [detailFragment],
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

export const pruneDocument = graphql(`
  mutation PruneImages($dryRun: Boolean!) {
    pruneImages(dryRun: $dryRun) {
      images {
        id
        reference
        status
        size
        lastUsedAt
        owner {
          id
          username
        }
      }
      untagged
      bytes
    }
  }
`);

export type Row = ResultOf<typeof rowFragment>;
export type Detail = ResultOf<typeof detailFragment>;
export type BuildInput = VariablesOf<typeof buildDocument>['input'];
export type ListVariables = VariablesOf<typeof listDocument>;
export type Base = ResultOf<typeof choicesDocument>['imageBases'][number];
export type Preset = ResultOf<typeof choicesDocument>['imagePresets'][number];
export type Entry = ResultOf<typeof catalogueDocument>['imageCatalogue'][number];
export type Pruned = ResultOf<typeof pruneDocument>['pruneImages'];
