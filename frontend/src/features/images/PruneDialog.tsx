import { Alert, App, Button, Modal, Skeleton } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { StatusTag } from '@/components/StatusTag';
import { type Problem, problemIn } from '@/lib/errors';
import { bytes, shortReference } from '@/lib/format';
import { pruneDocument, type Pruned } from './documents';

/** Shows what cleaning would remove, and removes it on a second word. */
export function PruneDialog({ onClose }: { onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const { message } = App.useApp();
  const [{ fetching }, prune] = useMutation(pruneDocument);
  const [found, setFound] = useState<Pruned>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    let gone = false;
    void prune({ dryRun: true }).then(({ data, error }) => {
      if (gone) return;
      if (error) setProblem(problemIn(error));
      setFound(data?.pruneImages);
    });
    return () => {
      gone = true;
    };
  }, [prune]);
  const clean = async () => {
    const { data, error } = await prune({ dryRun: false });
    if (error) {
      setProblem(problemIn(error));
      return;
    }
    void message.success(t('prune.done', { size: bytes(data?.pruneImages.bytes ?? 0, i18n.language) }), 6);
    onClose();
  };
  const nothing = found !== undefined && found.images.length === 0 && found.untagged === 0 && found.bytes === 0;
  return (
    <Modal
      open
      title={t('prune.title')}
      onCancel={onClose}
      destroyOnHidden
      footer={[
        <Button key="cancel" onClick={onClose}>
          {t('app.cancel')}
        </Button>,
        <Button
          key="clean"
          type="primary"
          danger
          disabled={!found || nothing}
          loading={fetching && found !== undefined}
          onClick={() => void clean()}
        >
          {t('prune.clean')}
        </Button>,
      ]}
    >
      <p>{t('prune.text')}</p>
      {!found && !problem && <Skeleton active />}
      {problem && <Alert role="alert" type="error" showIcon title={problem.message} />}
      {nothing && <Alert type="success" showIcon title={t('prune.nothing')} />}
      {found && !nothing && (
        <>
          <p>
            <strong>{t('prune.frees', { size: bytes(found.bytes, i18n.language) })}</strong>
          </p>
          {found.untagged > 0 && <p>{t('prune.untagged', { count: found.untagged })}</p>}
          {found.images.length > 0 && (
            <ul className="plain" aria-label={t('app.images')} style={{ maxHeight: 320, overflow: 'auto' }} tabIndex={0}>
              {found.images.map(({ id, reference, status, size, owner }) => (
                <li key={id}>
                  <span>
                    {shortReference(reference)} {owner && <span className="soft">{owner.username}</span>}
                  </span>
                  <span>
                    <StatusTag status={status} /> {size !== null && <span className="number">{bytes(size, i18n.language)}</span>}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </Modal>
  );
}
