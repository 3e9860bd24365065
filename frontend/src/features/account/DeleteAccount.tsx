import { Button, Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemOf } from '@/lib/errors';
import { lasting, seconds } from '@/lib/format';
import { deleteAccount } from './session';

type Props = {
  username: string;
  grace: string;
  /** Runs what ends the session, so that nobody is asked to sign in again when it does. */
  leave: (end: () => Promise<boolean>) => Promise<boolean>;
  onDeleted: (until: string | null) => void;
};
type Values = { password: string; typed: string };

/** Deletes one's own account: it says what then happens, and wants the password and the name typed. */
export function DeleteAccount({ username, grace, leave, onDeleted }: Props) {
  const { t, i18n } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const time = lasting(seconds(grace), i18n.language);
  const close = () => {
    setOpen(false);
    setProblem(undefined);
    setWrong(false);
  };
  const submit = async ({ password, typed }: Values) => {
    if (typed.trim() !== username) {
      setWrong(true);
      return;
    }
    setBusy(true);
    let until: string | null = null;
    const gone = await leave(async () => {
      const result = await deleteAccount(password);
      if (result.errors) setProblem(problemOf(result.errors));
      else until = result.until;
      return !result.errors;
    });
    setBusy(false);
    if (gone) onDeleted(until);
  };
  const atPassword = problem?.fields['password'] ?? (problem?.code === 'UNAUTHENTICATED' ? problem.message : undefined);
  return (
    <>
      <p>{t('security.deleteHint', { time })}</p>
      <Button
        danger
        onClick={() => {
          setOpen(true);
        }}
      >
        {t('security.deleteAccount')}
      </Button>
      <Modal
        open={open}
        title={t('security.deleteTitle')}
        okText={t('security.deleteAccount')}
        okButtonProps={{ danger: true }}
        cancelText={t('app.cancel')}
        confirmLoading={busy}
        onOk={() => {
          form.submit();
        }}
        onCancel={close}
        destroyOnHidden
      >
        <ul>
          <li>{t('security.deleteNow')}</li>
          <li>{t('security.deleteGrace', { time })}</li>
          <li>{t('security.deleteThen')}</li>
          <li>{t('security.deleteAudit')}</li>
        </ul>
        <Form<Values>
          form={form}
          layout="vertical"
          preserve={false}
          initialValues={{ password: '', typed: '' }}
          onFinish={(values) => void submit(values)}
          onValuesChange={() => {
            setWrong(false);
            setProblem(undefined);
          }}
        >
          <Form.Item
            name="password"
            label={t('account.password')}
            {...(atPassword && { validateStatus: 'error' as const, help: atPassword })}
          >
            <Input type="password" autoComplete="current-password" />
          </Form.Item>
          <Form.Item
            name="typed"
            label={t('volume.typeName', { name: username })}
            {...(wrong && { validateStatus: 'error' as const, help: t('security.wrongName') })}
          >
            <Input autoComplete="off" />
          </Form.Item>
          {problem && !atPassword && <Refusal problem={problem} />}
        </Form>
      </Modal>
    </>
  );
}
