import { Checkbox, Flex, Input, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import type { ListVariables } from './documents';
import { sources, type Status, statuses, visibilities } from './states';

export type Sought = {
  text: string;
  status: Status[];
  source?: (typeof sources)[number] | undefined;
  visibility?: (typeof visibilities)[number] | undefined;
  shared: boolean;
  order: (typeof orders)[number];
};

const orders = ['newest', 'oldest', 'name', 'largest', 'smallest'] as const;
export const everything: Sought = { text: '', status: [], shared: false, order: 'newest' };

const orderBy: Record<Sought['order'], NonNullable<ListVariables['orderBy']>> = {
  newest: { field: 'CREATED_AT', direction: 'DESC' },
  oldest: { field: 'CREATED_AT', direction: 'ASC' },
  name: { field: 'REFERENCE', direction: 'ASC' },
  largest: { field: 'SIZE', direction: 'DESC' },
  smallest: { field: 'SIZE', direction: 'ASC' },
};

/** What is asked of the server: null where all are wanted. */
export function askedFor({ text, status, source, visibility, shared, order }: Sought): Pick<ListVariables, 'where' | 'orderBy'> {
  const where = {
    ...(text && { referenceContains: text }),
    ...(status.length > 0 && { status }),
    ...(source && { source }),
    ...(visibility && { visibility }),
    ...(shared && { sharedWithMe: true }),
  };
  return { where: Object.keys(where).length > 0 ? where : null, orderBy: orderBy[order] };
}

export function Filters({ sought, onSeek }: { sought: Sought; onSeek: (sought: Sought) => void }) {
  const { t } = useTranslation();
  const set = (changed: Partial<Sought>) => {
    onSeek({ ...sought, ...changed });
  };
  return (
    <Flex gap="small" wrap align="center" style={{ marginBottom: 12 }}>
      <Input
        type="search"
        aria-label={t('image.find')}
        placeholder={t('image.find')}
        allowClear
        value={sought.text}
        onChange={({ target }) => {
          set({ text: target.value });
        }}
        style={{ width: 220 }}
      />
      <Select
        aria-label={t('image.anyState')}
        placeholder={t('image.anyState')}
        mode="multiple"
        allowClear
        value={sought.status}
        onChange={(status: Status[]) => {
          set({ status });
        }}
        options={statuses.map((value) => ({ value, label: t(`status.${value}`) }))}
        style={{ minWidth: 150 }}
      />
      <Select
        aria-label={t('image.anySource')}
        placeholder={t('image.anySource')}
        allowClear
        value={sought.source ?? null}
        onChange={(source: Sought['source']) => {
          set({ source });
        }}
        options={sources.map((value) => ({ value, label: t(`source.${value}`) }))}
        style={{ minWidth: 150 }}
      />
      <Select
        aria-label={t('image.anyVisibility')}
        placeholder={t('image.anyVisibility')}
        allowClear
        value={sought.visibility ?? null}
        onChange={(visibility: Sought['visibility']) => {
          set({ visibility });
        }}
        options={visibilities.map((value) => ({ value, label: t(`visibility.${value}`) }))}
        style={{ minWidth: 150 }}
      />
      <Select
        aria-label={t('image.order')}
        value={sought.order}
        onChange={(order) => {
          set({ order });
        }}
        options={orders.map((value) => ({ value, label: t(`imageOrder.${value}`) }))}
        style={{ minWidth: 150 }}
      />
      <Checkbox
        checked={sought.shared}
        onChange={({ target }) => {
          set({ shared: target.checked });
        }}
      >
        {t('image.sharedWithMe')}
      </Checkbox>
    </Flex>
  );
}
