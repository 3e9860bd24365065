import { Alert, Collapse, Form, Input, InputNumber, Modal, Select, Space } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useClient, useMutation, useQuery } from 'urql';
import type { VariablesOf } from '@/gql/tada';
import { type Problem, problemIn } from '@/lib/errors';
import { bytes, decimal, variables, words } from '@/lib/format';
import { admissionDocument, choicesDocument, createDocument } from './documents';

type Input_ = VariablesOf<typeof createDocument>['input'];
type Values = {
  name?: string;
  imageId?: string;
  cpuLimit?: number | null;
  memoryMiB?: number | null;
  command?: string;
  environment?: string;
  restartPolicy?: 'NEVER' | 'ON_FAILURE';
};

const MiB = 1024 * 1024;

function inputOf(values: Values): Input_ | undefined {
  if (!values.name || !values.imageId) return undefined;
  const command = words(values.command ?? '');
  const environment = variables(values.environment ?? '');
  return {
    name: values.name,
    imageId: values.imageId,
    restartPolicy: values.restartPolicy ?? 'NEVER',
    ...(values.cpuLimit && { cpuLimit: values.cpuLimit }),
    ...(values.memoryMiB && { memoryLimit: Math.round(values.memoryMiB * MiB) }),
    ...(command.length > 0 && { command }),
    ...(environment.length > 0 && { environment }),
  };
}

/** A name that is very likely free, so that one click is enough. */
const proposed = () =>
  `box-${Math.floor(Math.random() * 36 ** 4)
    .toString(36)
    .padStart(4, '0')}`;

const more = ['command', 'environment', 'restartPolicy'];

export function CreateDialog({ imageId, onClose }: { imageId?: string | undefined; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ data }] = useQuery({ query: choicesDocument, requestPolicy: 'cache-and-network' });
  const [{ fetching }, create] = useMutation(createDocument);
  const [problem, setProblem] = useState<Problem>();
  const [warnings, setWarnings] = useState<string[]>([]);
  const [name] = useState(proposed);
  const client = useClient();
  const values: Values = { ...Form.useWatch([], form) };
  const images = data?.images.edges.map(({ node }) => node) ?? [];
  const chosen = values.imageId ?? imageId ?? images[0]?.id;
  const input = inputOf({ ...values, name: values.name ?? name, ...(chosen && { imageId: chosen }) });
  const asked = JSON.stringify(input);
  // Asks beforehand what would stand in the way, a moment after the last key.
  useEffect(() => {
    if (!asked) return;
    let gone = false;
    const timer = setTimeout(() => {
      void client.query(admissionDocument, { input: JSON.parse(asked) as Input_ }, { requestPolicy: 'network-only' }).then((result) => {
        if (!gone) setWarnings(result.data?.admission.problems.map(({ message }) => message) ?? []);
      });
    }, 300);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [asked, client]);
  const submit = async () => {
    if (!input) return;
    const result = await create({ input });
    if (result.error) setProblem(problemIn(result.error));
    else onClose();
  };
  const fields = problem?.fields ?? {};
  const at = (field: string) => ({ help: fields[field], ...(fields[field] && { validateStatus: 'error' as const }) });
  const { quota, usage } = data?.viewer ?? {};
  const cpuLeft = quota && usage ? Math.max(0, quota.maxCpu - usage.cpu) : 0;
  const memoryLeft = quota && usage ? Math.max(0, quota.maxMemory - usage.memory) : 0;
  const elsewhere = problem && Object.keys(fields).length === 0;
  return (
    <Modal
      open
      title={t('create.title')}
      okText={t('create.create')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      okButtonProps={{ disabled: !input }}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form<Values> form={form} layout="vertical" initialValues={{ name, restartPolicy: 'NEVER' }} onFinish={() => void submit()}>
        <Form.Item name="name" label={t('create.name')} {...at('name')}>
          <Input autoFocus maxLength={63} />
        </Form.Item>
        <Form.Item label={t('create.image')} htmlFor="create-image" {...at('imageId')}>
          <Select
            id="create-image"
            value={chosen}
            onChange={(id) => {
              form.setFieldValue('imageId', id);
            }}
            options={images.map(({ id, reference }) => ({ value: id, label: reference }))}
            showSearch={{ optionFilterProp: 'label' }}
          />
        </Form.Item>
        <Form.Item name="imageId" hidden>
          <Input />
        </Form.Item>
        <Space wrap align="start">
          <Form.Item
            name="cpuLimit"
            label={t('create.cpu')}
            extra={t('create.left', { amount: decimal(cpuLeft, i18n.language, 2) })}
            {...at('cpuLimit')}
          >
            <InputNumber min={0.01} step={0.5} placeholder={t('create.automatic')} style={{ width: 200 }} />
          </Form.Item>
          <Form.Item
            name="memoryMiB"
            label={t('create.memory')}
            extra={t('create.left', { amount: bytes(memoryLeft, i18n.language) })}
            {...at('memoryLimit')}
          >
            <InputNumber min={1} step={256} placeholder={t('create.automatic')} style={{ width: 200 }} />
          </Form.Item>
        </Space>
        <Collapse
          ghost
          {...(more.some((field) => fields[field]) && { activeKey: 'more' })}
          items={[
            {
              key: 'more',
              label: t('create.more'),
              forceRender: true,
              children: (
                <>
                  <Form.Item name="command" label={t('create.command')} extra={t('create.commandHint')} {...at('command')}>
                    <Input />
                  </Form.Item>
                  <Form.Item name="environment" label={t('create.environment')} extra={t('create.environmentHint')} {...at('environment')}>
                    <Input.TextArea rows={3} />
                  </Form.Item>
                  <Form.Item name="restartPolicy" label={t('create.restart')}>
                    <Select
                      options={[
                        { value: 'NEVER', label: t('create.never') },
                        { value: 'ON_FAILURE', label: t('create.onFailure') },
                      ]}
                    />
                  </Form.Item>
                </>
              ),
            },
          ]}
        />
        {elsewhere && <Alert role="alert" type="error" showIcon title={problem.message} />}
        {!problem && warnings.length > 0 && <Alert type="warning" showIcon title={t('create.wouldNot')} description={warnings.join(' ')} />}
      </Form>
    </Modal>
  );
}
