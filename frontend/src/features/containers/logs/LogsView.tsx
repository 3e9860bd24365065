import { DownOutlined, UpOutlined } from '@ant-design/icons';
import { Alert, Button, Checkbox, Flex, Input, Space } from 'antd';
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { CopyButton } from '@/components/CopyButton';
import { usePause } from '@/components/usePause';
import { theme } from '@/lib/theme';
import { bare, type Piece, pieces } from './ansi';
import { type Chunk, found, type Kept } from './buffer';
import './logs.css';
import { useLogs, usePreference } from './useLogs';

/** The ground that colours are made to read on: --log-ground in logs.css. */
const grounds = { light: '#ffffff', dark: '#141414' };
/** A match: which line, and where in it. */
type Match = { number: number; start: number };
/** So near to the end counts as being there, in pixels. */
const near = 24;

type Look = { ground: string; times: boolean; sought: string; filter: boolean };

/** A container's output: followed, searched, copied and downloaded. */
export default function LogsView({ id, name }: { id: string; name: string }) {
  const { t } = useTranslation();
  const ground = grounds[useSyncExternalStore(theme.subscribe, theme.get)];
  const { chunks, total, problem } = useLogs(id);
  const [wrap, setWrap] = usePreference('wrap', true);
  const [times, setTimes] = usePreference('times', false);
  const [typed, setTyped] = useState('');
  const [filter, setFilter] = useState(false);
  const [current, setCurrent] = useState(0);
  /** undefined: following; otherwise how many lines there were when it was left. */
  const [leftAt, setLeftAt] = useState<number>();
  const box = useRef<HTMLDivElement>(null);
  const sought = usePause(typed);
  const matches = useMemo(() => matchesIn(chunks, sought), [chunks, sought]);
  const place = matches.length === 0 ? undefined : matches[Math.min(current, matches.length - 1)];
  const follows = leftAt === undefined;

  useLayoutEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follows, chunks, wrap, times, filter]);
  const number = place?.number;
  const start = place?.start;
  useEffect(() => {
    if (number !== undefined && sought !== '') box.current?.querySelector('mark.current')?.scrollIntoView({ block: 'center' });
  }, [number, start, sought]);

  const scrolled = () => {
    const element = box.current;
    if (!element) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < near;
    if (atEnd && !follows) setLeftAt(undefined);
    if (!atEnd && follows) setLeftAt(total);
  };
  const follow = (on: boolean) => {
    setLeftAt(on ? undefined : total);
  };
  const step = (by: number) => {
    if (matches.length === 0) return;
    // To look at a match is to leave the end.
    if (follows) setLeftAt(total);
    setCurrent((Math.min(current, matches.length - 1) + by + matches.length) % matches.length);
  };
  const fresh = leftAt === undefined ? 0 : total - leftAt;
  const text = () =>
    chunks
      .flatMap(({ lines }) => lines)
      .filter((line) => !filter || sought === '' || found(bare(line.text), sought).length > 0)
      .map((line) => (times ? `${line.at} ${bare(line.text)}` : bare(line.text)))
      .join('\n');
  const look: Look = { ground, times, sought, filter: filter && sought !== '' };
  return (
    <>
      <Flex gap="small" wrap align="center" style={{ marginBottom: 12 }}>
        <Space.Compact>
          <Input
            type="search"
            aria-label={t('logs.search')}
            placeholder={t('logs.search')}
            allowClear
            value={typed}
            onChange={({ target }) => {
              setTyped(target.value);
              setCurrent(0);
            }}
            onKeyDown={({ key, shiftKey }) => {
              if (key === 'Enter') step(shiftKey ? -1 : 1);
            }}
            style={{ width: 200 }}
          />
          <Button
            icon={<UpOutlined aria-hidden />}
            aria-label={t('logs.previous')}
            disabled={matches.length === 0}
            onClick={() => {
              step(-1);
            }}
          />
          <Button
            icon={<DownOutlined aria-hidden />}
            aria-label={t('logs.next')}
            disabled={matches.length === 0}
            onClick={() => {
              step(1);
            }}
          />
        </Space.Compact>
        {sought !== '' && (
          <span role="status" className="number">
            {place ? t('logs.match', { place: matches.indexOf(place) + 1, count: matches.length }) : t('logs.noMatch')}
          </span>
        )}
        <Toggle label={t('logs.filter')} on={filter} onChange={setFilter} />
        <Toggle label={t('logs.follow')} on={follows} onChange={follow} />
        <Toggle label={t('logs.wrap')} on={wrap} onChange={setWrap} />
        <Toggle label={t('logs.times')} on={times} onChange={setTimes} />
        <CopyButton text={text} label={t('logs.copy')} />
        <Button href={`/logs/${id}${times ? '?timestamps=1' : ''}`} download={`${name}.log`}>
          {t('logs.download')}
        </Button>
      </Flex>
      {problem && <Alert type="error" role="alert" showIcon title={problem.message} style={{ marginBottom: 12 }} />}
      <div className="output">
        <div
          ref={box}
          className={wrap ? 'lines wrap' : 'lines'}
          role="log"
          aria-live="off"
          aria-label={t('logs.of', { name })}
          tabIndex={0}
          onScroll={scrolled}
        >
          {chunks.length === 0 && t('logs.none')}
          {chunks.map((chunk) => {
            const first = chunk.lines[0]?.number ?? 0;
            const here = place && place.number >= first && place.number < first + chunk.lines.length;
            return <Lines key={chunk.key} chunk={chunk} {...look} at={here ? `${place.number}:${place.start}` : ''} />;
          })}
        </div>
        {fresh > 0 && (
          <Button
            className="fresh"
            type="primary"
            onClick={() => {
              follow(true);
            }}
          >
            {t('logs.fresh', { count: fresh })}
          </Button>
        )}
      </div>
    </>
  );
}

function Toggle({ label, on, onChange }: { label: string; on: boolean; onChange: (on: boolean) => void }) {
  return (
    <Checkbox
      checked={on}
      onChange={({ target }) => {
        onChange(target.checked);
      }}
    >
      {label}
    </Checkbox>
  );
}

function matchesIn(chunks: readonly Chunk[], sought: string): Match[] {
  if (sought === '') return [];
  return chunks.flatMap(({ lines }) => lines.flatMap(({ number, text }) => found(bare(text), sought).map((start) => ({ number, start }))));
}

/** Lines that are drawn together, and again only when something about them changes. `at`: which match is looked at. */
const Lines = memo(function Lines({ chunk, at, ground, times, sought, filter }: { chunk: Chunk; at: string } & Look) {
  return (
    <div className="chunk">
      {chunk.lines.map((line) => (
        <Line key={line.number} line={line} at={at} ground={ground} times={times} sought={sought} filter={filter} />
      ))}
    </div>
  );
});

const two = (value: number, digits = 2) => String(value).padStart(digits, '0');
const clock = (at: string) => {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
};

function Line({ line, at, ground, times, sought, filter }: { line: Kept; at: string } & Look) {
  const { t } = useTranslation();
  const starts = found(bare(line.text), sought);
  const { dropped } = line;
  return (
    <>
      {dropped !== null && dropped !== 0 && (
        <div className="missing">{dropped > 0 ? t('logs.missing', { count: dropped }) : t('logs.someMissing')}</div>
      )}
      {(!filter || starts.length > 0) && (
        <div className={line.stream === 'STDERR' ? 'line stderr' : 'line'}>
          {times && (
            <time dateTime={line.at} title={line.at}>
              {clock(line.at)}{' '}
            </time>
          )}
          {line.stream === 'STDERR' && (
            <span className="stream" title="stderr">
              err{' '}
            </span>
          )}
          <Text all={pieces(line.text, ground)} starts={starts} length={sought.length} at={at.startsWith(`${line.number}:`) ? at : ''} />
        </div>
      )}
    </>
  );
}

const styleOf = ({ colour, ground, bold, italic, underlined }: Piece) => ({
  ...(colour && { color: colour }),
  ...(ground && { background: ground }),
  ...(bold && { fontWeight: 700 }),
  ...(italic && { fontStyle: 'italic' }),
  ...(underlined && { textDecoration: 'underline' }),
});

/** A line with its colours, and with what was found in it marked. */
function Text({ all, starts, length, at }: { all: Piece[]; starts: number[]; length: number; at: string }) {
  const now = at === '' ? -1 : Number(at.slice(at.indexOf(':') + 1));
  let offset = 0;
  return all.map((piece, i) => {
    const begin = offset;
    offset += piece.text.length;
    const inside = starts.filter((start) => start < offset && start + length > begin);
    const style = styleOf(piece);
    if (inside.length === 0)
      return (
        <span key={i} style={style}>
          {piece.text}
        </span>
      );
    const parts = [];
    let done = begin;
    for (const start of inside) {
      const [from, to] = [Math.max(start, begin), Math.min(start + length, offset)];
      parts.push(piece.text.slice(done - begin, from - begin));
      parts.push(
        <mark key={start} className={start === now ? 'current' : undefined}>
          {piece.text.slice(from - begin, to - begin)}
        </mark>,
      );
      done = to;
    }
    parts.push(piece.text.slice(done - begin));
    return (
      <span key={i} style={style}>
        {parts}
      </span>
    );
  });
}
