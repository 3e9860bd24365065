import { Alert, Button, Checkbox, Flex } from 'antd';
import { memo, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { save } from '@/lib/browser';
import { plain } from '@/lib/format';
import { type Line, linesOf } from './log';
import { useLog } from './useLog';

/** Some lines; those of a full chunk are drawn once. */
const Lines = memo(function Lines({ lines }: { lines: readonly Line[] }) {
  return lines.map(({ number, text }) => (
    <div key={number} className="numbered" data-number={number}>
      {plain(text)}
    </div>
  ));
});

/** The log of a pull or build with its numbers. Give it a new key when it begins anew. */
export function LogView({ id, name }: { id: string; name: string }) {
  const { t } = useTranslation();
  const { log, problem, ended } = useLog(id);
  const [follow, setFollow] = useState(true);
  const [wrap, setWrap] = useState(true);
  const end = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (follow && end.current) end.current.scrollTop = end.current.scrollHeight;
  }, [follow, log]);
  return (
    <>
      <Flex gap="small" wrap align="center" style={{ marginBottom: 8 }}>
        <Checkbox
          checked={follow}
          onChange={({ target }) => {
            setFollow(target.checked);
          }}
        >
          {t('logs.follow')}
        </Checkbox>
        <Checkbox
          checked={wrap}
          onChange={({ target }) => {
            setWrap(target.checked);
          }}
        >
          {t('logs.wrap')}
        </Checkbox>
        <Button
          size="small"
          disabled={log.last === 0}
          onClick={() => {
            save(`${name}.log`, 'text/plain', ...linesOf(log).map(({ at, text }) => `${at} ${plain(text)}\n`));
          }}
        >
          {t('logs.download')}
        </Button>
      </Flex>
      {problem && <Alert type="error" title={problem} role="alert" />}
      <pre ref={end} className={wrap ? 'log wrap short' : 'log short'} tabIndex={0} role="region" aria-label={t('logs.of', { name })}>
        {log.last === 0 && (ended ? t('image.noLog') : t('image.logWaits'))}
        {log.chunks.map((lines) => (
          <Lines key={lines[0]?.number} lines={lines} />
        ))}
      </pre>
    </>
  );
}
