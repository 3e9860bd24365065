import { Card, Descriptions, Flex, Grid, Table, Tag } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useNow } from '@/components/useNow';
import { ago, bytes, lasting, moment } from '@/lib/format';
import type { Row } from './documents';
import { MountedBy } from './MountedBy';

type Props = { rows: Row[]; trash: boolean; viewerId: string | undefined; actions: (row: Row) => ReactNode };

/** The volumes as a table, and as cards where there is no room for one. */
export function VolumeList({ rows, trash, viewerId, actions }: Props) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const now = useNow();
  const wide = Grid.useBreakpoint().md !== false;
  const name = (row: Row) => (
    <>
      <strong>{row.name}</strong>
      {row.owner && row.owner.id !== viewerId && <div className="soft">{row.owner.username}</div>}
      {!row.owner && <div className="soft">{t('volume.toRead')}</div>}
    </>
  );
  const size = (row: Row) =>
    row.size === null ? (
      <span className="soft">{t('volume.notMeasured')}</span>
    ) : (
      <span className="number">{bytes(row.size, language)}</span>
    );
  const mountedBy = (row: Row) => (row.mountedBy.length > 0 ? <MountedBy containers={row.mountedBy} /> : '–');
  const seenBy = (row: Row) => (
    <Tag color={row.visibility === 'PUBLIC' ? 'processing' : 'default'} style={{ marginInlineEnd: 0 }}>
      {t(`visibility.${row.visibility}`)}
    </Tag>
  );
  const since = (time: string | null) => (time ? <span title={moment(time, language)}>{ago(time, now, language)}</span> : '–');
  const left = (row: Row) =>
    row.purgeAt ? (
      <span title={moment(row.purgeAt, language)}>{lasting(Math.max(60, (Date.parse(row.purgeAt) - now) / 1000), language)}</span>
    ) : (
      '–'
    );
  const columns: { key: string; title: string; of: (row: Row) => ReactNode }[] = [
    { key: 'size', title: t('image.size'), of: size },
    ...(trash
      ? [
          { key: 'deleted', title: t('volume.deleted'), of: (row: Row) => since(row.deletedAt) },
          { key: 'left', title: t('volume.left'), of: left },
        ]
      : [
          { key: 'mounted', title: t('volume.mountedBy'), of: mountedBy },
          { key: 'seen', title: t('image.seenBy'), of: seenBy },
          { key: 'created', title: t('container.created'), of: (row: Row) => since(row.createdAt) },
        ]),
  ];

  if (!wide)
    return (
      <div className="cards">
        {rows.map((row) => (
          <Card key={row.id} size="small" title={name(row)}>
            <Flex vertical gap="small">
              <Descriptions
                size="small"
                column={1}
                items={columns.map(({ key, title, of }) => ({ key, label: title, children: of(row) }))}
              />
              {actions(row)}
            </Flex>
          </Card>
        ))}
      </div>
    );
  return (
    <Table<Row>
      rowKey="id"
      dataSource={rows}
      pagination={false}
      className="wide"
      columns={[
        { key: 'name', title: t('container.name'), render: (_, row) => name(row) },
        ...columns.map(({ key, title, of }) => ({ key, title, render: (_: unknown, row: Row) => of(row) })),
        { key: 'actions', title: t('container.actions'), render: (_, row) => actions(row) },
      ]}
    />
  );
}
