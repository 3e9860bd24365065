import { App } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useMutation } from 'urql';
import { problemIn } from '@/lib/errors';
import { startable } from '../Actions';
import { type Detail, openJupyterDocument } from '../documents';

/**
 * Opens Jupyter in a window of its own. The window is opened within the click, or browsers take it for one that nobody
 * asked for; it goes to Jupyter when that runs.
 */
export function useJupyter({ id, name, status }: Pick<Detail, 'id' | 'name' | 'status'>, start: () => void) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const [, open] = useMutation(openJupyterDocument);
  const [busy, setBusy] = useState(false);
  const [url, setUrl] = useState<string>();
  const refuse = (problem: ReturnType<typeof problemIn>) => {
    if (problem.rules?.includes('no_jupyter')) {
      const told = modal.info({
        title: t('jupyter.none'),
        content: (
          <>
            <p>{t('jupyter.noneHint')}</p>
            <Link
              className="inline"
              to="/images"
              onClick={() => {
                told.destroy();
              }}
            >
              {t('jupyter.images')}
            </Link>
          </>
        ),
        okText: t('app.close'),
      });
    } else if (problem.code === 'INVALID_STATE' && startable.includes(status))
      modal.confirm({
        title: t('jupyter.stopped', { name }),
        okText: t('container.start'),
        cancelText: t('app.cancel'),
        onOk: start,
      });
    else modal.error({ title: t('jupyter.failed'), content: <p className="lines">{problem.message}</p>, okText: t('app.close') });
  };
  const go = async () => {
    setUrl(undefined);
    const opened = window.open('', '_blank');
    if (opened) {
      // Jupyter's page has no hold on this one.
      opened.opener = null;
      opened.document.title = 'Jupyter';
      opened.document.body.textContent = t('jupyter.starting');
    }
    setBusy(true);
    const { data, error } = await open({ id });
    setBusy(false);
    if (data) {
      if (opened && !opened.closed) opened.location.replace(data.openJupyter.url);
      else setUrl(data.openJupyter.url); // a link, for a browser that let no window open
    } else {
      opened?.close();
      if (error) refuse(problemIn(error));
    }
  };
  return { busy, url, go };
}
