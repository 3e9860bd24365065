import { Card, Checkbox, Descriptions, Flex, Grid, Table } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

export type Column<T> = { key: string; title: string; of: (row: T) => ReactNode; width?: number };
type Props<T> = {
  rows: readonly T[];
  /** What a row is called: the first column, and the title of its card. */
  name: { title: string; of: (row: T) => ReactNode };
  columns: Column<T>[];
  actions?: (row: T) => ReactNode;
  select?: { chosen: string[]; onChoose: (ids: string[]) => void; label: (row: T) => string };
};

/** Rows as a table, and as cards where there is no room for one. */
export function Rows<T extends { id: string }>({ rows, name, columns, actions, select }: Props<T>) {
  const { t } = useTranslation();
  const wide = Grid.useBreakpoint().md !== false;
  if (!wide)
    return (
      <div className="cards">
        {rows.map((row) => (
          <Card
            key={row.id}
            size="small"
            title={name.of(row)}
            extra={
              select && (
                <Checkbox
                  aria-label={select.label(row)}
                  checked={select.chosen.includes(row.id)}
                  onChange={({ target }) => {
                    select.onChoose(target.checked ? [...select.chosen, row.id] : select.chosen.filter((id) => id !== row.id));
                  }}
                />
              )
            }
          >
            <Flex vertical gap="small">
              <Descriptions
                size="small"
                column={1}
                items={columns.map(({ key, title, of }) => ({ key, label: title, children: <div>{of(row)}</div> }))}
              />
              {actions?.(row)}
            </Flex>
          </Card>
        ))}
      </div>
    );
  return (
    <Table<T>
      rowKey="id"
      dataSource={rows}
      pagination={false}
      className="wide"
      {...(select && {
        rowSelection: {
          selectedRowKeys: select.chosen,
          preserveSelectedRowKeys: true,
          onChange: (keys: React.Key[]) => {
            select.onChoose(keys as string[]);
          },
          getCheckboxProps: (row: T) => ({ 'aria-label': select.label(row) }),
          getTitleCheckboxProps: () => ({ 'aria-label': t('container.selectAll') }),
        },
      })}
      columns={[
        { key: 'name', title: name.title, render: (_: unknown, row: T) => name.of(row) },
        ...columns.map(({ key, title, of, width }) => ({
          key,
          title,
          ...(width && { width }),
          render: (_: unknown, row: T) => of(row),
        })),
        ...(actions ? [{ key: 'actions', title: t('container.actions'), render: (_: unknown, row: T) => actions(row) }] : []),
      ]}
    />
  );
}
