import { Checkbox, Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { pullDocument } from './documents';

type Values = { reference: string; preferSlim: boolean };

export function PullDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, pull] = useMutation(pullDocument);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (input: Values) => {
    const { error } = await pull({ input });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  const wrong = problem?.fields['reference'];
  return (
    <Modal
      open
      title={t('image.pullTitle')}
      okText={t('image.pull')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ reference: '', preferSlim: true }}
        onFinish={(values) => void submit(values)}
      >
        <Form.Item
          name="reference"
          label={t('image.reference')}
          extra={t('image.referenceHint')}
          {...(wrong && { validateStatus: 'error' as const, help: wrong })}
        >
          <Input autoFocus placeholder="python:3.12" />
        </Form.Item>
        <Form.Item name="preferSlim" valuePropName="checked" extra={t('image.slimHint')}>
          <Checkbox>{t('image.slim')}</Checkbox>
        </Form.Item>
        {problem && !wrong && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
