import { graphql, type ResultOf } from '@/gql/tada';

export const rowFragment = graphql(`
  fragment ContainerRow on Container {
    id
    name
    status
    statusMessage
    cpuLimit
    memoryLimit
    queuePosition
    frozen
    cullAt
    idleTimeout
    createdAt
    startedAt
    image {
      id
      reference
    }
    owner {
      id
      username
    }
  }
`);

export const listDocument = graphql(
  `
    query Containers($after: Cursor, $where: ContainerFilter) {
      containers(first: 20, after: $after, where: $where) {
        edges {
          cursor
          node {
            ...ContainerRow
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [rowFragment],
);

/** All of one person's, as far as one page of the API goes. */
export const dashboardDocument = graphql(
  `
    query Dashboard($owner: ID!) {
      containers(first: 100, where: { ownerId: $owner }) {
        edges {
          cursor
          node {
            ...ContainerRow
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [rowFragment],
);

export const whoseDocument = graphql(`
  query Whose {
    viewer {
      id
      quota {
        id
        maxContainers
        maxCpu
        maxMemory
        maxGpu
        maxImages
        maxVolumes
        maxDisk
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
  }
`);

export const changedDocument = graphql(
  `
    subscription ContainersChanged($all: Boolean) {
      containerChanged(all: $all) {
        kind
        id
        container {
          ...ContainerRow
        }
      }
    }
  `,
  [rowFragment],
);

export const statsDocument = graphql(`
  subscription ContainersStats($ids: [ID!]) {
    containersStats(ids: $ids) {
      containerId
      cpuPercent
      memoryUsage
      memoryLimit
      memoryPercent
      pids
    }
  }
`);

/** What the charts are drawn of: as it comes. */
export const figuresDocument = graphql(`
  subscription ContainerFigures($id: ID!, $interval: Duration) {
    containerStats(id: $id, interval: $interval) {
      containerId
      readAt
      cpuPercent
      memoryUsage
      memoryLimit
      memoryPercent
      networkRx
      networkTx
      blockRead
      blockWrite
      pids
      gpus {
        device
        utilisation
        memoryUsed
        memoryTotal
      }
    }
  }
`);

/** The same, as it was. */
export const historyDocument = graphql(`
  query ContainerHistory($id: ID!, $since: Time, $step: Duration) {
    node(id: $id) {
      __typename
      ... on Container {
        id
        statsHistory(since: $since, step: $step) {
          readAt
          cpuPercent
          cpuPercentMax
          memoryUsage
          memoryUsageMax
          networkRx
          networkTx
          blockRead
          blockWrite
        }
      }
    }
  }
`);

export const detailFragment = graphql(
  `
    fragment ContainerDetail on Container {
      ...ContainerRow
      desiredStatus
      reserved
      restartPolicy
      gpuLimit
      gpuDevices
      volumes {
        path
        readOnly
        volume {
          id
          name
        }
      }
      ports {
        name
        port
        url
      }
      terminals {
        name
        command
        openedAt
        lastActivityAt
        connections
      }
      diskUsed
      idleSince
      activity
      queuedAt
      command
      environment {
        name
        value
      }
      finishedAt
      lastExit {
        code
        reason
        message
        at
        memoryPeak
        lastLines
      }
      events(first: 50) {
        at
        kind
        message
        actor {
          id
          username
        }
      }
    }
  `,
  [rowFragment],
);

export const oneDocument = graphql(
  `
    query Container($id: ID!) {
      node(id: $id) {
        __typename
        ... on Container {
          ...ContainerDetail
        }
      }
      viewer {
        id
      }
      serverInfo {
        appsShareOrigin
      }
    }
  `,
  [detailFragment],
);

export const oneChangedDocument = graphql(
  `
    subscription ContainerChanged($id: ID!) {
      containerChanged(id: $id) {
        kind
        id
        container {
          ...ContainerDetail
        }
      }
    }
  `,
  [detailFragment],
);

export const logsDocument = graphql(`
  subscription ContainerLogs($id: ID!, $tail: Int, $since: Time) {
    containerLogs(id: $id, tail: $tail, since: $since) {
      at
      stream
      text
      dropped
    }
  }
`);

export const choicesDocument = graphql(`
  query Choices {
    images(first: 100, where: { status: [READY] }) {
      edges {
        cursor
        node {
          id
          reference
          minCpu
          minMemory
          minGpu
        }
      }
    }
    viewer {
      id
      role
      quota {
        id
        maxCpu
        maxMemory
        maxGpu
        maxContainers
      }
      usage {
        cpu
        memory
        gpu
        containers
      }
    }
    serverInfo {
      minMemory
      idleTimeout
      maxIdleTimeout
    }
  }
`);

export const storageDocument = graphql(`
  query Storage {
    volumes(first: 100) {
      edges {
        cursor
        node {
          id
          name
          visibility
          owner {
            id
            username
          }
        }
      }
    }
    viewer {
      id
    }
  }
`);

/** What is lost with containers, and what stays. */
export const lossesDocument = graphql(`
  query Losses($ids: [ID!]!) {
    nodes(ids: $ids) {
      __typename
      ... on Container {
        id
        diskUsed
        volumes {
          path
          readOnly
          volume {
            id
            name
          }
        }
      }
    }
  }
`);

export const imagesDocument = graphql(`
  subscription ImagesForContainers($all: Boolean) {
    imageChanged(all: $all) {
      kind
      id
      image {
        id
        status
      }
    }
  }
`);

export const admissionDocument = graphql(`
  query Admission($input: CreateContainerInput!) {
    admission(input: $input) {
      allowed
      problems {
        code
        message
        resource
        limit
        used
        requested
      }
      largest {
        cpu
        memory
        gpu
      }
      wouldQueue
      freeing {
        id
        name
        cpuLimit
        memoryLimit
        gpuLimit
      }
    }
  }
`);

export const createDocument = graphql(
  `
    mutation CreateContainer($input: CreateContainerInput!) {
      createContainer(input: $input) {
        container {
          ...ContainerRow
        }
      }
    }
  `,
  [rowFragment],
);

/** What a verb changes at once. */
const stateFragment = graphql(`
  fragment ContainerState on Container {
    id
    status
    statusMessage
    queuePosition
    frozen
    cullAt
  }
`);

export const startDocument = graphql(
  `
    mutation StartContainer($id: ID!, $whenFull: WhenFull) {
      startContainer(id: $id, whenFull: $whenFull) {
        container {
          ...ContainerState
        }
      }
    }
  `,
  [stateFragment],
);
export const stopDocument = graphql(
  `
    mutation StopContainer($id: ID!) {
      stopContainer(id: $id) {
        container {
          ...ContainerState
        }
      }
    }
  `,
  [stateFragment],
);
export const restartDocument = graphql(
  `
    mutation RestartContainer($id: ID!) {
      restartContainer(id: $id) {
        container {
          ...ContainerState
        }
      }
    }
  `,
  [stateFragment],
);
export const pauseDocument = graphql(
  `
    mutation PauseContainer($id: ID!) {
      pauseContainer(id: $id) {
        container {
          ...ContainerState
        }
      }
    }
  `,
  [stateFragment],
);
export const unpauseDocument = graphql(
  `
    mutation UnpauseContainer($id: ID!) {
      unpauseContainer(id: $id) {
        container {
          ...ContainerState
        }
      }
    }
  `,
  [stateFragment],
);
export const keepDocument = graphql(
  `
    mutation KeepContainer($id: ID!) {
      keepContainer(id: $id) {
        container {
          ...ContainerState
        }
      }
    }
  `,
  [stateFragment],
);
export const removeDocument = graphql(
  `
    mutation RemoveContainer($id: ID!) {
      removeContainer(id: $id) {
        container {
          ...ContainerState
        }
      }
    }
  `,
  [stateFragment],
);
export const setPortsDocument = graphql(`
  mutation SetPorts($id: ID!, $ports: [PortInput!]!) {
    updateContainer(id: $id, input: { ports: $ports }) {
      container {
        id
        ports {
          name
          port
          url
        }
      }
    }
  }
`);
export const openJupyterDocument = graphql(`
  mutation OpenJupyter($id: ID!) {
    openJupyter(id: $id) {
      url
    }
  }
`);
export const closeTerminalDocument = graphql(`
  mutation CloseTerminal($id: ID!, $name: String!) {
    closeTerminal(id: $id, name: $name) {
      container {
        id
        terminals {
          name
          command
          openedAt
          lastActivityAt
          connections
        }
      }
    }
  }
`);
export const startAllDocument = graphql(`
  mutation StartContainers($ids: [ID!]!) {
    startContainers(ids: $ids) {
      id
      code
      message
      container {
        id
        status
      }
    }
  }
`);
export const stopAllDocument = graphql(`
  mutation StopContainers($ids: [ID!]!) {
    stopContainers(ids: $ids) {
      id
      code
      message
      container {
        id
        status
      }
    }
  }
`);
export const removeAllDocument = graphql(`
  mutation RemoveContainers($ids: [ID!]!) {
    removeContainers(ids: $ids) {
      id
      code
      message
      container {
        id
        status
      }
    }
  }
`);

export type Row = ResultOf<typeof rowFragment>;
export type Detail = ResultOf<typeof detailFragment>;
export type Admission = ResultOf<typeof admissionDocument>['admission'];
