import { Form, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { type Detail, setPortsDocument } from '../documents';
import { portsOf, type PortValue } from './input';
import { PortFields } from './PortFields';

type Values = { ports?: (PortValue | undefined)[] };

/** Changes which ports of a container are reached through the server. */
export function PortsDialog({
  container: { id, name, ports },
  onClose,
}: {
  container: Pick<Detail, 'id' | 'name' | 'ports'>;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, set] = useMutation(setPortsDocument);
  const [problem, setProblem] = useState<Problem>();
  const values = (Form.useWatch([], form) as Values | undefined)?.ports ?? [];
  const submit = async () => {
    const { error } = await set({ id, ports: portsOf(values) });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  const wrong = problem?.fields['ports'];
  return (
    <Modal
      open
      title={t('ports.of', { name })}
      okText={t('app.save')}
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
        initialValues={{ ports: ports.length > 0 ? ports.map((one) => ({ name: one.name, port: one.port })) : [{}] }}
        onFinish={() => void submit()}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <PortFields count={values.length} wrong={wrong ? { help: wrong, validateStatus: 'error' } : {}} />
        {problem && !wrong && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
