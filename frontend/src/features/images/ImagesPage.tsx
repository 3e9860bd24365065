import { CloudDownloadOutlined } from '@ant-design/icons';
import { App, Button, Card, Empty, Progress, Skeleton, Space, Table, Tag, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useMutation, useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { StatusTag } from '@/components/StatusTag';
import { problemIn } from '@/lib/errors';
import { bytes } from '@/lib/format';
import { cancelDocument, catalogueDocument, changedDocument, deleteDocument, listDocument, pullDocument, type Row } from './documents';
import { PullDialog } from './PullDialog';

export default function ImagesPage() {
  const { t, i18n } = useTranslation();
  const { message, modal } = App.useApp();
  const [after, setAfter] = useState<(string | null)[]>([null]);
  const [{ data, error, fetching }] = useQuery({
    query: listDocument,
    variables: { after: after.at(-1) ?? null },
    requestPolicy: 'cache-and-network',
  });
  const [{ data: known }] = useQuery({ query: catalogueDocument });
  useSubscription({ query: changedDocument });
  const [pulling, setPulling] = useState(false);
  const [, pull] = useMutation(pullDocument);
  const [, cancel] = useMutation(cancelDocument);
  const [, remove] = useMutation(deleteDocument);
  const rows = data?.images.edges.map(({ node }) => node) ?? [];
  const { hasNextPage, endCursor } = data?.images.pageInfo ?? {};
  const viewer = data?.viewer;
  const tell = ({ error: wrong }: { error?: Parameters<typeof problemIn>[0] | undefined }) => {
    if (wrong) void message.error(problemIn(wrong).message, 8);
  };
  const mayChange = (row: Row) => viewer?.role === 'ADMIN' || (row.owner !== null && row.owner.id === viewer?.id);
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
          icon={<CloudDownloadOutlined />}
          onClick={() => {
            setPulling(true);
          }}
        >
          {t('image.pull')}
        </Button>
      </Heading>
      <Problems error={error} />
      {!data && fetching && <Skeleton active />}
      {data && rows.length === 0 && <Empty description={t('image.none')} />}
      {rows.length > 0 && (
        <Table<Row>
          className="wide"
          rowKey="id"
          dataSource={rows}
          pagination={false}
          columns={[
            { title: t('image.reference'), render: (_, row) => row.reference },
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
                    <Link to={`/containers?create&image=${row.id}`}>
                      <Button>{t('image.use')}</Button>
                    </Link>
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
      {(after.length > 1 || hasNextPage) && (
        <Space style={{ marginTop: 12 }}>
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
        </Space>
      )}
      <Typography.Title level={2} style={{ fontSize: 18 }}>
        {t('image.catalogue')}
      </Typography.Title>
      <div className="cards">
        {known?.imageCatalogue.map((entry) => (
          <Card
            key={entry.reference}
            size="small"
            title={entry.name}
            extra={
              <Button
                size="small"
                aria-label={`${t('image.pull')}: ${entry.name}`}
                onClick={() => void pull({ input: { reference: entry.reference, minMemory: entry.minMemory } }).then(tell)}
              >
                {t('image.pull')}
              </Button>
            }
          >
            <p style={{ marginTop: 0 }}>{entry.description}</p>
            <code>{entry.reference}</code>
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
