import { Alert, App, Checkbox, Modal, Skeleton, Table } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { bytes } from '@/lib/format';
import { type EndOfTerm, endOfTermDocument } from './documents';

type Props = { ids: string[]; onClose: () => void; onDone: () => void };

/** Ends a term for several people: first what they hold, and only then their accounts. Who was left is named. */
export function EndOfTermDialog({ ids, onClose, onDone }: Props) {
  const { t, i18n } = useTranslation();
  const { message } = App.useApp();
  const [, run] = useMutation(endOfTermDocument);
  const [{ fetching }, act] = useMutation(endOfTermDocument);
  const [foreseen, setForeseen] = useState<EndOfTerm>();
  const [problem, setProblem] = useState<Problem>();
  const [sure, setSure] = useState(false);
  const [left, setLeft] = useState<EndOfTerm['people']>([]);
  const [asked] = useState(ids);
  useEffect(() => {
    void run({ ids: asked, dryRun: true }).then(({ data, error }) => {
      setProblem(error && problemIn(error));
      setForeseen(data?.endOfTerm);
    });
  }, [run, asked]);
  const size = (n: number) => <span className="number">{bytes(n, i18n.language)}</span>;
  const submit = async () => {
    const { data, error } = await act({ ids: asked, dryRun: false });
    if (error || !data) {
      setProblem(error && problemIn(error));
      return;
    }
    const failed = data.endOfTerm.people.filter(({ problem }) => problem !== null);
    const ended = data.endOfTerm.people.length - failed.length;
    if (ended > 0) void message.success(t('people.termEnded', { count: ended }), 6);
    if (failed.length === 0) {
      onDone();
      return;
    }
    setLeft(failed);
    setSure(false);
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
              { title: t('people.archiveFolder'), render: (_, row) => row.archiveFolder ?? '–' },
            ]}
          />
          <Alert
            type="warning"
            showIcon
            style={{ margin: '12px 0' }}
            title={t('people.freed', { amount: bytes(foreseen.bytes, i18n.language) })}
          />
          <Alert
            type="info"
            showIcon
            style={{ margin: '12px 0' }}
            title={t('people.archived', { amount: bytes(foreseen.archiveBytes, i18n.language) })}
          />
          {left.length > 0 && (
            <Alert
              type="error"
              showIcon
              style={{ margin: '12px 0' }}
              title={t('people.notEnded')}
              description={left.map(({ user, problem }) => (
                <div key={user.id}>
                  {user.username}: {problem}
                </div>
              ))}
            />
          )}
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
