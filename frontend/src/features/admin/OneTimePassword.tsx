import { Button, Modal } from 'antd';
import { useTranslation } from 'react-i18next';
import { Secret } from '@/components/Secret';

export type Given = { username: string; password: string };

/** Shows a one-time password the one time that it can be seen. */
export function OneTimePassword({ given, onClose }: { given: Given; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal
      open
      title={t('people.oneTimeOf', { name: given.username })}
      onCancel={onClose}
      mask={{ closable: false }}
      footer={
        <Button type="primary" onClick={onClose}>
          {t('app.done')}
        </Button>
      }
    >
      <Secret
        label={t('account.oneTimePassword')}
        value={given.password}
        copyLabel={t('people.copyPassword')}
        hint={t('people.oneTimeHint', { name: given.username })}
      />
    </Modal>
  );
}
