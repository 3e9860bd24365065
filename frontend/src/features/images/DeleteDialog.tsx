import { Alert, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useMutation } from 'urql';
import { type Problem, problemIn } from '@/lib/errors';
import { shortReference } from '@/lib/format';
import { deleteDocument, type Row } from './documents';

type Props = { image: Pick<Row, 'id' | 'reference' | 'source'>; onClose: () => void; onDeleted?: () => void };

/** Deletes an image; where containers are in the way it says which, and leads to them. */
export function DeleteDialog({ image: { id, reference, source }, onClose, onDeleted }: Props) {
  const { t } = useTranslation();
  const [{ fetching }, remove] = useMutation(deleteDocument);
  const [problem, setProblem] = useState<Problem>();
  const submit = async () => {
    const { error } = await remove({ id });
    if (error) {
      setProblem(problemIn(error));
      return;
    }
    onClose();
    onDeleted?.();
  };
  const containers = problem?.containers ?? [];
  return (
    <Modal
      open
      title={t('image.deleteTitle', { reference: shortReference(reference) })}
      okText={t('image.delete')}
      okButtonProps={{ danger: true }}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => void submit()}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{source === 'PULL' ? t('image.deleteText') : t('image.deleteMade')}</p>
      {problem && (
        <Alert
          role="alert"
          type="error"
          showIcon
          title={problem.message}
          description={
            containers.length > 0 && (
              <>
                {containers.map(({ id: container, name }) => (
                  <div key={container}>
                    <Link className="inline" to={`/containers/${container}`}>
                      {name}
                    </Link>
                  </div>
                ))}
              </>
            )
          }
        />
      )}
    </Modal>
  );
}
