import { Form, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { type Detail, updateDocument } from './documents';
import { type Minima, minimaFields, minimaInput, minimaShown } from './minima';
import { MinimaFields } from './MinimaFields';

/** Changes the least that a container of the image must have. */
export function MinimaDialog({ image, onClose }: { image: Detail; onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Minima>();
  const [{ fetching }, update] = useMutation(updateDocument);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (values: Minima) => {
    const { error } = await update({ id: image.id, input: minimaInput(values) });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  const atField = problem && minimaFields.some((field) => problem.fields[field]);
  return (
    <Modal
      open
      title={t('image.minima')}
      okText={t('app.save')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form<Minima> form={form} layout="vertical" initialValues={minimaShown(image)} onFinish={(values) => void submit(values)}>
        <MinimaFields problems={problem?.fields ?? {}} />
      </Form>
      {problem && !atField && <Refusal problem={problem} />}
    </Modal>
  );
}
