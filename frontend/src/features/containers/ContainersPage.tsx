import { PlusOutlined } from '@ant-design/icons';
import { App, Button, Card, Empty, Flex, Grid, Input, Select, Skeleton, Space, Table, Tooltip, Typography } from 'antd';
import { useDeferredValue, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import { useMutation, useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { StatusTag } from '@/components/StatusTag';
import { ago } from '@/lib/format';
import { stats } from '@/lib/stats';
import { Actions } from './Actions';
import { CreateDialog } from './CreateDialog';
import {
  changedDocument,
  choicesDocument,
  listDocument,
  removeAllDocument,
  type Row,
  startAllDocument,
  stopAllDocument,
} from './documents';
import { LiveNumbers } from './LiveNumbers';
import { LogsDrawer } from './LogsDrawer';
import { useLiveStats } from './useLive';

const statuses = ['PENDING', 'CREATED', 'STARTING', 'RUNNING', 'PAUSED', 'STOPPING', 'EXITED', 'FAILED', 'LOST', 'REMOVING'] as const;
type Status = (typeof statuses)[number];

/** The clock of the ages shown, once a minute. */
function useNow() {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      setNow(Date.now());
    }, 30_000);
    return () => {
      clearInterval(timer);
    };
  }, []);
  return now;
}

export default function ContainersPage() {
  const { t, i18n } = useTranslation();
  const { message, modal } = App.useApp();
  const [parameters, setParameters] = useSearchParams();
  const [name, setName] = useState('');
  const [status, setStatus] = useState<Status[]>([]);
  const [after, setAfter] = useState<(string | null)[]>([null]);
  const [selected, setSelected] = useState<string[]>([]);
  const [logs, setLogs] = useState<Row>();
  const filter = useDeferredValue(name);
  const filtered = filter !== '' || status.length > 0;
  const where = filtered ? { ...(filter && { nameContains: filter }), ...(status.length > 0 && { status }) } : null;
  const [{ data, error, fetching }] = useQuery({
    query: listDocument,
    variables: { after: after.at(-1) ?? null, where },
    requestPolicy: 'cache-and-network',
  });
  const [{ data: choices }] = useQuery({ query: choicesDocument, requestPolicy: 'cache-and-network' });
  useSubscription({ query: changedDocument }, (_, change) => {
    if (change.containerChanged.container?.status !== 'RUNNING') stats.forget(change.containerChanged.id);
    return change;
  });
  useLiveStats();
  const now = useNow();
  const wide = Grid.useBreakpoint().md !== false;
  const [, startAll] = useMutation(startAllDocument);
  const [, stopAll] = useMutation(stopAllDocument);
  const [, removeAll] = useMutation(removeAllDocument);

  const creating = parameters.has('create');
  const create = (open: boolean) => {
    setParameters(open ? { create: '' } : {});
  };
  const rows = data?.containers.edges.map(({ node }) => node) ?? [];
  const { hasNextPage, endCursor } = data?.containers.pageInfo ?? {};
  const images = choices?.images.edges.length ?? 0;

  const forAll = async (verb: typeof startAll | typeof stopAll | typeof removeAll) => {
    const { data: done } = await verb({ ids: selected });
    const results = Object.values(done ?? {}).flat() as { message: string | null }[];
    const failed = results.filter((result) => result.message);
    if (failed.length > 0) void message.error(failed.map((result) => result.message).join(' '), 8);
    setSelected([]);
  };
  const actions = (row: Row) => (
    <Actions
      container={row}
      onLogs={() => {
        setLogs(row);
      }}
    />
  );
  const statusOf = (row: Row) => (
    <>
      <StatusTag status={row.status} />
      {row.statusMessage && (
        <Typography.Paragraph type="secondary" style={{ margin: 0, maxWidth: 320 }}>
          {row.statusMessage}
        </Typography.Paragraph>
      )}
    </>
  );

  const empty =
    images === 0 ? (
      <Empty description={t('container.noImage')}>
        <Link to="/images">
          <Button type="primary">{t('container.getImage')}</Button>
        </Link>
      </Empty>
    ) : (
      <Empty description={t('container.none')}>
        <Button
          type="primary"
          size="large"
          onClick={() => {
            create(true);
          }}
        >
          {t('container.first')}
        </Button>
      </Empty>
    );

  return (
    <>
      <Heading title={t('app.containers')}>
        <Button
          type="primary"
          icon={<PlusOutlined />}
          disabled={images === 0}
          onClick={() => {
            create(true);
          }}
        >
          {t('container.new')}
        </Button>
      </Heading>
      <Problems error={error} />
      {(rows.length > 0 || filtered) && (
        <Flex gap="small" wrap style={{ marginBottom: 12 }}>
          <Input.Search
            aria-label={t('container.findName')}
            placeholder={t('container.findName')}
            allowClear
            onChange={(event) => {
              setName(event.target.value);
              setAfter([null]);
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
              setAfter([null]);
            }}
            options={statuses.map((value) => ({ value, label: t(`status.${value}`) }))}
            style={{ minWidth: 200 }}
          />
          {selected.length > 0 && (
            <Space wrap>
              <Button onClick={() => void forAll(startAll)}>{t('container.startAll', { count: selected.length })}</Button>
              <Button onClick={() => void forAll(stopAll)}>{t('container.stopAll', { count: selected.length })}</Button>
              <Button
                danger
                onClick={() => {
                  modal.confirm({
                    title: t('container.removeAllTitle', { count: selected.length }),
                    content: t('container.removeText'),
                    okText: t('container.remove'),
                    okButtonProps: { danger: true },
                    cancelText: t('app.cancel'),
                    onOk: () => forAll(removeAll),
                  });
                }}
              >
                {t('container.removeAll', { count: selected.length })}
              </Button>
            </Space>
          )}
        </Flex>
      )}
      {!data && fetching && <Skeleton active />}
      {data && rows.length === 0 && (filtered ? <Empty description={t('container.noMatch')} /> : empty)}
      {rows.length > 0 && wide && (
        <Table<Row>
          className="wide"
          rowKey="id"
          dataSource={rows}
          pagination={false}
          rowSelection={{
            selectedRowKeys: selected,
            onChange: (keys) => {
              setSelected(keys as string[]);
            },
            getCheckboxProps: (row) => ({ 'aria-label': t('container.select', { name: row.name }) }),
            getTitleCheckboxProps: () => ({ 'aria-label': t('container.selectAll') }),
          }}
          columns={[
            { title: t('container.name'), render: (_, row) => <Link to={`/containers/${row.id}`}>{row.name}</Link> },
            { title: t('container.status'), render: (_, row) => statusOf(row) },
            { title: t('container.live'), render: (_, row) => <LiveNumbers id={row.id} name={row.name} /> },
            {
              title: t('container.image'),
              render: (_, row) => (
                <Tooltip title={row.image.reference}>
                  <span>{row.image.reference.replace(/^docker\.io\/(library\/)?/, '')}</span>
                </Tooltip>
              ),
            },
            { title: t('container.created'), render: (_, row) => ago(row.createdAt, now, i18n.language) },
            { title: t('container.actions'), render: (_, row) => actions(row) },
          ]}
        />
      )}
      {rows.length > 0 && !wide && (
        <div className="cards">
          {rows.map((row) => (
            <Card key={row.id} size="small" title={<Link to={`/containers/${row.id}`}>{row.name}</Link>}>
              <Space orientation="vertical">
                {statusOf(row)}
                <LiveNumbers id={row.id} name={row.name} />
                {actions(row)}
              </Space>
            </Card>
          ))}
        </div>
      )}
      {(after.length > 1 || hasNextPage) && (
        <Flex justify="end" gap="small" style={{ marginTop: 12 }}>
          <Button
            disabled={after.length === 1}
            onClick={() => {
              setAfter(after.slice(0, -1));
            }}
          >
            {t('app.previous')}
          </Button>
          <Button
            disabled={!hasNextPage}
            onClick={() => {
              setAfter([...after, endCursor ?? null]);
            }}
          >
            {t('app.next')}
          </Button>
        </Flex>
      )}
      {creating && (
        <CreateDialog
          imageId={parameters.get('image') ?? undefined}
          onClose={() => {
            create(false);
          }}
        />
      )}
      {logs && (
        <LogsDrawer
          id={logs.id}
          name={logs.name}
          onClose={() => {
            setLogs(undefined);
          }}
        />
      )}
    </>
  );
}
