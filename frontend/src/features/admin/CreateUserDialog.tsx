import { Collapse, Form, Input, Modal, Select } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { QuotaFields } from '@/components/QuotaFields';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { endOfDay } from '@/lib/format';
import { limitsInput, type SomeLimits } from '@/lib/quota';
import { createUserDocument } from './documents';
import type { Given } from './OneTimePassword';
import { type Role, roles } from './people';

type Values = SomeLimits & { username: string; email: string; nickname: string; role: Role; last: string };
const shown = ['username', 'email', 'nickname', 'role', 'expiresAt'];

/** Makes an account for somebody. */
export function CreateUserDialog({ onClose, onMade }: { onClose: () => void; onMade: (given: Given) => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, create] = useMutation(createUserDocument);
  const [problem, setProblem] = useState<Problem>();
  const submit = async ({ username, email, nickname, role, last, ...limits }: Values) => {
    const expiresAt = endOfDay(last);
    const quota = limitsInput(limits);
    const { data, error } = await create({
      input: {
        username: username.trim(),
        email: email.trim(),
        role,
        ...(nickname.trim() && { nickname: nickname.trim() }),
        ...(expiresAt && { expiresAt }),
        ...(Object.keys(quota).length > 0 && { quota }),
      },
    });
    if (error) setProblem(problemIn(error));
    else if (data) onMade({ username: data.createUser.user.username, password: data.createUser.oneTimePassword ?? '' });
  };
  const fields = problem?.fields ?? {};
  const at = (name: string) => fields[name] && { validateStatus: 'error' as const, help: fields[name] };
  return (
    <Modal
      open
      title={t('people.new')}
      okText={t('create.create')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{t('people.newText')}</p>
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ username: '', email: '', nickname: '', role: 'USER', last: '' }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <Form.Item name="username" label={t('account.username')} extra={t('account.usernameHint')} {...at('username')}>
          <Input autoFocus autoComplete="off" />
        </Form.Item>
        <Form.Item name="email" label={t('account.email')} {...at('email')}>
          <Input type="email" autoComplete="off" />
        </Form.Item>
        <Form.Item name="nickname" label={t('profile.nickname')} {...at('nickname')}>
          <Input autoComplete="off" />
        </Form.Item>
        <Form.Item name="role" label={t('people.role')} {...at('role')}>
          <Select options={roles.map((value) => ({ value, label: t(`role.${value}`) }))} />
        </Form.Item>
        <Form.Item name="last" label={t('people.lastDay')} extra={t('security.lastDayHint')} {...at('expiresAt')}>
          <Input type="date" style={{ width: 180 }} />
        </Form.Item>
        <Collapse
          ghost
          items={[{ key: 'quota', label: t('admin.quota'), forceRender: true, children: <QuotaFields problems={fields} /> }]}
        />
        {problem && !shown.some((name) => fields[name]) && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
