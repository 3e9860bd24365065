import { Button, Card, Tag, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useQuery } from 'urql';
import { bytes } from '@/lib/format';
import { catalogueDocument, type Entry, type Row } from './documents';
import { entryIn } from './known';
import { underWay } from './states';

type Props = {
  /** What the person sees already. */
  rows: readonly Row[];
  onPull: (entry: Entry) => Promise<void>;
  onUse: (id: string) => void;
};

/** Whether an image is the one of a catalogue's reference: as it was asked for, or as it came. */
const isOf = (row: Row, reference: string) =>
  row.source === 'PULL' && (row.requestedReference === reference || row.reference === reference);

/** Well-known images, each pulled with one click. */
export function Catalogue({ rows, onPull, onUse }: Props) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const [{ data }] = useQuery({ query: catalogueDocument });
  const [asked, setAsked] = useState<ReadonlySet<string>>(new Set());
  const pull = async (entry: Entry) => {
    setAsked((before) => new Set(before).add(entry.reference));
    await onPull(entry);
    setAsked((before) => new Set([...before].filter((other) => other !== entry.reference)));
  };
  return (
    <section id="catalogue" aria-labelledby="catalogue-title">
      <Typography.Title level={2} id="catalogue-title" style={{ fontSize: 18 }}>
        {t('image.catalogue')}
      </Typography.Title>
      <div className="cards">
        {data?.imageCatalogue.map((entry) => {
          const { name, description } = entryIn(entry, language);
          const mine = rows.filter((row) => isOf(row, entry.reference));
          const ready = mine.find(({ status }) => status === 'READY');
          const coming = mine.some(({ status }) => underWay(status));
          return (
            <Card key={entry.reference} size="small" className="entry">
              <h3>
                {name} {ready && <Tag color="success">{t('image.have')}</Tag>}
                {!ready && coming && <Tag color="processing">{t('image.comes')}</Tag>}
              </h3>
              <p>{description}</p>
              <p className="soft">
                <code>{entry.reference}</code>
                <br />
                {t('image.needs', { amount: bytes(entry.minMemory, language) })}
                {entry.port !== null && ` · ${t('image.port', { port: entry.port })}`}
              </p>
              {ready ? (
                <Button
                  aria-label={`${t('image.use')}: ${name}`}
                  onClick={() => {
                    onUse(ready.id);
                  }}
                >
                  {t('image.use')}
                </Button>
              ) : (
                <Button
                  aria-label={`${t('image.pull')}: ${name}`}
                  loading={asked.has(entry.reference)}
                  disabled={coming}
                  onClick={() => void pull(entry)}
                >
                  {t('image.pull')}
                </Button>
              )}
            </Card>
          );
        })}
      </div>
    </section>
  );
}
