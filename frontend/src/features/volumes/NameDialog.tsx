import { Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { createDocument, type Row, updateDocument } from './documents';

type Values = { name: string };

/** Makes a volume, or gives one another name. */
export function NameDialog({ volume, onClose }: { volume?: Row; onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching: creating }, create] = useMutation(createDocument);
  const [{ fetching: renaming }, update] = useMutation(updateDocument);
  const [problem, setProblem] = useState<Problem>();
  const submit = async ({ name }: Values) => {
    const { error } = volume ? await update({ id: volume.id, input: { name } }) : await create({ input: { name } });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  const wrong = problem?.fields['name'];
  return (
    <Modal
      open
      title={volume ? t('volume.renameTitle', { name: volume.name }) : t('volume.new')}
      okText={volume ? t('app.save') : t('create.create')}
      cancelText={t('app.cancel')}
      confirmLoading={creating || renaming}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ name: volume?.name ?? '' }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <Form.Item
          name="name"
          label={t('container.name')}
          extra={t('volume.nameHint')}
          {...(wrong && { validateStatus: 'error' as const, help: wrong })}
        >
          <Input autoFocus maxLength={63} autoComplete="off" />
        </Form.Item>
        {problem && !wrong && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
