import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useMutation } from 'urql';
import { problemIn } from '@/lib/errors';
import { shortReference } from '@/lib/format';
import { cancelDocument, refreshDocument, type Row, updateDocument } from './documents';

const using = ['RUNNING', 'PAUSED', 'STARTING', 'STOPPING'];

/** What is done with an image by one click, and how it is told. */
export function useDeeds() {
  const { t } = useTranslation();
  const { message, notification, modal } = App.useApp();
  const [, cancel] = useMutation(cancelDocument);
  const [, refresh] = useMutation(refreshDocument);
  const [, update] = useMutation(updateDocument);
  const tell = ({ error }: { error?: Parameters<typeof problemIn>[0] | undefined }) => {
    if (error) void message.error(problemIn(error).message, 8);
  };
  return {
    giveUp: async ({ id }: Pick<Row, 'id'>) => {
      tell(await cancel({ id }));
    },
    /** Brings it up to date, and names the running containers that keep what they have. */
    renew: async ({ id, reference }: Pick<Row, 'id' | 'reference'>) => {
      const result = await refresh({ id });
      tell(result);
      const keep = result.data?.refreshImage.image.containers.filter(({ status }) => using.includes(status)) ?? [];
      if (keep.length === 0) return;
      notification.info({
        title: t('image.keepOld', { reference: shortReference(reference) }),
        description: (
          <>
            {keep.map(({ id: container, name }) => (
              <div key={container}>
                <Link className="inline" to={`/containers/${container}`}>
                  {name}
                </Link>
              </div>
            ))}
          </>
        ),
        duration: 15,
        closable: { 'aria-label': t('app.close') },
      });
    },
    publish: ({ id, reference }: Pick<Row, 'id' | 'reference'>) => {
      modal.confirm({
        title: t('image.publishTitle', { reference: shortReference(reference) }),
        content: t('image.publishText'),
        okText: t('image.publish'),
        cancelText: t('app.cancel'),
        onOk: async () => {
          tell(await update({ id, input: { visibility: 'PUBLIC' } }));
        },
      });
    },
    unpublish: async ({ id }: Pick<Row, 'id'>) => {
      tell(await update({ id, input: { visibility: 'PRIVATE' } }));
    },
  };
}
