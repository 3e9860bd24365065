import { Col, Collapse, Form, Input, InputNumber, Modal, Row, Select } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useClient, useMutation, useQuery } from 'urql';
import { AskForMore } from '@/components/AskForMore';
import { Problems } from '@/components/Problems';
import { Refusal } from '@/components/Refusal';
import { obstacles, type Problem, problemIn } from '@/lib/errors';
import { bytes, decimal, lasting, seconds, shortReference } from '@/lib/format';
import { type CreateInput, forEver, idleChoices, inputOf, type Values } from './createInput';
import { type Admission, admissionDocument, choicesDocument, createDocument, storageDocument } from './documents';
import { Foreseen } from './Foreseen';
import { type Choice, Mounts } from './Mounts';
import { PortFields } from './ports/PortFields';
import { Workspace } from './Workspace';

/** A name that is very likely free, so that one click is enough. */
const proposed = () =>
  `box-${Math.floor(Math.random() * 36 ** 4)
    .toString(36)
    .padStart(4, '0')}`;

const more = ['volumes', 'ports', 'idleTimeout', 'command', 'environment', 'restartPolicy'];
const shown = ['name', 'imageId', 'cpuLimit', 'memoryLimit', 'gpuLimit', 'workspace', ...more];
/** How often it is asked whether there is room by now. */
const every = 3_000;

type Foresight = ReturnType<typeof obstacles> & Pick<Admission, 'wouldQueue' | 'freeing'> & { gpus: number };

type Props = { imageId?: string | undefined; workspace?: string | undefined; onClose: () => void };

export function CreateDialog({ imageId, workspace = 'workspace', onClose }: Props) {
  const { t, i18n } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ data, error }] = useQuery({ query: choicesDocument, requestPolicy: 'cache-and-network' });
  const [{ data: storage }] = useQuery({ query: storageDocument, requestPolicy: 'cache-and-network' });
  const [{ fetching }, create] = useMutation(createDocument);
  const [problem, setProblem] = useState<Problem>();
  const [foreseen, setForeseen] = useState<Foresight>();
  const [turn, setTurn] = useState(0);
  const [unfolded, setUnfolded] = useState(false);
  const [name] = useState(proposed);
  const client = useClient();
  const values: Values = { ...Form.useWatch([], form) };
  const images = data?.images.edges.map(({ node }) => node) ?? [];
  const chosen = values.imageId ?? imageId ?? images[0]?.id;
  const volumes = storage?.volumes.edges.map(({ node }) => node) ?? [];
  const isOwn = (volume: (typeof volumes)[number]) => volume.owner !== null && volume.owner.id === storage?.viewer?.id;
  const mountable: Choice[] = volumes
    .filter((volume) => isOwn(volume) || volume.visibility === 'PUBLIC')
    .map((volume) => ({ id: volume.id, name: volume.name, readOnly: !isOwn(volume) }));
  const readable = mountable.filter(({ readOnly }) => readOnly).map(({ id }) => id);
  const input = inputOf({ ...values, name: values.name ?? name, ...(chosen && { imageId: chosen }) }, readable);
  const asked = JSON.stringify(input);
  // Asks beforehand what would stand in the way, a moment after the last key.
  useEffect(() => {
    if (!asked) return;
    let gone = false;
    const timer = setTimeout(() => {
      void client
        .query(admissionDocument, { input: JSON.parse(asked) as CreateInput }, { requestPolicy: 'network-only' })
        .then((result) => {
          if (gone) return;
          const { problems = [], wouldQueue = false, freeing = [], largest } = result.data?.admission ?? {};
          const found = result.error ? { fields: problemIn(result.error).fields, rest: [] } : obstacles(problems);
          setForeseen({ ...found, wouldQueue, freeing, gpus: largest?.gpu ?? 0 });
        });
    }, 300);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [asked, client, turn]);
  const waits = foreseen?.wouldQueue === true;
  const blocked = waits || (foreseen?.freeing.length ?? 0) > 0;
  // While there is no room, others may make some.
  useEffect(() => {
    if (!blocked) return;
    const timer = setInterval(() => {
      setTurn((n) => n + 1);
    }, every);
    return () => {
      clearInterval(timer);
    };
  }, [blocked]);
  const submit = async () => {
    if (!input) return;
    // What the button says is what is asked for.
    const result = await create({ input: { ...input, ...(waits && { whenFull: 'QUEUE' as const }) } });
    if (!result.error) {
      onClose();
      return;
    }
    const found = problemIn(result.error);
    setProblem(found);
    setTurn((n) => n + 1);
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
  const { idleTimeout = null, maxIdleTimeout = null } = data?.serverInfo ?? {};
  const idle = (duration: string | null) =>
    duration === null || duration === forEver
      ? t('create.idleNever')
      : t('create.idleAfter', { time: lasting(seconds(duration), i18n.language) });
  const gpus = Math.max(quota?.maxGpu ?? 0, foreseen?.gpus ?? 0, images.find(({ id }) => id === chosen)?.minGpu ?? 0);
  const left = (limit: number, used: number, say: (n: number) => string) =>
    t('create.left', { amount: say(Math.max(0, limit - used)), limit: say(limit) });
  // A quota in the way, found or foreseen, is not the end of it.
  const short = problem ? problem.short : foreseen?.short;
  const elsewhere = problem && !shown.some((field) => fields[field]);
  return (
    <Modal
      open
      title={t('create.title')}
      okText={waits ? t('create.wait') : t('create.create')}
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
        initialValues={{ name, keep: true, workspace, volumes: [], ports: [], idleTimeout: '', restartPolicy: 'NEVER' }}
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
          {gpus > 0 && (
            <Col xs={24} sm={12}>
              <Form.Item
                name="gpuLimit"
                label={t('quota.gpu')}
                extra={quota && usage && left(quota.maxGpu, usage.gpu, (n) => decimal(n, i18n.language, 0))}
                {...at('gpuLimit')}
              >
                <InputNumber min={0} step={1} precision={0} placeholder={t('create.automatic')} style={{ width: '100%' }} />
              </Form.Item>
            </Col>
          )}
        </Row>
        <Workspace
          keep={values.keep ?? true}
          name={values.workspace ?? workspace}
          own={volumes.filter(isOwn).map((volume) => volume.name)}
          at={at}
        />
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
                  <Mounts choices={mountable} mounts={values.volumes ?? []} wrong={at('volumes')} />
                  <PortFields count={values.ports?.length ?? 0} wrong={at('ports')} />
                  <Form.Item name="idleTimeout" label={t('create.idle')} extra={t('create.idleHint')} {...at('idleTimeout')}>
                    <Select
                      options={[
                        { value: '', label: t('create.idleDefault', { what: idle(idleTimeout) }) },
                        ...idleChoices(maxIdleTimeout).map((value) => ({ value, label: idle(value) })),
                      ]}
                    />
                  </Form.Item>
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
        {elsewhere && <Refusal problem={problem} />}
        {!elsewhere && short && <AskForMore size="small" short={short} />}
        {foreseen && (
          <Foreseen
            rest={problem ? [] : foreseen.rest}
            wouldQueue={waits}
            freeing={foreseen.freeing}
            onFreed={() => {
              setProblem(undefined);
              setTurn((n) => n + 1);
            }}
          />
        )}
      </Form>
    </Modal>
  );
}
