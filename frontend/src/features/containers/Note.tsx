import { Alert, App, Button, Flex } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { useNow } from '@/components/useNow';
import { problemIn } from '@/lib/errors';
import { countdown, lasting } from '@/lib/format';
import { keepDocument, type Row, stopDocument, unpauseDocument } from './documents';
import { soonFrozen } from './idle';

type Noted = Pick<Row, 'id' | 'name' | 'status' | 'statusMessage' | 'queuePosition' | 'frozen' | 'cullAt' | 'idleTimeout'>;
type Verb = (of: { id: string }) => Promise<{ error?: Parameters<typeof problemIn>[0] | undefined }>;
type Told = { type: 'info' | 'warning' | 'error'; title: ReactNode; more?: ReactNode; button?: ReactNode };

function Countdown({ at }: { at: string }) {
  const now = useNow(1_000);
  return <span className="number">{countdown(at, now)}</span>;
}

/** Why a container is as it is and what can be done about it: in a box, or in small print where there is little room. */
export function Note({ container, boxed = false }: { container: Noted; boxed?: boolean }) {
  const { t, i18n } = useTranslation();
  const { message } = App.useApp();
  const now = useNow(5_000);
  const [{ fetching: stopping }, stop] = useMutation(stopDocument);
  const [{ fetching: waking }, unpause] = useMutation(unpauseDocument);
  const [{ fetching: keeping }, keep] = useMutation(keepDocument);
  const { id, name, status, statusMessage, queuePosition, frozen, cullAt } = container;
  const act = async (verb: Verb) => {
    const { error } = await verb({ id });
    if (error) void message.error(problemIn(error).message, 6);
  };
  const button = (label: string, busy: boolean, verb: Verb) => (
    <Button size="small" loading={busy} aria-label={`${label}: ${name}`} onClick={() => void act(verb)}>
      {label}
    </Button>
  );
  const tell = (): Told | undefined => {
    if (status === 'QUEUED')
      return {
        type: 'info',
        title: queuePosition === null ? t('container.waiting') : t('container.waitingAt', { place: queuePosition }),
        more: t('create.waitHint'),
        button: button(t('container.leave'), stopping, stop),
      };
    if (status === 'PAUSED' && frozen === 'IDLE')
      return {
        type: 'info',
        title: t('container.frozenIdle'),
        more: cullAt
          ? t('container.stopsIn', { time: lasting(Math.max(60, (Date.parse(cullAt) - now) / 1000), i18n.language) })
          : t('container.frozenIdleHint'),
        button: button(t('container.wake'), waking, unpause),
      };
    if (status === 'PAUSED' && frozen === 'DISK')
      return {
        type: 'warning',
        title: t('container.frozenDisk'),
        more: t('container.frozenDiskHint'),
        button: button(t('container.wake'), waking, unpause),
      };
    if (cullAt && soonFrozen(container, now))
      return {
        type: 'warning',
        title: (
          <>
            {t('container.freezesIn')} <Countdown at={cullAt} />
          </>
        ),
        more: t('container.freezesHint'),
        button: button(t('container.keep'), keeping, keep),
      };
    if (statusMessage) return { type: status === 'FAILED' || status === 'LOST' ? 'error' : 'info', title: statusMessage };
    return undefined;
  };
  const told = tell();
  if (!told) return null;
  if (boxed) return <Alert type={told.type} showIcon title={told.title} description={told.more} action={told.button} />;
  return (
    <Flex vertical gap={4} align="start" style={{ marginTop: 4, maxWidth: 280 }}>
      <span className="soft">{told.title}</span>
      {told.button}
    </Flex>
  );
}
