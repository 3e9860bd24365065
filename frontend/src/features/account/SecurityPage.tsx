import { App, Skeleton } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useQuery } from 'urql';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { DeleteAccount } from './DeleteAccount';
import { securityDocument } from './documents';
import { PasswordForm } from './PasswordForm';
import { Sessions } from './Sessions';
import { Tokens } from './Tokens';

function Part({ id, title, children }: { id: string; title: string; children: ReactNode }) {
  return (
    <section className="part" aria-labelledby={`security-${id}`}>
      <h2 className="part" id={`security-${id}`}>
        {title}
      </h2>
      {children}
    </section>
  );
}

type Props = { leave: (end: () => Promise<boolean>) => Promise<boolean>; onDeleted: (until: string | null) => void };

/** By what one gets in, where one is in, and how one leaves for good. */
export default function SecurityPage({ leave, onDeleted }: Props) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [{ data, error }, ask] = useQuery({ query: securityDocument, requestPolicy: 'cache-and-network' });
  const viewer = data?.viewer;
  return (
    <>
      <Heading title={t('app.security')} />
      <Problems error={error} />
      {!data && !error && <Skeleton active />}
      {viewer && (
        <>
          <Part id="password" title={t('account.password')}>
            <p>{t('security.passwordText')}</p>
            <PasswordForm
              rules={data.serverInfo.passwordRules}
              onDone={() => {
                void message.success(t('security.passwordChanged'), 6);
                ask({ requestPolicy: 'network-only' });
              }}
            />
          </Part>
          <Part id="sessions" title={t('security.sessions')}>
            <Sessions sessions={viewer.sessions} />
          </Part>
          <Part id="tokens" title={t('security.tokens')}>
            <Tokens tokens={viewer.accessTokens} />
          </Part>
          <Part id="delete" title={t('security.deleteAccount')}>
            <DeleteAccount username={viewer.username} grace={data.serverInfo.deletionGrace} leave={leave} onDeleted={onDeleted} />
          </Part>
        </>
      )}
    </>
  );
}
