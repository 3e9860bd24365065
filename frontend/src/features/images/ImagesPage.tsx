import { CloudDownloadOutlined } from '@ant-design/icons';
import { App, Button, Card, Empty, Progress, Skeleton, Space, Table, Tag, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { useMutation, useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Pages } from '@/components/Pages';
import { Problems } from '@/components/Problems';
import { StatusTag } from '@/components/StatusTag';
import { problemIn } from '@/lib/errors';
import { bytes, shortReference } from '@/lib/format';
import { cancelDocument, catalogueDocument, changedDocument, deleteDocument, listDocument, pullDocument, type Row } from './documents';
import { PullDialog } from './PullDialog';

export default function ImagesPage() {
  const { t, i18n } = useTranslation();
  const navigate = useNavigate();
  const { message, modal } = App.useApp();
  const [after, setAfter] = useState<(string | null)[]>([null]);
  const [{ data, error, fetching }] = useQuery({
    query: listDocument,
    variables: { after: after.at(-1) ?? null },
    requestPolicy: 'cache-and-network',
  });
  const [{ data: known }] = useQuery({ query: catalogueDocument });
  useSubscription({ query: changedDocument, variables: { all: data?.viewer?.role === 'ADMIN' }, pause: !data });
  const [pulling, setPulling] = useState(false);
  const [asked, setAsked] = useState<ReadonlySet<string>>(new Set());
  const [, pull] = useMutation(pullDocument);
  const [, cancel] = useMutation(cancelDocument);
  const [, remove] = useMutation(deleteDocument);
  const rows = data?.images.edges.map(({ node }) => node) ?? [];
  const viewer = data?.viewer;
  const tell = ({ error: wrong }: { error?: Parameters<typeof problemIn>[0] | undefined }) => {
    if (wrong) void message.error(problemIn(wrong).message, 8);
  };
  const mayChange = (row: Row) => viewer?.role === 'ADMIN' || (row.owner !== null && row.owner.id === viewer?.id);
  const pullEntry = async ({ reference, minMemory }: { reference: string; minMemory: number }) => {
    setAsked((before) => new Set(before).add(reference));
    tell(await pull({ input: { reference, minMemory } }));
    setAsked((before) => new Set([...before].filter((other) => other !== reference)));
    window.scrollTo({ top: 0 }); // where its progress is shown
  };
  const confirmDelete = (row: Row) => {
    modal.confirm({
      title: t('image.deleteTitle', { reference: row.reference }),
      content: t('image.deleteText'),
      okText: t('image.delete'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: async () => {
        tell(await remove({ id: row.id }));
      },
    });
  };
  const reference = (row: Row) => (
    <>
      <span title={row.reference}>{shortReference(row.reference)}</span>
      {row.owner && row.owner.id !== viewer?.id && <div className="soft">{row.owner.username}</div>}
    </>
  );
  const state = (row: Row) => (
    <Space orientation="vertical" size={0}>
      <span>
        <StatusTag status={row.status} />
        {row.usedFallback && <Tag>{t('image.regular')}</Tag>}
      </span>
      {row.progress && (
        <span style={{ display: 'block', width: 220 }}>
          <Progress aria-label={row.reference} percent={Math.round(row.progress.percent ?? 0)} size="small" />
          <span className="number">
            {bytes(row.progress.currentBytes, i18n.language)}
            {row.progress.totalBytes !== null && ` / ${bytes(row.progress.totalBytes, i18n.language)}`}
          </span>
        </span>
      )}
      {row.statusMessage && (
        <Typography.Paragraph type="secondary" style={{ margin: 0, maxWidth: 360 }}>
          {row.statusMessage}
        </Typography.Paragraph>
      )}
    </Space>
  );
  return (
    <>
      <Heading title={t('app.images')}>
        <Button
          type="primary"
          icon={<CloudDownloadOutlined aria-hidden />}
          onClick={() => {
            setPulling(true);
          }}
        >
          {t('image.pull')}
        </Button>
      </Heading>
      <Problems error={error} />
      {!data && fetching && <Skeleton active />}
      {data && rows.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('image.none')} />}
      {rows.length > 0 && (
        <Table<Row>
          className="wide"
          rowKey="id"
          dataSource={rows}
          pagination={false}
          columns={[
            { title: t('image.reference'), render: (_, row) => reference(row) },
            { title: t('image.state'), render: (_, row) => state(row) },
            {
              title: t('image.size'),
              render: (_, row) => (row.size === null ? '–' : <span className="number">{bytes(row.size, i18n.language)}</span>),
            },
            { title: t('image.seenBy'), render: (_, row) => t(`visibility.${row.visibility}`) },
            {
              title: t('container.actions'),
              render: (_, row) => (
                <Space wrap>
                  {row.status === 'READY' && (
                    <Button
                      aria-label={`${t('image.use')}: ${shortReference(row.reference)}`}
                      onClick={() => void navigate(`/containers?create&image=${row.id}`)}
                    >
                      {t('image.use')}
                    </Button>
                  )}
                  {mayChange(row) && (row.status === 'PENDING' || row.status === 'PULLING') && (
                    <Button onClick={() => void cancel({ id: row.id }).then(tell)}>{t('app.cancel')}</Button>
                  )}
                  {mayChange(row) && (row.status === 'FAILED' || row.status === 'CANCELLED') && row.owner && (
                    <Button onClick={() => void pull({ input: { reference: row.requestedReference } }).then(tell)}>
                      {t('image.again')}
                    </Button>
                  )}
                  {mayChange(row) && row.status !== 'DELETING' && (
                    <Button
                      danger
                      aria-label={`${t('image.delete')}: ${row.reference}`}
                      onClick={() => {
                        confirmDelete(row);
                      }}
                    >
                      {t('image.delete')}
                    </Button>
                  )}
                </Space>
              ),
            },
          ]}
        />
      )}
      <Pages starts={after} info={data?.images.pageInfo} onTurn={setAfter} />
      <Typography.Title level={2} style={{ fontSize: 18 }}>
        {t('image.catalogue')}
      </Typography.Title>
      <div className="cards">
        {known?.imageCatalogue.map((entry) => (
          <Card key={entry.reference} size="small" className="entry">
            <h3>{entry.name}</h3>
            <p>{entry.description}</p>
            <p className="soft">
              <code>{entry.reference}</code>
              <br />
              {t('image.needs', { amount: bytes(entry.minMemory, i18n.language) })}
            </p>
            <Button
              aria-label={`${t('image.pull')}: ${entry.name}`}
              loading={asked.has(entry.reference)}
              onClick={() => void pullEntry(entry)}
            >
              {t('image.pull')}
            </Button>
          </Card>
        ))}
      </div>
      {pulling && (
        <PullDialog
          onClose={() => {
            setPulling(false);
          }}
        />
      )}
    </>
  );
}
