import { Card, Descriptions, Empty, Grid, Select, Table } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { bytes, decimal } from '@/lib/format';
import { compare, type Order, type PersonUse } from './use';

/** Who has how much of the machine, and uses how much of that: a table to sort, and cards where there is no room for one. */
export function PeopleUse({ people, gpus }: { people: readonly PersonUse[]; gpus: boolean }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const wide = Grid.useBreakpoint().md !== false;
  const [order, setOrder] = useState<Order>('memory');
  const cores = (amount: number) => decimal(amount, language, 2);
  const size = (amount: number) => bytes(amount, language);
  const columns: { key: Order; title: string; of: (use: PersonUse) => string }[] = [
    { key: 'running', title: t('system.running'), of: ({ running }) => decimal(running, language, 0) },
    { key: 'cpu', title: t('system.cpu'), of: ({ reserved }) => cores(reserved.cpu) },
    { key: 'usedCpu', title: t('system.usedCpu'), of: ({ usedCpu }) => cores(usedCpu) },
    { key: 'memory', title: t('system.memory'), of: ({ reserved }) => size(reserved.memory) },
    { key: 'usedMemory', title: t('system.used'), of: ({ usedMemory }) => size(usedMemory) },
    ...(gpus ? [{ key: 'gpu' as const, title: t('quota.gpu'), of: ({ reserved }: PersonUse) => decimal(reserved.gpu, language, 0) }] : []),
  ];
  const name = ({ user }: PersonUse) => (
    <>
      {user?.username ?? '–'}
      {user?.nickname && <div className="soft">{user.nickname}</div>}
    </>
  );
  const keyOf = ({ user }: PersonUse) => user?.id ?? '';
  if (people.length === 0) return <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('system.nobody')} />;
  if (!wide)
    return (
      <>
        <Select<Order>
          aria-label={t('system.sortBy')}
          value={order}
          options={[{ value: 'name', label: t('system.person') }, ...columns.map(({ key, title }) => ({ value: key, label: title }))]}
          onChange={setOrder}
          style={{ width: '100%', marginBottom: 12 }}
        />
        <div className="cards">
          {[...people]
            .sort((a, b) => (order === 'name' ? compare(order, a, b) : compare(order, b, a)))
            .map((use) => (
              <Card key={keyOf(use)} size="small" title={name(use)}>
                <Descriptions
                  size="small"
                  column={1}
                  items={columns.map(({ key, title, of }) => ({ key, label: title, children: <span className="number">{of(use)}</span> }))}
                />
              </Card>
            ))}
        </div>
      </>
    );
  return (
    <Table<PersonUse>
      className="wide"
      rowKey={keyOf}
      dataSource={people}
      size="small"
      pagination={people.length > 20 ? { pageSize: 20, showSizeChanger: false } : false}
      columns={[
        { key: 'name', title: t('system.person'), render: (_, use) => name(use), sorter: (a, b) => compare('name', a, b) },
        ...columns.map(({ key, title, of }) => ({
          key,
          title,
          render: (_: unknown, use: PersonUse) => <span className="number">{of(use)}</span>,
          sorter: (a: PersonUse, b: PersonUse) => compare(key, a, b),
          ...(key === 'memory' && { defaultSortOrder: 'descend' as const }),
        })),
      ]}
    />
  );
}
