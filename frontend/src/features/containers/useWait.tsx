import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { problemIn } from '@/lib/errors';
import { startDocument } from './documents';

/** Offers to wait for room to whom the machine had none for. */
export function useWait() {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  const [, start] = useMutation(startDocument);
  return (ids: readonly string[], why: readonly string[]) => {
    modal.confirm({
      title: t('container.fullTitle'),
      content: (
        <>
          {why.map((line) => (
            <p key={line}>{line}</p>
          ))}
          <p>{t('create.waitHint')}</p>
        </>
      ),
      okText: t('create.wait'),
      cancelText: t('app.cancel'),
      onOk: async () => {
        for (const id of ids) {
          const { error } = await start({ id, whenFull: 'QUEUE' });
          if (error) void message.error(problemIn(error).message, 8);
        }
      },
    });
  };
}
