import { PlusOutlined } from '@ant-design/icons';
import { App, Button, Checkbox, Empty, Flex, Form, Input, Modal, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { Ago } from '@/components/Ago';
import { Refusal } from '@/components/Refusal';
import { Rows } from '@/components/Rows';
import { Secret } from '@/components/Secret';
import { type Problem, problemIn } from '@/lib/errors';
import { day, dayOf, endOfDay } from '@/lib/format';
import { createTokenDocument, revokeTokenDocument, type TokenRow } from './documents';

/** Passwords for programs. */
export function Tokens({ tokens }: { tokens: readonly TokenRow[] }) {
  const { t, i18n } = useTranslation();
  const { message, modal } = App.useApp();
  const [, revoke] = useMutation(revokeTokenDocument);
  const [creating, setCreating] = useState(false);
  const [now] = useState(() => Date.now());
  const confirm = ({ id, name }: TokenRow) => {
    modal.confirm({
      title: t('security.revokeTitle', { name }),
      content: t('security.revokeText'),
      okText: t('security.revoke'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: async () => {
        const { error } = await revoke({ id });
        if (error) void message.error(problemIn(error).message, 6);
      },
    });
  };
  return (
    <Flex vertical gap="small">
      <p style={{ margin: 0 }}>{t('security.tokensText')}</p>
      {tokens.length === 0 ? (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('security.noTokens')} />
      ) : (
        <Rows<TokenRow>
          rows={tokens}
          name={{
            title: t('container.name'),
            of: (row) => (
              <>
                {row.name} {row.readOnly && <Tag>{t('create.readOnly')}</Tag>}
                {row.expiresAt && Date.parse(row.expiresAt) <= now && <Tag color="error">{t('security.over')}</Tag>}
              </>
            ),
          }}
          columns={[
            {
              key: 'used',
              title: t('security.lastUsed'),
              of: (row) => (row.lastUsedAt ? <Ago time={row.lastUsedAt} /> : t('security.never')),
            },
            {
              key: 'ends',
              title: t('security.ends'),
              of: (row) => (row.expiresAt ? day(row.expiresAt, i18n.language) : t('security.never')),
            },
            { key: 'created', title: t('container.created'), of: (row) => day(row.createdAt, i18n.language) },
          ]}
          actions={(row) => (
            <Button
              danger
              aria-label={`${t('security.revoke')}: ${row.name}`}
              onClick={() => {
                confirm(row);
              }}
            >
              {t('security.revoke')}
            </Button>
          )}
        />
      )}
      <div>
        <Button
          icon={<PlusOutlined aria-hidden />}
          onClick={() => {
            setCreating(true);
          }}
        >
          {t('security.newToken')}
        </Button>
      </div>
      {creating && (
        <TokenDialog
          onClose={() => {
            setCreating(false);
          }}
        />
      )}
    </Flex>
  );
}

type Values = { name: string; day: string; readOnly: boolean };

/** Makes a token, and shows it the one time that it can be seen. */
function TokenDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, create] = useMutation(createTokenDocument);
  const [problem, setProblem] = useState<Problem>();
  const [made, setMade] = useState<{ name: string; secret: string }>();
  const [proposed] = useState(() => dayOf(new Date(Date.now() + 90 * 86_400_000).toISOString()));
  const submit = async ({ name, day: last, readOnly }: Values) => {
    const expiresAt = endOfDay(last);
    const { data, error } = await create({ input: { name: name.trim(), readOnly, ...(expiresAt && { expiresAt }) } });
    if (error) setProblem(problemIn(error));
    else if (data) setMade({ name: data.createAccessToken.accessToken.name, secret: data.createAccessToken.secret });
  };
  const fields = problem?.fields ?? {};
  const at = (name: string) => fields[name] && { validateStatus: 'error' as const, help: fields[name] };
  if (made)
    return (
      <Modal
        open
        title={t('security.tokenOf', { name: made.name })}
        onCancel={onClose}
        mask={{ closable: false }}
        footer={
          <Button type="primary" onClick={onClose}>
            {t('app.done')}
          </Button>
        }
      >
        <Secret label={t('security.token')} value={made.secret} copyLabel={t('security.copyToken')} hint={t('security.tokenHint')} />
      </Modal>
    );
  return (
    <Modal
      open
      title={t('security.newToken')}
      okText={t('create.create')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ name: '', day: proposed, readOnly: false }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <Form.Item name="name" label={t('container.name')} extra={t('security.tokenNameHint')} {...at('name')}>
          <Input autoFocus maxLength={64} autoComplete="off" />
        </Form.Item>
        <Form.Item name="day" label={t('security.lastDay')} extra={t('security.lastDayHint')} {...at('expiresAt')}>
          <Input type="date" style={{ width: 180 }} />
        </Form.Item>
        <Form.Item name="readOnly" valuePropName="checked" extra={t('security.readOnlyHint')}>
          <Checkbox>{t('create.readOnly')}</Checkbox>
        </Form.Item>
        {problem && !fields['name'] && !fields['expiresAt'] && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
