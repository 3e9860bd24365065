import {
  CaretRightOutlined,
  CodeOutlined,
  DeleteOutlined,
  FileTextOutlined,
  PauseOutlined,
  PoweroffOutlined,
  ReloadOutlined,
} from '@ant-design/icons';
import { App, Button, Space, Tooltip } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { useMutation } from 'urql';
import { SaveImage } from '@/components/SaveImage';
import { pauseDocument, removeDocument, restartDocument, type Row, stopDocument, unpauseDocument } from './documents';
import { Losses } from './Losses';
import { useStart, useTell } from './useStart';

export const startable = ['CREATED', 'EXITED', 'FAILED', 'LOST', 'STOPPING'];
const stoppable = ['PENDING', 'STARTING', 'RUNNING', 'PAUSED'];
const savable = ['RUNNING', 'PAUSED', 'EXITED'];

/** What can be done with a container in its state. */
export function Actions({ container, onRemoved }: { container: Pick<Row, 'id' | 'name' | 'status'>; onRemoved?: () => void }) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const navigate = useNavigate();
  const startNow = useStart();
  const [, stop] = useMutation(stopDocument);
  const [, restart] = useMutation(restartDocument);
  const [, pause] = useMutation(pauseDocument);
  const [, unpause] = useMutation(unpauseDocument);
  const [, remove] = useMutation(removeDocument);
  const { id, name, status } = container;
  const tell = useTell();
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
      {startable.includes(status) && button(t('container.start'), <CaretRightOutlined aria-hidden />, () => void startNow(id))}
      {stoppable.includes(status) && button(t('container.stop'), <PoweroffOutlined aria-hidden />, () => void stop({ id }).then(tell))}
      {status === 'RUNNING' && button(t('container.restart'), <ReloadOutlined aria-hidden />, () => void restart({ id }).then(tell))}
      {status === 'RUNNING' && button(t('container.pause'), <PauseOutlined aria-hidden />, () => void pause({ id }).then(tell))}
      {status === 'PAUSED' && button(t('container.unpause'), <CaretRightOutlined aria-hidden />, () => void unpause({ id }).then(tell))}
      {button(t('container.logs'), <FileTextOutlined aria-hidden />, () => void navigate(`/containers/${id}?tab=logs`))}
      {button(t('container.terminal'), <CodeOutlined aria-hidden />, () => void navigate(`/containers/${id}?tab=terminal`))}
      {savable.includes(status) && <SaveImage id={id} name={name} />}
      {status !== 'REMOVING' && button(t('container.remove'), <DeleteOutlined aria-hidden />, confirmRemoval, true)}
    </Space.Compact>
  );
}
