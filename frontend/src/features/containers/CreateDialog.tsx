import { Alert, Col, Collapse, Form, Input, InputNumber, Modal, Row, Select } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useClient, useMutation, useQuery } from 'urql';
import { Problems } from '@/components/Problems';
import type { VariablesOf } from '@/gql/tada';
import { obstacles, type Problem, problemIn } from '@/lib/errors';
import { bytes, decimal, shortReference, variables, words } from '@/lib/format';
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
const shown = ['name', 'imageId', 'cpuLimit', 'memoryLimit', ...more];

export function CreateDialog({ imageId, onClose }: { imageId?: string | undefined; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ data, error }] = useQuery({ query: choicesDocument, requestPolicy: 'cache-and-network' });
  const [{ fetching }, create] = useMutation(createDocument);
  const [problem, setProblem] = useState<Problem>();
  const [foreseen, setForeseen] = useState<ReturnType<typeof obstacles>>();
  const [unfolded, setUnfolded] = useState(false);
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
        if (gone) return;
        setForeseen(result.error ? { fields: problemIn(result.error).fields, rest: [] } : obstacles(result.data?.admission.problems ?? []));
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
    if (!result.error) {
      onClose();
      return;
    }
    const found = problemIn(result.error);
    setProblem(found);
    if (more.some((field) => found.fields[field])) setUnfolded(true);
  };
  const fields = problem?.fields ?? {};
  // A refusal is red; what would be refused is a warning, and stands at the same place.
  const at = (field: string) => {
    if (fields[field]) return { help: fields[field], validateStatus: 'error' as const };
    if (foreseen?.fields[field]) return { help: foreseen.fields[field], validateStatus: 'warning' as const };
    return {};
  };
  const { quota, usage } = data?.viewer ?? {};
  const left = (limit: number, used: number, say: (n: number) => string) =>
    t('create.left', { amount: say(Math.max(0, limit - used)), limit: say(limit) });
  const elsewhere = problem && !shown.some((field) => fields[field]);
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
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ name, restartPolicy: 'NEVER' }}
        onFinish={() => void submit()}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <Problems error={error} />
        <Form.Item name="name" label={t('create.name')} {...at('name')}>
          <Input autoFocus maxLength={63} autoComplete="off" />
        </Form.Item>
        <Form.Item label={t('create.image')} htmlFor="create-image" {...at('imageId')}>
          <Select
            id="create-image"
            {...(chosen && { value: chosen })}
            onChange={(id) => {
              form.setFieldValue('imageId', id);
              setProblem(undefined);
            }}
            options={images.map(({ id, reference }) => ({ value: id, label: shortReference(reference) }))}
            showSearch={{ optionFilterProp: 'label' }}
          />
        </Form.Item>
        <Form.Item name="imageId" hidden>
          <Input />
        </Form.Item>
        <Row gutter={16}>
          <Col xs={24} sm={12}>
            <Form.Item
              name="cpuLimit"
              label={t('create.cpu')}
              extra={quota && usage && left(quota.maxCpu, usage.cpu, (n) => decimal(n, i18n.language, 2))}
              {...at('cpuLimit')}
            >
              <InputNumber min={0.01} step={0.5} placeholder={t('create.automatic')} style={{ width: '100%' }} />
            </Form.Item>
          </Col>
          <Col xs={24} sm={12}>
            <Form.Item
              name="memoryMiB"
              label={t('create.memory')}
              extra={quota && usage && left(quota.maxMemory, usage.memory, (n) => bytes(n, i18n.language))}
              {...at('memoryLimit')}
            >
              <InputNumber min={1} step={256} placeholder={t('create.automatic')} style={{ width: '100%' }} />
            </Form.Item>
          </Col>
        </Row>
        <Collapse
          ghost
          activeKey={unfolded ? ['more'] : []}
          onChange={(open) => {
            setUnfolded(open.length > 0);
          }}
          styles={{ header: { paddingInline: 0 }, body: { paddingInline: 0 } }}
          items={[
            {
              key: 'more',
              label: t('create.more'),
              forceRender: true,
              children: (
                <>
                  <Form.Item name="command" label={t('create.command')} extra={t('create.commandHint')} {...at('command')}>
                    <Input autoComplete="off" />
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
        {!problem && foreseen && foreseen.rest.length > 0 && (
          <Alert type="warning" showIcon title={t('create.wouldNot')} description={foreseen.rest.join(' ')} />
        )}
      </Form>
    </Modal>
  );
}
