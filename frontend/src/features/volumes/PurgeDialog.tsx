import { Alert, Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { type Problem, problemIn } from '@/lib/errors';
import { bytes } from '@/lib/format';
import { purgeDocument, type Row } from './documents';

type Values = { typed: string };

/** Removes a volume for good: whoever asks for that types its name, so that it is the one that is meant. */
export function PurgeDialog({ volume, onClose }: { volume: Row; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, purge] = useMutation(purgeDocument);
  const [problem, setProblem] = useState<Problem>();
  const [wrong, setWrong] = useState(false);
  const { id, name, size } = volume;
  const submit = async ({ typed }: Values) => {
    if (typed.trim() !== name) {
      setWrong(true);
      return;
    }
    const { error } = await purge({ id });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  return (
    <Modal
      open
      title={t('volume.purgeTitle', { name })}
      okText={t('volume.purge')}
      okButtonProps={{ danger: true }}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{size === null ? t('volume.purgeText') : t('volume.purgeSize', { amount: bytes(size, i18n.language) })}</p>
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ typed: '' }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setWrong(false);
          setProblem(undefined);
        }}
      >
        <Form.Item
          name="typed"
          label={t('volume.typeName', { name })}
          {...(wrong && { validateStatus: 'error' as const, help: t('volume.wrongName') })}
        >
          <Input autoFocus autoComplete="off" />
        </Form.Item>
        {problem && <Alert role="alert" type="error" showIcon title={problem.message} />}
      </Form>
    </Modal>
  );
}
