import { useCallback, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Gauge } from '@/components/Gauge';
import { bytes, decimal } from '@/lib/format';
import { stats } from '@/lib/stats';

type Props = { container: { id: string; name: string; cpuLimit: number; memoryLimit: number } };

function useStats(id: string) {
  const subscribe = useCallback((listener: () => void) => stats.subscribe(id, listener), [id]);
  return useSyncExternalStore(subscribe, () => stats.get(id));
}

/** A container's newest share of the processor, in percent of one core: only this renders when it changes. */
export function LiveCpu({ container: { id, name, cpuLimit } }: Props) {
  const { t, i18n } = useTranslation();
  const now = useStats(id);
  const cores = t('container.cores', { count: cpuLimit, amount: decimal(cpuLimit, i18n.language, 2) });
  return (
    <Gauge testId="cpu" label={t('container.cpuOf', { name })} percent={now && now.cpuPercent / cpuLimit}>
      {now ? `${decimal(now.cpuPercent, i18n.language)} % / ${cores}` : cores}
    </Gauge>
  );
}

/** A container's newest memory: only this renders when it changes. */
export function LiveMemory({ container: { id, name, memoryLimit } }: Props) {
  const { t, i18n } = useTranslation();
  const now = useStats(id);
  const limit = bytes(memoryLimit, i18n.language);
  return (
    <Gauge testId="memory" label={t('container.memoryOf', { name })} percent={now?.memoryPercent}>
      {now ? `${bytes(now.memoryUsage, i18n.language)} / ${limit}` : limit}
    </Gauge>
  );
}
