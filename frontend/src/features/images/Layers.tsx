import { Table } from 'antd';
import { useTranslation } from 'react-i18next';
import { Ago } from '@/components/Ago';
import { bytes } from '@/lib/format';
import type { Detail } from './documents';

type Layer = Detail['layers'][number];

/** A command longer than this is folded. */
const long = 120;

/** The command of a layer without what the engine puts before each. */
const told = (command: string) => command.replace(/^\/bin\/sh -c (#\(nop\)\s*)?/, '').trim();

function Command({ text }: { text: string }) {
  const command = told(text);
  if (command === '') return '–';
  if (command.length <= long && !command.includes('\n')) return <code className="long">{command}</code>;
  return (
    <details>
      <summary>
        <code className="long">{command.slice(0, long).replace(/\s+/g, ' ')}…</code>
      </summary>
      <pre className="plain">{command}</pre>
    </details>
  );
}

/** What an image is made of, newest first. */
export function Layers({ layers }: { layers: readonly Layer[] }) {
  const { t, i18n } = useTranslation();
  const rows = layers.map((layer, at) => ({ ...layer, key: layers.length - at }));
  return (
    <Table<Layer & { key: number }>
      size="small"
      pagination={false}
      className="wide"
      dataSource={rows}
      columns={[
        { title: '#', render: (_, { key }) => key, width: 48 },
        { title: t('image.command'), render: (_, { command }) => <Command text={command} /> },
        { title: t('image.size'), width: 110, render: (_, { size }) => <span className="number">{bytes(size, i18n.language)}</span> },
        { title: t('container.created'), width: 130, render: (_, { createdAt }) => <Ago time={createdAt} /> },
      ]}
    />
  );
}
