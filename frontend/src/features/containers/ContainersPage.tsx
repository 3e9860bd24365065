import { PlusOutlined } from '@ant-design/icons';
import { App, Button, Empty, Flex, Input, Select, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useSearchParams } from 'react-router';
import { useMutation, useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Pages } from '@/components/Pages';
import { Problems } from '@/components/Problems';
import { usePause } from '@/components/usePause';
import { said } from '@/lib/errors';
import { Actions } from './Actions';
import { ContainerList } from './ContainerList';
import { CreateDialog } from './CreateDialog';
import {
  changedDocument,
  choicesDocument,
  imagesDocument,
  listDocument,
  removeAllDocument,
  startAllDocument,
  stopAllDocument,
} from './documents';
import { Losses } from './Losses';
import { useLiveStats } from './useLive';
import { useWait } from './useWait';

const statuses = [
  'PENDING',
  'QUEUED',
  'CREATED',
  'STARTING',
  'RUNNING',
  'PAUSED',
  'STOPPING',
  'EXITED',
  'FAILED',
  'LOST',
  'REMOVING',
] as const;
type Status = (typeof statuses)[number];
type Result = { id: string; code: string | null; message: string | null };

export default function ContainersPage() {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  const navigate = useNavigate();
  const [parameters, setParameters] = useSearchParams();
  const [name, setName] = useState('');
  const [status, setStatus] = useState<Status[]>([]);
  const [starts, setStarts] = useState<(string | null)[]>([null]);
  const [selected, setSelected] = useState<string[]>([]);
  const sought = usePause(name);
  const filtered = sought !== '' || status.length > 0;
  const where = filtered ? { ...(sought && { nameContains: sought }), ...(status.length > 0 && { status }) } : null;
  const [{ data, error }] = useQuery({
    query: listDocument,
    variables: { after: starts.at(-1) ?? null, where },
    requestPolicy: 'cache-and-network',
  });
  const [{ data: choices }, askChoices] = useQuery({ query: choicesDocument, requestPolicy: 'cache-and-network' });
  const viewer = choices?.viewer;
  useSubscription({ query: changedDocument, variables: { all: viewer?.role === 'ADMIN' }, pause: !viewer });
  const hasImage = choices && choices.images.edges.length > 0;
  // The first image that becomes ready is all that a newcomer waits for.
  useSubscription({ query: imagesDocument, variables: { all: viewer?.role === 'ADMIN' }, pause: hasImage !== false }, (_, change) => {
    askChoices({ requestPolicy: 'network-only' });
    return change;
  });
  const rows = data?.containers.edges.map(({ node }) => node) ?? [];
  useLiveStats(rows);
  const [{ fetching: starting }, startAll] = useMutation(startAllDocument);
  const [{ fetching: stopping }, stopAll] = useMutation(stopAllDocument);
  const [{ fetching: removing }, removeAll] = useMutation(removeAllDocument);
  const wait = useWait();
  const busy = starting || stopping || removing;

  const creating = parameters.has('create');
  const create = (open: boolean) => {
    setParameters(open ? { create: '' } : {});
  };
  const chosen = selected.filter((id) => rows.some((row) => row.id === id));
  const count = chosen.length;

  /** Says of which containers it was refused, and why; those stay selected. */
  const tell = (results: readonly Result[] | undefined, wrong: Parameters<typeof Problems>[0]['error']) => {
    if (wrong) void message.error(<Problems error={wrong} plain />, 8);
    const refused = results?.filter(({ code }) => code !== null) ?? [];
    const line = (one: Result) => `${rows.find(({ id }) => id === one.id)?.name ?? one.id}: ${said(one.code ?? '', one.message ?? '')}`;
    const full = refused.filter(({ code }) => code === 'CAPACITY_EXCEEDED');
    const others = refused.filter(({ code }) => code !== 'CAPACITY_EXCEEDED');
    if (others.length > 0) void message.error(others.map(line).join(' '), 8);
    if (full.length > 0)
      wait(
        full.map(({ id }) => id),
        full.map(line),
      );
    if (!wrong) setSelected(refused.map(({ id }) => id));
  };
  const confirmRemoval = () => {
    modal.confirm({
      title: t('container.removeAllTitle', { count }),
      content: (
        <>
          <Losses ids={chosen} />
          <ul>
            {rows
              .filter(({ id }) => chosen.includes(id))
              .map((row) => (
                <li key={row.id}>{row.name}</li>
              ))}
          </ul>
        </>
      ),
      okText: t('container.remove'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: async () => {
        const result = await removeAll({ ids: chosen });
        tell(result.data?.removeContainers, result.error);
      },
    });
  };

  const first = (
    <Button
      type="primary"
      size="large"
      onClick={() => {
        create(true);
      }}
    >
      {t('container.first')}
    </Button>
  );
  const fetchImage = (
    <Button type="primary" size="large" onClick={() => void navigate('/images')}>
      {t('container.getImage')}
    </Button>
  );
  return (
    <>
      <Heading title={t('app.containers')}>
        <Button
          type="primary"
          icon={<PlusOutlined aria-hidden />}
          disabled={!hasImage}
          onClick={() => {
            create(true);
          }}
        >
          {t('container.new')}
        </Button>
      </Heading>
      <Problems error={error} />
      {(rows.length > 0 || filtered || name !== '') && (
        <Flex gap="small" wrap style={{ margin: '4px 0 12px' }}>
          <Input
            type="search"
            aria-label={t('container.findName')}
            placeholder={t('container.findName')}
            allowClear
            value={name}
            onChange={(event) => {
              setName(event.target.value);
              setStarts([null]);
            }}
            style={{ width: 220 }}
          />
          <Select
            aria-label={t('container.findStatus')}
            placeholder={t('container.findStatus')}
            mode="multiple"
            allowClear
            value={status}
            onChange={(next: Status[]) => {
              setStatus(next);
              setStarts([null]);
            }}
            options={statuses.map((value) => ({ value, label: t(`status.${value}`) }))}
            style={{ minWidth: 200 }}
          />
          {count > 0 && (
            <Flex gap="small" wrap role="group" aria-label={t('container.selected', { count })}>
              <Button
                disabled={busy}
                onClick={() =>
                  void startAll({ ids: chosen }).then((r) => {
                    tell(r.data?.startContainers, r.error);
                  })
                }
              >
                {t('container.startAll', { count })}
              </Button>
              <Button
                disabled={busy}
                onClick={() =>
                  void stopAll({ ids: chosen }).then((r) => {
                    tell(r.data?.stopContainers, r.error);
                  })
                }
              >
                {t('container.stopAll', { count })}
              </Button>
              <Button danger disabled={busy} onClick={confirmRemoval}>
                {t('container.removeAll', { count })}
              </Button>
            </Flex>
          )}
        </Flex>
      )}
      {!data && !error && <Skeleton active />}
      {data && rows.length === 0 && filtered && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('container.noMatch')} />}
      {data && choices && rows.length === 0 && !filtered && (
        <Empty
          className="nothing"
          image={Empty.PRESENTED_IMAGE_SIMPLE}
          description={hasImage ? t('container.none') : t('container.noImage')}
        >
          {hasImage ? first : fetchImage}
        </Empty>
      )}
      {rows.length > 0 && (
        <ContainerList
          rows={rows}
          viewerId={viewer?.id}
          selected={chosen}
          onSelect={setSelected}
          actions={(row) => <Actions container={row} />}
        />
      )}
      <Pages starts={starts} info={data?.containers.pageInfo} onTurn={setStarts} />
      {creating && choices && (
        <CreateDialog
          imageId={parameters.get('image') ?? undefined}
          workspace={parameters.get('workspace') ?? undefined}
          onClose={() => {
            create(false);
          }}
        />
      )}
    </>
  );
}
