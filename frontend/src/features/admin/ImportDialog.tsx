import { Alert, Button, Flex, Modal, Table } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { FileButton } from '@/components/FileButton';
import { Refusal } from '@/components/Refusal';
import { save } from '@/lib/browser';
import { type Problem, problemIn } from '@/lib/errors';
import { type Import, importDocument } from './documents';
import { exampleFile, passwordsFile } from './people';

const type = 'text/csv;charset=utf-8';

/** Makes the accounts of a class: a file, what is wrong with it, and only then the accounts. */
export function ImportDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [{ fetching }, run] = useMutation(importDocument);
  const [file, setFile] = useState<File>();
  const [answer, setAnswer] = useState<Import>();
  const [problem, setProblem] = useState<Problem>();
  const [kept, setKept] = useState(false);
  const ask = async (chosen: File, dryRun: boolean) => {
    setProblem(undefined);
    const { data, error } = await run({ file: chosen, dryRun });
    if (error) setProblem(problemIn(error));
    else setAnswer(data?.importUsers);
  };
  const choose = (chosen: File) => {
    setFile(chosen);
    setAnswer(undefined);
    void ask(chosen, true);
  };
  const errors = answer?.errors ?? [];
  const accounts = answer?.accounts ?? [];
  const done = answer !== undefined && !answer.dryRun;
  const ready = answer !== undefined && answer.dryRun && errors.length === 0 && accounts.length > 0;
  return (
    <Modal
      open
      width={680}
      title={t('import.title')}
      mask={{ closable: false }}
      keyboard={!done}
      closable={!done}
      onCancel={onClose}
      footer={
        done ? (
          <Button type={kept ? 'primary' : 'default'} onClick={onClose}>
            {t('app.done')}
          </Button>
        ) : (
          <>
            <Button onClick={onClose}>{t('app.cancel')}</Button>
            <Button type="primary" disabled={!ready || !file} loading={fetching} onClick={() => void (file && ask(file, false))}>
              {ready ? t('import.make', { count: accounts.length }) : t('import.import')}
            </Button>
          </>
        )
      }
    >
      <Flex vertical gap="middle">
        {!done && (
          <>
            <p style={{ margin: 0 }}>{t('import.text')}</p>
            <Flex gap="small" wrap align="center">
              <FileButton label={t('import.choose')} accept=".csv,.txt,.tsv,text/csv" loading={fetching} onFile={choose} />
              <Button
                type="link"
                onClick={() => {
                  save('accounts.csv', type, exampleFile);
                }}
              >
                {t('import.example')}
              </Button>
              {file && <span className="soft">{file.name}</span>}
            </Flex>
          </>
        )}
        {problem && <Refusal problem={{ ...problem, message: Object.values(problem.fields)[0] ?? problem.message }} />}
        {errors.length > 0 && (
          <>
            <Alert role="alert" type="error" showIcon title={t('import.wrong', { count: errors.length })} />
            <Table
              size="small"
              rowKey={({ line, column, message }) => `${line} ${column ?? ''} ${message}`}
              dataSource={errors}
              pagination={errors.length > 20 ? { pageSize: 20, showSizeChanger: false } : false}
              columns={[
                { title: t('import.line'), dataIndex: 'line', width: 80 },
                { title: t('import.column'), width: 140, render: (_, { column }) => column ?? '–' },
                { title: t('import.what'), dataIndex: 'message' },
              ]}
            />
          </>
        )}
        {answer && answer.dryRun && errors.length === 0 && (
          <Alert
            role="status"
            type={ready ? 'success' : 'warning'}
            showIcon
            title={ready ? t('import.ready', { count: accounts.length }) : t('import.empty')}
          />
        )}
        {done && (
          <>
            <Alert
              role="status"
              type="success"
              showIcon
              title={t('import.made', { count: accounts.length })}
              description={t('import.passwords')}
            />
            <div>
              <Button
                type="primary"
                onClick={() => {
                  save('passwords.csv', type, passwordsFile(accounts));
                  setKept(true);
                }}
              >
                {t('import.download')}
              </Button>
            </div>
          </>
        )}
        {accounts.length > 0 && (
          <Table
            size="small"
            rowKey="line"
            dataSource={accounts}
            pagination={accounts.length > 20 ? { pageSize: 20, showSizeChanger: false } : false}
            columns={[
              { title: t('account.username'), dataIndex: 'username' },
              { title: t('account.email'), dataIndex: 'email' },
              ...(done
                ? [
                    {
                      title: t('account.oneTimePassword'),
                      render: (_: unknown, row: (typeof accounts)[number]) => <code>{row.oneTimePassword}</code>,
                    },
                  ]
                : []),
            ]}
          />
        )}
      </Flex>
    </Modal>
  );
}
