import { useEffect, useRef, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { theme } from '@/lib/theme';

type Line = readonly (number | null)[];
export type Curve = { name: string; values: Line; kind?: 'band' | 'limit' };
type Props = {
  /** Seconds since 1970. */
  at: number[];
  curves: Curve[];
  /** How a value is written at the axis and in the legend. */
  say: (value: number) => string;
  /** What the chart shows now, in words. */
  summary: string;
  /** The top of the axis where all is less. */
  top: number;
  /** How many seconds are seen. */
  span: number;
  /** Whether the values are bytes: then the axis counts in powers of two. */
  binary: boolean;
};

// Told apart by dashes too, and 3:1 against the card in each theme.
const colours = {
  light: { curves: ['#0958d9', '#ad4e00'], band: 'rgba(9, 88, 217, 0.18)', limit: '#cf1322', axis: '#595959', grid: '#e3e3e3' },
  dark: { curves: ['#69b1ff', '#ffc53d'], band: 'rgba(105, 177, 255, 0.22)', limit: '#ff7875', axis: '#a6a6a6', grid: '#303030' },
};
const height = 190;
const powers = Array.from({ length: 50 }, (_, i) => 2 ** i);

/** While nobody points at a moment, the legend says the newest. */
function showNewest(plot: uPlot) {
  const length = plot.data[0].length;
  if ((plot.cursor.left ?? -1) < 0 && length > 0) plot.setLegend({ idx: length - 1 });
}

/** Curves over time. The words beside it say the same to who does not see it. */
export default function Chart({ at, curves, say, summary, top, span, binary }: Props) {
  const { t, i18n } = useTranslation();
  const chosen = useSyncExternalStore(theme.subscribe, theme.get);
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const told = useRef(say);
  const newest = useRef<uPlot.AlignedData>([[]]);
  useEffect(() => {
    told.current = say;
    newest.current = [at, ...curves.map(({ values }) => values)] as uPlot.AlignedData;
    const drawn = plot.current;
    if (!drawn) return;
    drawn.setData(newest.current);
    showNewest(drawn);
  });
  const shape = JSON.stringify(curves.map(({ name, kind }) => ({ name, kind })));
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const palette = colours[chosen];
    const axis = { stroke: palette.axis, grid: { stroke: palette.grid, width: 1 }, ticks: { stroke: palette.grid, width: 1 } };
    const shapes = JSON.parse(shape) as { name: string; kind?: Curve['kind'] }[];
    let plain = 0;
    const series = shapes.map(({ name, kind }): uPlot.Series => {
      const value = (_: uPlot, v: number | null) => (v === null ? '–' : told.current(v));
      if (kind === 'limit') return { label: name, value, stroke: palette.limit, dash: [6, 4], width: 1, points: { show: false } };
      if (kind === 'band') return { label: name, value, stroke: palette.band, width: 1, points: { show: false } };
      const i = plain++;
      return { label: name, value, stroke: palette.curves[i] ?? palette.axis, width: 1.5, ...(i > 0 && { dash: [3, 3] }), spanGaps: false };
    });
    const time = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(i18n.language, { hourCycle: 'h23', ...options });
    const [days, hours, seconds, full] = [
      time({ month: 'numeric', day: 'numeric' }),
      time({ hour: '2-digit', minute: '2-digit' }),
      time({ hour: '2-digit', minute: '2-digit', second: '2-digit' }),
      time({ month: 'numeric', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' }),
    ];
    const drawn = new uPlot(
      {
        width: Math.max(element.clientWidth, 100),
        height,
        cursor: { sync: { key: 'figures' }, drag: { x: false, y: false } },
        legend: { live: true },
        // The most over each step stands before its mean.
        bands: shapes.flatMap(({ kind }, i) =>
          kind === 'band' ? [{ series: [i + 1, i + 2] as [number, number], fill: palette.band }] : [],
        ),
        scales: {
          x: { time: true, range: (_, __, max) => [max - span, max] },
          y: { range: (_, min, max) => [Math.min(0, min || 0), Math.max(max || 0, top) * 1.05] },
        },
        series: [{ label: t('figures.time'), value: (_, v: number | null) => (v === null ? '–' : full.format(v * 1000)) }, ...series],
        axes: [
          {
            ...axis,
            values: (_, splits, __, ___, increment) => {
              const format = increment >= 86_400 ? days : increment >= 60 ? hours : seconds;
              return splits.map((s) => format.format(s * 1000));
            },
            space: 70,
          },
          { ...axis, size: 76, ...(binary && { incrs: powers }), values: (_, splits) => splits.map((value) => told.current(value)) },
        ],
      },
      newest.current,
      element,
    );
    plot.current = drawn;
    showNewest(drawn);
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) drawn.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
      plot.current = undefined;
    };
  }, [shape, chosen, i18n.language, top, span, binary, t]);
  return <div ref={host} className="chart" role="img" aria-label={summary} />;
}
