import { Alert, App, Checkbox, Modal, Skeleton, Table } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { bytes } from '@/lib/format';
import { type EndOfTerm, endOfTermDocument } from './documents';

type Props = { ids: string[]; onClose: () => void; onDone: () => void };

/** Ends a term for several people: first what they hold, and only then their accounts. */
export function EndOfTermDialog({ ids, onClose, onDone }: Props) {
  const { t, i18n } = useTranslation();
  const { message } = App.useApp();
  const [, run] = useMutation(endOfTermDocument);
  const [{ fetching }, act] = useMutation(endOfTermDocument);
  const [foreseen, setForeseen] = useState<EndOfTerm>();
  const [problem, setProblem] = useState<Problem>();
  const [sure, setSure] = useState(false);
  const [asked] = useState(ids);
  useEffect(() => {
    void run({ ids: asked, dryRun: true }).then(({ data, error }) => {
      setProblem(error && problemIn(error));
      setForeseen(data?.endOfTerm);
    });
  }, [run, asked]);
  const size = (n: number) => <span className="number">{bytes(n, i18n.language)}</span>;
  const submit = async () => {
    const { error } = await act({ ids: asked, dryRun: false });
    if (error) {
      setProblem(problemIn(error));
      return;
    }
    void message.success(t('people.termEnded', { count: asked.length }), 6);
    onDone();
  };
  const people = foreseen?.people ?? [];
  return (
    <Modal
      open
      width={760}
      title={t('people.endOfTermTitle', { count: asked.length })}
      okText={t('people.endOfTermDo', { count: asked.length })}
      okButtonProps={{ danger: true, disabled: !sure || !foreseen }}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => void submit()}
      onCancel={onClose}
    >
      <p>{t('people.endOfTermText')}</p>
      {!foreseen && !problem && <Skeleton active />}
      {foreseen && (
        <>
          <Table
            size="small"
            className="wide"
            rowKey={({ user }) => user.id}
            dataSource={people}
            pagination={people.length > 20 ? { pageSize: 20, showSizeChanger: false } : false}
            columns={[
              { title: t('account.username'), render: (_, { user }) => user.username },
              { title: t('quota.containers'), dataIndex: 'containers' },
              { title: t('quota.images'), dataIndex: 'images' },
              { title: t('quota.volumes'), dataIndex: 'volumes' },
              { title: t('people.volumeBytes'), render: (_, row) => size(row.volumeBytes) },
              { title: t('people.allBytes'), render: (_, row) => size(row.bytes) },
            ]}
          />
          <Alert
            type="warning"
            showIcon
            style={{ margin: '12px 0' }}
            title={t('people.freed', { amount: bytes(foreseen.bytes, i18n.language) })}
          />
          <Checkbox
            checked={sure}
            onChange={({ target }) => {
              setSure(target.checked);
            }}
          >
            {t('people.sure')}
          </Checkbox>
        </>
      )}
      {problem && <Refusal problem={problem} />}
    </Modal>
  );
}
