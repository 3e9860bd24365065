import { useCallback, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { bytes, decimal } from '@/lib/format';
import { stats } from '@/lib/stats';

/** One container's newest numbers: only this renders when they change. */
export function LiveNumbers({ id, name }: { id: string; name: string }) {
  const { t, i18n } = useTranslation();
  const subscribe = useCallback((listener: () => void) => stats.subscribe(id, listener), [id]);
  const now = useSyncExternalStore(subscribe, () => stats.get(id));
  if (!now) return <span className="number">–</span>;
  const { language } = i18n;
  return (
    <span className="number" role="group" aria-label={t('container.numbersOf', { name })}>
      <span data-testid="cpu">{decimal(now.cpuPercent, language)} %</span> · {bytes(now.memoryUsage, language)} /{' '}
      {bytes(now.memoryLimit, language)}
    </span>
  );
}
