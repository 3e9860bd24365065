import { PlusOutlined } from '@ant-design/icons';
import { Alert, App, Button, Collapse, Empty, Flex, Form, Input, InputNumber, Modal, Skeleton, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation, useQuery } from 'urql';
import { Ago } from '@/components/Ago';
import { LimitList } from '@/components/LimitList';
import { Pages } from '@/components/Pages';
import { Problems } from '@/components/Problems';
import { QuotaFields } from '@/components/QuotaFields';
import { Refusal } from '@/components/Refusal';
import { Rows } from '@/components/Rows';
import { Secret } from '@/components/Secret';
import { useNow } from '@/components/useNow';
import { type Problem, problemIn } from '@/lib/errors';
import { day, dayOf, endOfDay } from '@/lib/format';
import { limitsInput, type SomeLimits } from '@/lib/quota';
import { createInvitationDocument, type Invitation, invitationsDocument, revokeInvitationDocument } from './documents';

/** Links by which people make their own accounts. */
export function Invitations() {
  const { t, i18n } = useTranslation();
  const { message, modal } = App.useApp();
  const now = useNow();
  const [starts, setStarts] = useState<(string | null)[]>([null]);
  const [creating, setCreating] = useState(false);
  const [{ data, error }] = useQuery({
    query: invitationsDocument,
    variables: { after: starts.at(-1) ?? null },
    requestPolicy: 'cache-and-network',
  });
  const [, revoke] = useMutation(revokeInvitationDocument);
  const rows = data?.invitations.edges.map(({ node }) => node) ?? [];
  const called = (row: Invitation) => row.note ?? t('invitation.unnamed');
  const confirm = (row: Invitation) => {
    modal.confirm({
      title: t('invitation.revokeTitle', { name: called(row) }),
      content: t('invitation.revokeText'),
      okText: t('security.revoke'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: async () => {
        const { error: wrong } = await revoke({ id: row.id });
        if (wrong) void message.error(problemIn(wrong).message, 6);
      },
    });
  };
  return (
    <>
      <Flex gap="small" wrap style={{ margin: '4px 0 12px' }}>
        <Button
          icon={<PlusOutlined aria-hidden />}
          onClick={() => {
            setCreating(true);
          }}
        >
          {t('invitation.new')}
        </Button>
      </Flex>
      <Problems error={error} />
      {!data && !error && <Skeleton active />}
      {data && rows.length === 0 && (
        <Empty
          className="nothing"
          image={Empty.PRESENTED_IMAGE_SIMPLE}
          description={
            <>
              <div>{t('invitation.none')}</div>
              <div className="soft">{t('invitation.noneHint')}</div>
            </>
          }
        />
      )}
      {rows.length > 0 && (
        <Rows<Invitation>
          rows={rows}
          name={{
            title: t('invitation.note'),
            of: (row) => (
              <>
                {called(row)} {row.uses >= row.maxUses && <Tag>{t('invitation.used')}</Tag>}
                {row.expiresAt && Date.parse(row.expiresAt) <= now && <Tag color="error">{t('security.over')}</Tag>}
              </>
            ),
          }}
          columns={[
            { key: 'uses', title: t('invitation.uses'), of: (row) => <span className="number">{`${row.uses} / ${row.maxUses}`}</span> },
            {
              key: 'ends',
              title: t('people.ends'),
              of: (row) => (row.expiresAt ? day(row.expiresAt, i18n.language) : t('security.never')),
            },
            { key: 'quota', title: t('admin.quota'), of: (row) => (row.quota ? <LimitList limits={row.quota} /> : t('invitation.usual')) },
            {
              key: 'made',
              title: t('container.created'),
              of: (row) => (
                <>
                  <Ago time={row.createdAt} />
                  {row.createdBy && <div className="soft">{row.createdBy.username}</div>}
                </>
              ),
            },
          ]}
          actions={(row) => (
            <Button
              danger
              aria-label={`${t('security.revoke')}: ${called(row)}`}
              onClick={() => {
                confirm(row);
              }}
            >
              {t('security.revoke')}
            </Button>
          )}
        />
      )}
      <Pages starts={starts} info={data?.invitations.pageInfo} onTurn={setStarts} />
      {creating && (
        <InvitationDialog
          onClose={() => {
            setCreating(false);
          }}
        />
      )}
    </>
  );
}

type Values = SomeLimits & { note: string; maxUses: number | null; last: string };

function InvitationDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, create] = useMutation(createInvitationDocument);
  const [problem, setProblem] = useState<Problem>();
  const [link, setLink] = useState<string>();
  const [proposed] = useState(() => dayOf(new Date(Date.now() + 14 * 86_400_000).toISOString()));
  const submit = async ({ note, maxUses, last, ...limits }: Values) => {
    const expiresAt = endOfDay(last);
    const quota = limitsInput(limits);
    const { data, error } = await create({
      input: {
        maxUses: maxUses ?? 1,
        ...(note.trim() && { note: note.trim() }),
        ...(expiresAt && { expiresAt }),
        ...(Object.keys(quota).length > 0 && { quota }),
      },
    });
    if (error) setProblem(problemIn(error));
    else setLink(data?.createInvitation.url);
  };
  const fields = problem?.fields ?? {};
  const at = (name: string) => fields[name] && { validateStatus: 'error' as const, help: fields[name] };
  if (link)
    return (
      <Modal
        open
        title={t('invitation.made')}
        onCancel={onClose}
        mask={{ closable: false }}
        footer={
          <Button type="primary" onClick={onClose}>
            {t('app.done')}
          </Button>
        }
      >
        <Secret label={t('invitation.link')} value={link} copyLabel={t('invitation.copy')} hint={t('invitation.hint')} />
      </Modal>
    );
  return (
    <Modal
      open
      title={t('invitation.new')}
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
        initialValues={{ note: '', maxUses: 1, last: proposed }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <Form.Item name="note" label={t('invitation.note')} extra={t('invitation.noteHint')} {...at('note')}>
          <Input autoFocus maxLength={200} autoComplete="off" />
        </Form.Item>
        <Form.Item name="maxUses" label={t('invitation.maxUses')} {...at('maxUses')}>
          <InputNumber min={1} max={1000} precision={0} style={{ width: 180 }} />
        </Form.Item>
        <Form.Item name="last" label={t('security.lastDay')} extra={t('security.lastDayHint')} {...at('expiresAt')}>
          <Input type="date" style={{ width: 180 }} />
        </Form.Item>
        <Collapse
          ghost
          items={[
            {
              key: 'quota',
              label: t('admin.quota'),
              forceRender: true,
              children: (
                <>
                  <Alert type="info" title={t('invitation.quotaHint')} style={{ marginBottom: 12 }} />
                  <QuotaFields problems={fields} />
                </>
              ),
            },
          ]}
        />
        {problem && !['note', 'maxUses', 'expiresAt'].some((name) => fields[name]) && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
