import { useTranslation } from 'react-i18next';
import { ago, moment } from '@/lib/format';
import { useNow } from './useNow';

/** How long ago something was, and when exactly for who points at it. */
export function Ago({ time }: { time: string | null }) {
  const { i18n } = useTranslation();
  const now = useNow();
  if (!time) return '–';
  return (
    <time dateTime={time} title={moment(time, i18n.language)}>
      {ago(time, now, i18n.language)}
    </time>
  );
}
