import { Progress } from 'antd';
import { useTranslation } from 'react-i18next';
import { bytes, decimal } from '@/lib/format';

type Quota = { maxContainers: number; maxCpu: number; maxMemory: number; maxImages: number; maxDisk: number };
type Usage = { containers: number; cpu: number; memory: number; images: number; disk: number };

/** What is used of a quota, bar by bar. */
export function UsageList({ quota, usage }: { quota: Quota; usage: Usage }) {
  const { t, i18n } = useTranslation();
  const size = (n: number) => bytes(n, i18n.language);
  const count = (n: number) => decimal(n, i18n.language, 2);
  const rows: [string, number, number, (n: number) => string][] = [
    [t('quota.containers'), usage.containers, quota.maxContainers, count],
    [t('quota.cpu'), usage.cpu, quota.maxCpu, count],
    [t('quota.memory'), usage.memory, quota.maxMemory, size],
    [t('quota.images'), usage.images, quota.maxImages, count],
    [t('quota.disk'), usage.disk, quota.maxDisk, size],
  ];
  return (
    <div style={{ width: 260 }}>
      {rows.map(([name, used, limit, say]) => (
        <div key={name}>
          <span>{name}</span>{' '}
          <span className="number">
            {say(used)} / {say(limit)}
          </span>
          <Progress aria-label={name} percent={limit > 0 ? Math.min(100, (100 * used) / limit) : 0} showInfo={false} size="small" />
        </div>
      ))}
    </div>
  );
}
