import { Tag } from 'antd';
import { useTranslation } from 'react-i18next';
import type en from '@/lib/i18n/en.json';

const colours: Record<string, string> = {
  RUNNING: 'success',
  READY: 'success',
  FAILED: 'error',
  LOST: 'error',
  PENDING: 'processing',
  STARTING: 'processing',
  STOPPING: 'processing',
  REMOVING: 'processing',
  PULLING: 'processing',
  BUILDING: 'processing',
  DELETING: 'processing',
  QUEUED: 'warning',
  PAUSED: 'warning',
};

export function StatusTag({ status }: { status: keyof typeof en.status }) {
  const { t } = useTranslation();
  return <Tag color={colours[status] ?? 'default'}>{t(`status.${status}`)}</Tag>;
}
