import { Alert, App, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { type Problem, problemIn } from '@/lib/errors';
import { deleteDocument, type Row } from './documents';
import { MountedBy } from './MountedBy';

/** Puts a volume into the trash; where containers are in the way it says which, and leads to them. */
export function DeleteDialog({ volume, onClose }: { volume: Row; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [{ fetching }, remove] = useMutation(deleteDocument);
  const [problem, setProblem] = useState<Problem>();
  const { id, name } = volume;
  const submit = async () => {
    const { error } = await remove({ id });
    if (error) {
      setProblem(problemIn(error));
      return;
    }
    void message.success(t('volume.trashed', { name }), 6);
    onClose();
  };
  const containers = problem?.containers ?? [];
  return (
    <Modal
      open
      title={t('volume.deleteTitle', { name })}
      okText={t('volume.delete')}
      okButtonProps={{ danger: true }}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => void submit()}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{t('volume.deleteText')}</p>
      {problem && (
        <Alert
          role="alert"
          type="error"
          showIcon
          title={problem.message}
          description={containers.length > 0 && <MountedBy containers={containers} />}
        />
      )}
    </Modal>
  );
}
