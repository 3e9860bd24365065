import { ImportOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Tabs } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { Heading } from '@/components/Heading';
import { Accounts } from './Accounts';
import { CreateUserDialog } from './CreateUserDialog';
import { ImportDialog } from './ImportDialog';
import { Invitations } from './Invitations';
import { type Given, OneTimePassword } from './OneTimePassword';
import { Requests } from './Requests';

const tabs = ['accounts', 'invitations', 'requests'] as const;
type Tab = (typeof tabs)[number];

/** Who is here, who may come, and who wants more. */
export default function UsersPage() {
  const { t } = useTranslation();
  const [parameters, setParameters] = useSearchParams();
  const [creating, setCreating] = useState(false);
  const [importing, setImporting] = useState(false);
  const [given, setGiven] = useState<Given>();
  const tab = tabs.find((name) => parameters.get('tab') === name) ?? 'accounts';
  const page: Record<Tab, React.ReactNode> = { accounts: <Accounts />, invitations: <Invitations />, requests: <Requests /> };
  return (
    <>
      <Heading title={t('app.users')}>
        <Button
          icon={<ImportOutlined aria-hidden />}
          onClick={() => {
            setImporting(true);
          }}
        >
          {t('import.title')}
        </Button>
        <Button
          type="primary"
          icon={<PlusOutlined aria-hidden />}
          onClick={() => {
            setCreating(true);
          }}
        >
          {t('people.new')}
        </Button>
      </Heading>
      <Tabs
        activeKey={tab}
        onChange={(key) => {
          setParameters(key === 'accounts' ? {} : { tab: key });
        }}
        destroyOnHidden
        items={tabs.map((key) => ({ key, label: t(`usersTab.${key}`), children: page[key] }))}
      />
      {creating && (
        <CreateUserDialog
          onClose={() => {
            setCreating(false);
          }}
          onMade={(made) => {
            setCreating(false);
            setGiven(made);
          }}
        />
      )}
      {given && (
        <OneTimePassword
          given={given}
          onClose={() => {
            setGiven(undefined);
          }}
        />
      )}
      {importing && (
        <ImportDialog
          onClose={() => {
            setImporting(false);
          }}
        />
      )}
    </>
  );
}
