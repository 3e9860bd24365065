import { Card, Checkbox, Descriptions, Flex, Grid, Table } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { StatusTag } from '@/components/StatusTag';
import { useNow } from '@/components/useNow';
import { ago, moment, shortReference } from '@/lib/format';
import type { Row } from './documents';
import { LiveCpu, LiveMemory } from './LiveNumbers';
import { Note } from './Note';

type Props = {
  rows: Row[];
  viewerId: string | undefined;
  selected: string[];
  onSelect: (ids: string[]) => void;
  actions: (row: Row) => ReactNode;
};

/** The containers as a table, and as cards where there is no room for one. */
export function ContainerList({ rows, viewerId, selected, onSelect, actions }: Props) {
  const { t, i18n } = useTranslation();
  const now = useNow();
  const wide = Grid.useBreakpoint().md !== false;
  const name = (row: Row) => (
    <>
      <Link to={`/containers/${row.id}`}>{row.name}</Link>
      {row.owner && row.owner.id !== viewerId && <div className="soft">{row.owner.username}</div>}
    </>
  );
  const status = (row: Row) => (
    <>
      <StatusTag status={row.status} />
      <Note container={row} />
    </>
  );
  const image = (row: Row) => (
    <div title={row.image.reference} style={{ minWidth: 100, overflowWrap: 'anywhere' }}>
      {shortReference(row.image.reference)}
    </div>
  );
  const age = (row: Row) => <span title={moment(row.createdAt, i18n.language)}>{ago(row.createdAt, now, i18n.language)}</span>;

  if (!wide)
    return (
      <div className="cards">
        {rows.map((row) => (
          <Card
            key={row.id}
            size="small"
            title={name(row)}
            extra={
              <Checkbox
                aria-label={t('container.select', { name: row.name })}
                checked={selected.includes(row.id)}
                onChange={({ target }) => {
                  onSelect(target.checked ? [...selected, row.id] : selected.filter((id) => id !== row.id));
                }}
              />
            }
          >
            <Flex vertical gap="small">
              <div>{status(row)}</div>
              <Descriptions
                size="small"
                column={1}
                items={[
                  { key: 'cpu', label: t('quota.cpu'), children: <LiveCpu container={row} /> },
                  { key: 'memory', label: t('quota.memory'), children: <LiveMemory container={row} /> },
                  { key: 'image', label: t('container.image'), children: image(row) },
                  { key: 'created', label: t('container.created'), children: age(row) },
                ]}
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
      rowSelection={{
        selectedRowKeys: selected,
        onChange: (keys) => {
          onSelect(keys as string[]);
        },
        getCheckboxProps: (row) => ({ 'aria-label': t('container.select', { name: row.name }) }),
        getTitleCheckboxProps: () => ({ 'aria-label': t('container.selectAll') }),
      }}
      columns={[
        { title: t('container.name'), render: (_, row) => name(row) },
        { title: t('container.image'), render: (_, row) => image(row) },
        { title: t('container.status'), render: (_, row) => status(row) },
        { title: t('quota.cpu'), width: 150, render: (_, row) => <LiveCpu container={row} /> },
        { title: t('quota.memory'), width: 160, render: (_, row) => <LiveMemory container={row} /> },
        { title: t('container.created'), render: (_, row) => age(row) },
        { title: t('container.actions'), render: (_, row) => actions(row) },
      ]}
    />
  );
}
