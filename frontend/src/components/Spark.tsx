type Props = { values: readonly number[]; /** What is drawn at the top. */ top: number; label: string };

const [width, height] = [120, 28];
/** How many values fill it. */
const full = 60;

/** The last minute as a line, without axes. */
export function Spark({ values, top, label }: Props) {
  const points = values
    .slice(-full)
    .map((value, i, all) => {
      const x = width - ((all.length - 1 - i) * width) / (full - 1);
      const y = height - 1 - (Math.min(value, top) / (top || 1)) * (height - 2);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
  return (
    <svg className="spark" role="img" aria-label={label} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none">
      <polyline points={points} />
    </svg>
  );
}
