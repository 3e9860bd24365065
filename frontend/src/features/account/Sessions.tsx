import { App, Button, Flex, Tag } from 'antd';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Ago } from '@/components/Ago';
import { Rows } from '@/components/Rows';
import { problemIn } from '@/lib/errors';
import { moment } from '@/lib/format';
import { device } from './device';
import { revokeSessionDocument, type SessionRow } from './documents';

/** Where one is signed in, and out of each. */
export function Sessions({ sessions }: { sessions: readonly SessionRow[] }) {
  const { t, i18n } = useTranslation();
  const { message, modal } = App.useApp();
  const [{ fetching }, revoke] = useMutation(revokeSessionDocument);
  const others = sessions.filter(({ current }) => !current);
  const end = async (rows: readonly SessionRow[]) => {
    for (const { id } of rows) {
      const { error } = await revoke({ id });
      // One that ended by itself meanwhile is what was wanted.
      if (error && problemIn(error).code !== 'NOT_FOUND') {
        void message.error(problemIn(error).message, 6);
        return;
      }
    }
    void message.success(t('security.sessionsEnded', { count: rows.length }));
  };
  const all = () => {
    modal.confirm({
      title: t('security.endOthersTitle', { count: others.length }),
      content: t('security.endOthersText'),
      okText: t('security.endOthers'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: () => end(others),
    });
  };
  const called = (row: SessionRow) => device(row.userAgent) || t('security.unknownDevice');
  return (
    <Flex vertical gap="small">
      <Rows<SessionRow>
        rows={sessions}
        name={{
          title: t('security.device'),
          of: (row) => (
            <span title={row.userAgent}>
              {called(row)} {row.current && <Tag color="processing">{t('security.thisOne')}</Tag>}
            </span>
          ),
        }}
        columns={[
          { key: 'ip', title: t('security.address'), of: (row) => row.ip || '–' },
          { key: 'seen', title: t('admin.lastSeen'), of: (row) => <Ago time={row.lastSeenAt} /> },
          { key: 'since', title: t('security.signedIn'), of: (row) => moment(row.createdAt, i18n.language) },
        ]}
        actions={(row) =>
          row.current ? null : (
            <Button disabled={fetching} aria-label={`${t('security.end')}: ${called(row)}`} onClick={() => void end([row])}>
              {t('security.end')}
            </Button>
          )
        }
      />
      {others.length > 0 && (
        <div>
          <Button danger disabled={fetching} onClick={all}>
            {t('security.endOthers')}
          </Button>
        </div>
      )}
    </Flex>
  );
}
