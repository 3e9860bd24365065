import { Tag } from 'antd';
import { useTranslation } from 'react-i18next';
import { useNow } from '@/components/useNow';
import type { Person } from './documents';
import { stateOf } from './people';

const colours = { suspended: 'warning', ended: 'default', deleted: 'error' } as const;

/** What is out of the ordinary about an account. */
export function Standing({ person }: { person: Person }) {
  const { t } = useTranslation();
  const now = useNow();
  const state = stateOf(person, now);
  return (
    <>
      {person.role === 'ADMIN' && <Tag color="blue">{t('admin.role')}</Tag>}
      {state !== 'active' && <Tag color={colours[state]}>{t(`userState.${state}`)}</Tag>}
      {person.mustChangePassword && <Tag>{t('account.oneTimePassword')}</Tag>}
    </>
  );
}
