import { Flex } from 'antd';
import { useTranslation } from 'react-i18next';
import { bytes, decimal } from '@/lib/format';
import { Gauge } from './Gauge';

type Amounts = { containers: number; cpu: number; memory: number; gpu: number; images: number; volumes: number; disk: number };
type Quota = {
  maxContainers: number;
  maxCpu: number;
  maxMemory: number;
  maxGpu: number;
  maxImages: number;
  maxVolumes: number;
  maxDisk: number;
};

/** What is used of a quota, bar by bar; what one has none of is left out. */
export function UsageList({ quota, usage }: { quota: Quota; usage: Amounts }) {
  const { t, i18n } = useTranslation();
  const size = (n: number) => bytes(n, i18n.language);
  const count = (n: number) => decimal(n, i18n.language, 2);
  const rows: [string, number, number, (n: number) => string][] = [
    [t('quota.containers'), usage.containers, quota.maxContainers, count],
    [t('quota.cpu'), usage.cpu, quota.maxCpu, count],
    [t('quota.memory'), usage.memory, quota.maxMemory, size],
    [t('quota.gpu'), usage.gpu, quota.maxGpu, count],
    [t('quota.images'), usage.images, quota.maxImages, count],
    [t('quota.volumes'), usage.volumes, quota.maxVolumes, count],
    [t('quota.disk'), usage.disk, quota.maxDisk, size],
  ];
  return (
    <Flex vertical gap="small">
      {rows
        .filter(([, used, limit]) => used > 0 || limit > 0)
        .map(([name, used, limit, say]) => (
          <div key={name}>
            <div className="soft">{name}</div>
            <Gauge label={name} percent={limit > 0 ? (100 * used) / limit : 100}>
              {`${say(used)} / ${say(limit)}`}
            </Gauge>
          </div>
        ))}
    </Flex>
  );
}
