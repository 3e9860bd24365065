import { Alert, Button, Flex } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { problemIn } from '@/lib/errors';
import { bytes, decimal } from '@/lib/format';
import { type Admission, stopDocument } from './documents';

type Props = {
  rest: readonly string[];
  wouldQueue: boolean;
  freeing: Admission['freeing'];
  /** Something was stopped: there may be room now. */
  onFreed: () => void;
};

/** What would become of a new container if it were asked for now, where it would not simply start. */
export function Foreseen({ rest, wouldQueue, freeing, onFreed }: Props) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const [, stop] = useMutation(stopDocument);
  const [stopped, setStopped] = useState<ReadonlySet<string>>(new Set());
  const [wrong, setWrong] = useState<string>();
  const free = async (id: string) => {
    setStopped((before) => new Set(before).add(id));
    const { error } = await stop({ id });
    setWrong(error && problemIn(error).message);
    if (error) setStopped((before) => new Set([...before].filter((other) => other !== id)));
    else onFreed();
  };
  if (rest.length === 0 && !wouldQueue && freeing.length === 0) return null;
  return (
    <Flex vertical gap="small">
      {wouldQueue && <Alert type="info" showIcon title={t('create.full')} description={[...rest, t('create.waitHint')].join(' ')} />}
      {!wouldQueue && rest.length > 0 && <Alert type="warning" showIcon title={t('create.wouldNot')} description={rest.join(' ')} />}
      {freeing.length > 0 && (
        <Alert
          type="info"
          showIcon
          title={t('create.freeing')}
          description={
            <ul className="plain">
              {freeing.map(({ id, name, cpuLimit, memoryLimit, gpuLimit }) => (
                <li key={id}>
                  <span>
                    {name}
                    <span className="soft">
                      {' '}
                      {[
                        t('container.cores', { count: cpuLimit, amount: decimal(cpuLimit, language, 2) }),
                        bytes(memoryLimit, language),
                        ...(gpuLimit > 0 ? [t('container.gpus', { count: gpuLimit })] : []),
                      ].join(' · ')}
                    </span>
                  </span>
                  <Button
                    size="small"
                    loading={stopped.has(id)}
                    aria-label={`${t('container.stop')}: ${name}`}
                    onClick={() => void free(id)}
                  >
                    {t('container.stop')}
                  </Button>
                </li>
              ))}
            </ul>
          }
        />
      )}
      {wrong && <Alert role="alert" type="error" showIcon title={wrong} />}
    </Flex>
  );
}
