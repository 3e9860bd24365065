import { App, Button, Empty, Flex, Form, Input, Modal, Select, Skeleton, Tag } from 'antd';
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
import { type Problem, problemIn } from '@/lib/errors';
import { limitsInput, shownLimits, type SomeLimits } from '@/lib/quota';
import { declineDocument, grantDocument, type Request, requestsDocument } from './documents';

const statuses = ['OPEN', 'GRANTED', 'DECLINED', 'REPLACED'] as const;
type Status = (typeof statuses)[number];
const colours = { OPEN: 'processing', GRANTED: 'success', DECLINED: 'error', REPLACED: 'default' } as const;

/** Who wants more, and the answers. */
export function Requests() {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [status, setStatus] = useState<Status | undefined>('OPEN');
  const [starts, setStarts] = useState<(string | null)[]>([null]);
  const [deciding, setDeciding] = useState<{ row: Request; how: 'grant' | 'decline' }>();
  const [{ data, error }] = useQuery({
    query: requestsDocument,
    variables: { after: starts.at(-1) ?? null, status: status ?? null },
    requestPolicy: 'cache-and-network',
  });
  const [{ fetching }, grant] = useMutation(grantDocument);
  const rows = data?.quotaRequests.edges.map(({ node }) => node) ?? [];
  const called = (row: Request) => row.user?.username ?? '–';
  const grantNow = async (row: Request) => {
    const { error: wrong } = await grant({ id: row.id });
    if (wrong) void message.error(problemIn(wrong).message, 6);
    else void message.success(t('request.granted', { name: called(row) }), 4);
  };
  return (
    <>
      <Flex gap="small" wrap style={{ margin: '4px 0 12px' }}>
        <Select<Status>
          aria-label={t('request.anyStatus')}
          placeholder={t('request.anyStatus')}
          allowClear
          value={status ?? null}
          onChange={(next: Status | undefined) => {
            setStatus(next);
            setStarts([null]);
          }}
          options={statuses.map((value) => ({ value, label: t(`requestStatus.${value}`) }))}
          style={{ width: 160 }}
        />
      </Flex>
      <Problems error={error} />
      {!data && !error && <Skeleton active />}
      {data && rows.length === 0 && (
        <Empty
          className="nothing"
          image={Empty.PRESENTED_IMAGE_SIMPLE}
          description={status === 'OPEN' ? t('request.noneOpen') : t('request.none')}
        />
      )}
      {rows.length > 0 && (
        <Rows<Request>
          rows={rows}
          name={{
            title: t('account.username'),
            of: (row) => (
              <>
                {called(row)} {row.user?.nickname && <span className="soft">{row.user.nickname}</span>}
              </>
            ),
          }}
          columns={[
            {
              key: 'limits',
              title: t('request.wanted'),
              of: (row) => <LimitList limits={row.limits} now={row.status === 'OPEN' ? row.user?.quota : undefined} />,
            },
            {
              key: 'reason',
              title: t('request.reason'),
              of: (row) => <span style={{ overflowWrap: 'anywhere' }}>{row.reason ?? '–'}</span>,
            },
            { key: 'asked', title: t('request.asked'), of: (row) => <Ago time={row.createdAt} /> },
            {
              key: 'status',
              title: t('container.status'),
              of: (row) => (
                <>
                  <Tag color={colours[row.status]}>{t(`requestStatus.${row.status}`)}</Tag>
                  {row.answer && <div className="soft">{row.answer}</div>}
                </>
              ),
            },
          ]}
          actions={(row) =>
            row.status === 'OPEN' && (
              <Flex gap="small" wrap>
                <Button
                  type="primary"
                  disabled={fetching}
                  aria-label={`${t('request.grant')}: ${called(row)}`}
                  onClick={() => void grantNow(row)}
                >
                  {t('request.grant')}
                </Button>
                <Button
                  aria-label={`${t('request.edit')}: ${called(row)}`}
                  onClick={() => {
                    setDeciding({ row, how: 'grant' });
                  }}
                >
                  {t('request.edit')}
                </Button>
                <Button
                  danger
                  aria-label={`${t('request.decline')}: ${called(row)}`}
                  onClick={() => {
                    setDeciding({ row, how: 'decline' });
                  }}
                >
                  {t('request.decline')}
                </Button>
              </Flex>
            )
          }
        />
      )}
      <Pages starts={starts} info={data?.quotaRequests.pageInfo} onTurn={setStarts} />
      {deciding && (
        <DecisionDialog
          {...deciding}
          onClose={() => {
            setDeciding(undefined);
          }}
        />
      )}
    </>
  );
}

type Values = SomeLimits & { answer: string };

/** Grants other limits than those asked for, or declines; with a word to who asked. */
function DecisionDialog({ row, how, onClose }: { row: Request; how: 'grant' | 'decline'; onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching: granting }, grant] = useMutation(grantDocument);
  const [{ fetching: declining }, decline] = useMutation(declineDocument);
  const [problem, setProblem] = useState<Problem>();
  const name = row.user?.username ?? '–';
  const submit = async ({ answer, ...values }: Values) => {
    const said = answer.trim() || null;
    const input = limitsInput(values, row.limits);
    const { error } =
      how === 'decline'
        ? await decline({ id: row.id, answer: said })
        : await grant({ id: row.id, answer: said, input: Object.keys(input).length > 0 ? input : null });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  return (
    <Modal
      open
      title={how === 'grant' ? t('request.grantTitle', { name }) : t('request.declineTitle', { name })}
      okText={how === 'grant' ? t('request.grant') : t('request.decline')}
      okButtonProps={{ danger: how === 'decline' }}
      cancelText={t('app.cancel')}
      confirmLoading={granting || declining}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      {row.reason && <p>{row.reason}</p>}
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ ...shownLimits(row.limits), answer: '' }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        {how === 'grant' && <QuotaFields problems={problem?.fields} otherwise={row.user ? shownLimits(row.user.quota) : {}} />}
        <Form.Item name="answer" label={t('request.answer')} extra={t('request.answerHint')}>
          <Input.TextArea rows={3} maxLength={1000} />
        </Form.Item>
        {problem && <Refusal problem={problem} />}
      </Form>
    </Modal>
  );
}
