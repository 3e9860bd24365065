import { graphql } from '@/gql/tada';

export const viewerDocument = graphql(`
  query Viewer {
    viewer {
      id
      username
      nickname
      avatarUrl
      role
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
