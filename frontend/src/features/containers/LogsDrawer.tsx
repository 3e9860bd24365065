import { Alert, Button, Checkbox, Drawer, Flex, Input } from 'antd';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useClient } from 'urql';
import { problemIn } from '@/lib/errors';
import { plain } from '@/lib/format';
import { logsDocument } from './documents';

type Line = { at: string; stream: 'STDOUT' | 'STDERR'; text: string; dropped: number | null };

/** A browser holds this many lines; the download of older ones is the program's own matter. */
const kept = 5_000;

/** A container's output, as it comes. */
export function LogsDrawer({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const { t } = useTranslation();
  const [lines, setLines] = useState<Line[]>([]);
  const [problem, setProblem] = useState<string>();
  const [follow, setFollow] = useState(true);
  const [wrap, setWrap] = useState(true);
  const [search, setSearch] = useState('');
  const client = useClient();
  const end = useRef<HTMLPreElement>(null);
  useEffect(() => {
    let fresh: Line[] = [];
    // A program may write thousands of lines a second: they are shown a few times a second.
    const timer = setInterval(() => {
      if (fresh.length === 0) return;
      const added = fresh;
      fresh = [];
      setLines((old) => [...old, ...added].slice(-kept));
    }, 150);
    const subscription = client.subscription(logsDocument, { id, tail: 500 }).subscribe(({ data, error }) => {
      if (data) fresh.push(data.containerLogs);
      if (error) setProblem(problemIn(error).message);
    });
    return () => {
      clearInterval(timer);
      subscription.unsubscribe();
    };
  }, [client, id]);
  useEffect(() => {
    if (follow && end.current) end.current.scrollTop = end.current.scrollHeight;
  }, [follow, lines]);
  const shown = search ? lines.filter((line) => line.text.toLowerCase().includes(search.toLowerCase())) : lines;
  const download = () => {
    const url = URL.createObjectURL(
      new Blob(
        lines.map((line) => `${line.at} ${plain(line.text)}\n`),
        { type: 'text/plain' },
      ),
    );
    const link = document.createElement('a');
    link.href = url;
    link.download = `${name}.log`;
    link.click();
    URL.revokeObjectURL(url);
  };
  const missing = (count: number) => (count < 0 ? t('container.gap') : t('container.dropped', { count }));
  return (
    <Drawer open onClose={onClose} title={t('container.logsOf', { name })} size="large">
      <Flex gap="small" wrap align="center" style={{ marginBottom: 12 }}>
        <Input
          type="search"
          aria-label={t('container.searchLogs')}
          placeholder={t('container.searchLogs')}
          allowClear
          onChange={(event) => {
            setSearch(event.target.value);
          }}
          style={{ width: 200 }}
        />
        <Checkbox
          checked={follow}
          onChange={(event) => {
            setFollow(event.target.checked);
          }}
        >
          {t('container.follow')}
        </Checkbox>
        <Checkbox
          checked={wrap}
          onChange={(event) => {
            setWrap(event.target.checked);
          }}
        >
          {t('container.wrap')}
        </Checkbox>
        <Button onClick={download} disabled={lines.length === 0}>
          {t('container.download')}
        </Button>
      </Flex>
      {problem && <Alert type="error" title={problem} />}
      <pre ref={end} className={wrap ? 'log wrap' : 'log'} tabIndex={0} aria-label={t('container.logsOf', { name })}>
        {lines.length === 0 && t('container.noLogs')}
        {shown.map((line, i) => (
          <div key={i} className={line.stream === 'STDERR' ? 'stderr' : undefined}>
            {line.dropped ? `${missing(line.dropped)}\n` : ''}
            {plain(line.text)}
          </div>
        ))}
      </pre>
    </Drawer>
  );
}
