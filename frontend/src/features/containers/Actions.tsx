import { CaretRightOutlined, DeleteOutlined, FileTextOutlined, PauseOutlined, PoweroffOutlined, ReloadOutlined } from '@ant-design/icons';
import { App, Button, Space, Tooltip } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { AskForMore } from '@/components/AskForMore';
import { SaveImage } from '@/components/SaveImage';
import { problemIn } from '@/lib/errors';
import { pauseDocument, removeDocument, restartDocument, type Row, startDocument, stopDocument, unpauseDocument } from './documents';
import { Losses } from './Losses';
import { useWait } from './useWait';

const startable = ['CREATED', 'EXITED', 'FAILED', 'LOST', 'STOPPING'];
const stoppable = ['PENDING', 'STARTING', 'RUNNING', 'PAUSED'];
const savable = ['RUNNING', 'PAUSED', 'EXITED'];

/** What can be done with a container in its state. */
export function Actions({
  container,
  onLogs,
  onRemoved,
}: {
  container: Pick<Row, 'id' | 'name' | 'status'>;
  onLogs: () => void;
  onRemoved?: () => void;
}) {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  const wait = useWait();
  const [, start] = useMutation(startDocument);
  const [, stop] = useMutation(stopDocument);
  const [, restart] = useMutation(restartDocument);
  const [, pause] = useMutation(pauseDocument);
  const [, unpause] = useMutation(unpauseDocument);
  const [, remove] = useMutation(removeDocument);
  const { id, name, status } = container;
  const tell = ({ error }: { error?: Parameters<typeof problemIn>[0] | undefined }) => {
    if (!error) return;
    const problem = problemIn(error);
    if (problem.short)
      modal.warning({
        title: problem.message,
        content: <AskForMore short={problem.short} />,
        okText: t('app.close'),
      });
    else void message.error(problem.message, 6);
  };
  const startNow = async () => {
    const { error } = await start({ id });
    if (!error) return;
    const problem = problemIn(error);
    if (problem.code === 'CAPACITY_EXCEEDED') wait([id], [problem.message]);
    else tell({ error });
  };
  const button = (label: string, icon: ReactNode, onClick: () => void, danger = false) => (
    <Tooltip title={label}>
      <Button icon={icon} danger={danger} aria-label={`${label}: ${name}`} onClick={onClick} />
    </Tooltip>
  );
  const confirmRemoval = () => {
    modal.confirm({
      title: t('container.removeTitle', { name }),
      content: <Losses ids={[id]} />,
      okText: t('container.remove'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: async () => {
        const result = await remove({ id });
        tell(result);
        if (!result.error) onRemoved?.();
      },
    });
  };
  return (
    <Space.Compact>
      {startable.includes(status) && button(t('container.start'), <CaretRightOutlined aria-hidden />, () => void startNow())}
      {stoppable.includes(status) && button(t('container.stop'), <PoweroffOutlined aria-hidden />, () => void stop({ id }).then(tell))}
      {status === 'RUNNING' && button(t('container.restart'), <ReloadOutlined aria-hidden />, () => void restart({ id }).then(tell))}
      {status === 'RUNNING' && button(t('container.pause'), <PauseOutlined aria-hidden />, () => void pause({ id }).then(tell))}
      {status === 'PAUSED' && button(t('container.unpause'), <CaretRightOutlined aria-hidden />, () => void unpause({ id }).then(tell))}
      {button(t('container.logs'), <FileTextOutlined aria-hidden />, onLogs)}
      {savable.includes(status) && <SaveImage id={id} name={name} />}
      {status !== 'REMOVING' && button(t('container.remove'), <DeleteOutlined aria-hidden />, confirmRemoval, true)}
    </Space.Compact>
  );
}
