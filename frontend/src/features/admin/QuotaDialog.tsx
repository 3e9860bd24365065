import { Form, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { QuotaFields } from '@/components/QuotaFields';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { limitsInput, shownLimits, type SomeLimits } from '@/lib/quota';
import { type Person, quotaDocument } from './documents';

export function QuotaDialog({ person, onClose }: { person: Person; onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<SomeLimits>();
  const [{ fetching }, set] = useMutation(quotaDocument);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (values: SomeLimits) => {
    const input = limitsInput(values, person.quota);
    if (Object.keys(input).length > 0) {
      const { error } = await set({ userId: person.id, input });
      if (error) {
        setProblem(problemIn(error));
        return;
      }
    }
    onClose();
  };
  return (
    <Modal
      open
      title={t('admin.quotaOf', { name: person.username })}
      okText={t('app.save')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{t('admin.quotaHint')}</p>
      <Form<SomeLimits> form={form} layout="vertical" initialValues={shownLimits(person.quota)} onFinish={(values) => void submit(values)}>
        <QuotaFields problems={problem?.fields} />
        {problem && Object.keys(problem.fields).length === 0 && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
