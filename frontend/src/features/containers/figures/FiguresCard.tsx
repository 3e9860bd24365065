import { Card, Radio, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Problems } from '@/components/Problems';
import { bytes, decimal } from '@/lib/format';
import type { Detail } from '../documents';
import Chart, { type Curve } from './Chart';
import './figures.css';
import { type Columns, newest, ranges } from './series';
import { useFigures } from './useFigures';

type Props = { container: Pick<Detail, 'id' | 'name' | 'cpuLimit' | 'memoryLimit' | 'status'> };
type Picture = { key: string; title: string; curves: Curve[]; say: (value: number) => string; top: number; binary: boolean };

/** The least that an axis of rates goes up to, in bytes a second: what is nearly nothing looks like it. */
const leastRate = 1024;
/** So many of the newest rows are in the table. */
const rows = 60;

/** What a container uses and has used: curves, and the same in words and in a table. */
export default function FiguresCard({ container: { id, cpuLimit, memoryLimit } }: Props) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const [range, setRange] = useState(ranges[0]);
  const chosen = range ?? ranges[0];
  return chosen ? (
    <Card
      title={<h2 className="part">{t('figures.title')}</h2>}
      extra={
        <Radio.Group
          aria-label={t('figures.range')}
          optionType="button"
          size="small"
          value={chosen.name}
          options={ranges.map(({ name }) => ({ value: name, label: t(`figures.ranges.${name}`) }))}
          onChange={({ target }) => {
            setRange(ranges.find(({ name }) => name === target.value));
          }}
        />
      }
    >
      <Pictures key={chosen.name} id={id} range={chosen} cpuLimit={cpuLimit} memoryLimit={memoryLimit} language={language} />
    </Card>
  ) : null;
}

function Pictures({
  id,
  range,
  cpuLimit,
  memoryLimit,
  language,
}: {
  id: string;
  range: (typeof ranges)[number];
  cpuLimit: number;
  memoryLimit: number;
  language: string;
}) {
  const { t } = useTranslation();
  const { columns: c, error } = useFigures(id, range);
  if (!c) return error ? <Problems error={error} /> : <Skeleton active />;
  if (c.at.length === 0) return <p className="hint">{t('figures.none')}</p>;
  const level = (value: number) => c.at.map(() => value);
  const percent = (value: number) => `${decimal(value, language)} %`;
  const size = (value: number) => bytes(Math.max(0, value), language);
  const rate = (value: number) => t('figures.perSecond', { amount: size(value) });
  // One sample has no most.
  const band = (values: (number | null)[]): Curve[] => (range.step > 1 ? [{ name: t('figures.most'), values, kind: 'band' }] : []);
  const pictures: Picture[] = [
    {
      key: 'cpu',
      title: t('quota.cpu'),
      say: percent,
      top: cpuLimit * 100,
      binary: false,
      curves: [
        ...band(c.cpuMax),
        { name: t('quota.cpu'), values: c.cpu },
        { name: t('figures.limit'), values: level(cpuLimit * 100), kind: 'limit' },
      ],
    },
    {
      key: 'memory',
      title: t('quota.memory'),
      say: size,
      top: memoryLimit,
      binary: true,
      curves: [
        ...band(c.memoryMax),
        { name: t('quota.memory'), values: c.memory },
        { name: t('figures.limit'), values: level(memoryLimit), kind: 'limit' },
      ],
    },
    {
      key: 'network',
      title: t('figures.network'),
      say: rate,
      top: leastRate,
      binary: true,
      curves: [
        { name: t('figures.received'), values: c.received },
        { name: t('figures.sent'), values: c.sent },
      ],
    },
    {
      key: 'disk',
      title: t('figures.disk'),
      say: rate,
      top: leastRate,
      binary: true,
      curves: [
        { name: t('figures.read'), values: c.read },
        { name: t('figures.written'), values: c.written },
      ],
    },
    ...(c.gpu.some((value) => value !== null)
      ? [{ key: 'gpu', title: t('quota.gpu'), say: percent, top: 100, binary: false, curves: [{ name: t('quota.gpu'), values: c.gpu }] }]
      : []),
  ];
  const words = ({ title, curves, say }: Picture) =>
    `${title}: ${curves
      .map(({ name, values }) => {
        const value = newest(values);
        return `${name} ${value === null ? '–' : say(value)}`;
      })
      .join(', ')}`;
  return (
    <>
      <div className="charts">
        {pictures.map((picture) => (
          <figure key={picture.key} data-testid={`chart-${picture.key}`}>
            <figcaption>{picture.title}</figcaption>
            <Chart
              at={c.at}
              curves={picture.curves}
              say={picture.say}
              summary={words(picture)}
              top={picture.top}
              span={range.span}
              binary={picture.binary}
            />
          </figure>
        ))}
      </div>
      <details>
        <summary>{t('figures.table')}</summary>
        <Numbers columns={c} pictures={pictures} language={language} long={range.span > 86_000} />
      </details>
    </>
  );
}

/** The newest points as a table: what a chart cannot say to everybody. */
function Numbers({ columns, pictures, language, long }: { columns: Columns; pictures: Picture[]; language: string; long: boolean }) {
  const { t } = useTranslation();
  const time = new Intl.DateTimeFormat(language, { ...(long && { dateStyle: 'short' as const }), timeStyle: 'medium' });
  const curves = pictures.flatMap(({ title, curves: all, say }) =>
    all
      .filter(({ kind }) => kind !== 'limit')
      .map((curve) => ({ ...curve, say, name: curve.name === title ? title : `${title}: ${curve.name}` })),
  );
  const places = columns.at
    .map((_, i) => i)
    .slice(-rows)
    .reverse();
  return (
    <div className="numbers" tabIndex={0} role="region" aria-label={t('figures.table')}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('figures.time')}</th>
            {curves.map(({ name }) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {places.map((i) => (
            <tr key={columns.at[i]}>
              <th scope="row">{time.format((columns.at[i] ?? 0) * 1000)}</th>
              {curves.map(({ name, values, say }) => {
                const value = values[i] ?? null;
                return <td key={name}>{value === null ? '–' : say(value)}</td>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
