import { App, Button, Descriptions, Drawer, Flex, Form, Input, Select } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Ago } from '@/components/Ago';
import { Portrait } from '@/components/Portrait';
import { Refusal } from '@/components/Refusal';
import { UsageList } from '@/components/UsageList';
import { useNow } from '@/components/useNow';
import { type Problem, problemIn } from '@/lib/errors';
import { day, dayOf, endOfDay, moment } from '@/lib/format';
import {
  deleteUserDocument,
  type Person,
  resetPasswordDocument,
  restoreUserDocument,
  updateUserDocument,
  type UserChange,
} from './documents';
import type { Given } from './OneTimePassword';
import { type Role, roles, stateOf } from './people';
import { Standing } from './Standing';

type Values = { nickname: string; email: string; role: Role; last: string };
type Props = {
  person: Person;
  /** It is one's own account: some of this would lock the door from outside. */
  own: boolean;
  onClose: () => void;
  onQuota: () => void;
  onPassword: (given: Given) => void;
};

/** One person: what they are, use and may, and everything that can be done with their account. */
export function PersonDrawer({ person, own, onClose, onQuota, onPassword }: Props) {
  const { t, i18n } = useTranslation();
  const { message, modal } = App.useApp();
  const now = useNow();
  const [{ fetching: suspending }, change] = useMutation(updateUserDocument);
  const [{ fetching: resetting }, reset] = useMutation(resetPasswordDocument);
  const [, remove] = useMutation(deleteUserDocument);
  const [{ fetching: restoring }, restore] = useMutation(restoreUserDocument);
  const [problem, setProblem] = useState<Problem>();
  const { id, username } = person;
  const state = stateOf(person, now);
  const tell = ({ error }: { error?: Parameters<typeof problemIn>[0] | undefined }) => {
    setProblem(error && problemIn(error));
    return !error;
  };
  const giveOneTime = async () => {
    const result = await reset({ userId: id });
    if (tell(result) && result.data) onPassword({ username, password: result.data.resetPassword.oneTimePassword });
  };
  const confirm = () => {
    modal.confirm({
      title: t('people.deleteTitle', { name: username }),
      content: t('people.deleteText'),
      okText: t('people.delete'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: async () => {
        if (tell(await remove({ id }))) void message.success(t('people.deleted', { count: 1 }), 6);
      },
    });
  };
  return (
    <Drawer open size={440} onClose={onClose} title={person.nickname ? `${person.nickname} (${username})` : username} destroyOnHidden>
      <Flex vertical gap="middle">
        <Flex gap="small" align="center">
          <Portrait address={person.avatarUrl} size={48} />
          <Standing person={person} />
        </Flex>
        <Descriptions
          column={1}
          size="small"
          items={[
            { key: 'seen', label: t('admin.lastSeen'), children: <Ago time={person.lastSeenAt} /> },
            { key: 'since', label: t('people.since'), children: day(person.createdAt, i18n.language) },
            ...(person.deletionScheduledAt
              ? [{ key: 'gone', label: t('volume.left'), children: moment(person.deletionScheduledAt, i18n.language) }]
              : []),
          ]}
        />
        {problem && <Refusal problem={problem} />}
        {state === 'deleted' ? (
          <Button loading={restoring} onClick={() => void restore({ id }).then(tell)}>
            {t('volume.restore')}
          </Button>
        ) : (
          <>
            <PersonForm key={`${person.role} ${person.expiresAt ?? ''}`} person={person} />
            <h2 className="part" style={{ margin: 0 }}>
              {t('admin.quota')}
            </h2>
            <UsageList quota={person.quota} usage={person.usage} />
            <Button onClick={onQuota}>{t('people.changeQuota')}</Button>
            {!own && (
              <>
                <h2 className="part" style={{ margin: 0 }}>
                  {t('people.access')}
                </h2>
                <div>
                  <Button block loading={resetting} onClick={() => void giveOneTime()}>
                    {t('people.giveOneTime')}
                  </Button>
                  <p className="hint">{t('people.giveOneTimeHint')}</p>
                </div>
                <div>
                  <Button
                    block
                    loading={suspending}
                    onClick={() => void change({ id, input: { suspended: person.suspendedAt === null } }).then(tell)}
                  >
                    {person.suspendedAt ? t('people.unsuspend') : t('people.suspend')}
                  </Button>
                  <p className="hint">{t('people.suspendHint')}</p>
                </div>
                <Button block danger onClick={confirm}>
                  {t('people.delete')}
                </Button>
              </>
            )}
          </>
        )}
      </Flex>
    </Drawer>
  );
}

function PersonForm({ person }: { person: Person }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, change] = useMutation(updateUserDocument);
  const [problem, setProblem] = useState<Problem>();
  const before: Values = {
    nickname: person.nickname ?? '',
    email: person.email ?? '',
    role: person.role,
    last: person.expiresAt ? dayOf(person.expiresAt) : '',
  };
  const submit = async ({ nickname, email, role, last }: Values) => {
    const input: UserChange = {
      ...(nickname.trim() !== before.nickname && { nickname: nickname.trim() }),
      ...(email.trim() !== before.email && { email: email.trim() }),
      ...(role !== before.role && { role }),
      ...(last !== before.last && { expiresAt: endOfDay(last) ?? null }),
    };
    if (Object.keys(input).length > 0) {
      const { error } = await change({ id: person.id, input });
      if (error) {
        setProblem(problemIn(error));
        return;
      }
    }
    void message.success(t('app.saved'));
  };
  const fields = problem?.fields ?? {};
  const at = (name: string) => fields[name] && { validateStatus: 'error' as const, help: fields[name] };
  return (
    <Form<Values>
      form={form}
      layout="vertical"
      initialValues={before}
      onFinish={(values) => void submit(values)}
      onValuesChange={() => {
        setProblem(undefined);
      }}
    >
      <Form.Item name="nickname" label={t('profile.nickname')} {...at('nickname')}>
        <Input autoComplete="off" />
      </Form.Item>
      <Form.Item name="email" label={t('account.email')} {...at('email')}>
        <Input type="email" autoComplete="off" />
      </Form.Item>
      <Form.Item name="role" label={t('people.role')} {...at('role')}>
        <Select options={roles.map((value) => ({ value, label: t(`role.${value}`) }))} />
      </Form.Item>
      <Form.Item name="last" label={t('people.lastDay')} extra={t('security.lastDayHint')} {...at('expiresAt')}>
        <Input type="date" style={{ width: 180 }} />
      </Form.Item>
      {problem && Object.keys(fields).length === 0 && (
        <div style={{ marginBottom: 12 }}>
          <Refusal problem={problem} />
        </div>
      )}
      <Button type="primary" htmlType="submit" loading={fetching}>
        {t('app.save')}
      </Button>
    </Form>
  );
}
