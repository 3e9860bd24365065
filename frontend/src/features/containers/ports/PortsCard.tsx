import { Alert, App, Button, Card, Flex } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Detail } from '../documents';
import { PortsDialog } from './PortsDialog';
import { useJupyter } from './useJupyter';

type Props = {
  container: Pick<Detail, 'id' | 'name' | 'status' | 'ports' | 'owner'>;
  mine: boolean;
  /** Whether the programs of all containers are one origin to the browser. */
  shared: boolean;
  start: () => void;
};

/** The programs in a container that are reached through the server. */
export function PortsCard({ container, mine, shared, start }: Props) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const [editing, setEditing] = useState(false);
  const jupyter = useJupyter(container, start);
  const { name, ports, owner } = container;
  const foreign = !mine && shared;
  const openJupyter = () => {
    if (!foreign) {
      void jupyter.go();
      return;
    }
    modal.confirm({
      title: t('ports.foreignTitle', { name: owner?.username ?? name }),
      content: t('ports.foreign'),
      okText: t('ports.openAnyway'),
      cancelText: t('app.cancel'),
      onOk: () => void jupyter.go(),
    });
  };
  return (
    <Card
      title={<h2 className="part">{t('ports.programs')}</h2>}
      extra={
        <Button
          size="small"
          onClick={() => {
            setEditing(true);
          }}
        >
          {t('ports.edit')}
        </Button>
      }
    >
      <Flex vertical gap="small" align="start">
        {foreign && <Alert type="warning" showIcon title={t('ports.foreign')} />}
        <Button type="primary" loading={jupyter.busy} onClick={openJupyter}>
          {t('jupyter.open')}
        </Button>
        <div role="status">
          {jupyter.busy && <span className="soft">{t('jupyter.starting')}</span>}
          {jupyter.url && (
            <a className="inline" href={jupyter.url} target="_blank" rel="noopener">
              {t('jupyter.link')}
            </a>
          )}
        </div>
        {ports.length === 0 ? (
          <span className="hint">{t('ports.none')}</span>
        ) : (
          <ul className="plain" aria-label={t('ports.title')}>
            {ports.map(({ name: called, port, url }) => (
              <li key={port}>
                <a className="inline" href={url} target="_blank" rel="noopener">
                  {called}
                </a>
                <span className="number">{port}</span>
              </li>
            ))}
          </ul>
        )}
      </Flex>
      {editing && (
        <PortsDialog
          container={container}
          onClose={() => {
            setEditing(false);
          }}
        />
      )}
    </Card>
  );
}
