import { Alert, App, Button, type ButtonProps, Form, Input, Modal, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation, useQuery } from 'urql';
import { graphql } from '@/gql/tada';
import { type Problem, problemIn, type Short } from '@/lib/errors';
import { limitsInput, limitNames, limitOf, shownLimits, type SomeLimits } from '@/lib/quota';
import { Ago } from './Ago';
import { LimitList } from './LimitList';
import { QuotaFields } from './QuotaFields';

const requestsDocument = graphql(`
  query OwnQuotaRequests {
    viewer {
      id
      quota {
        id
        maxContainers
        maxCpu
        maxMemory
        maxGpu
        maxImages
        maxVolumes
        maxDisk
      }
    }
    quotaRequests(first: 5) {
      edges {
        cursor
        node {
          id
          status
          answer
          reason
          createdAt
          user {
            id
          }
          limits {
            maxContainers
            maxCpu
            maxMemory
            maxGpu
            maxImages
            maxVolumes
            maxDisk
          }
        }
      }
    }
  }
`);
const requestDocument = graphql(`
  mutation RequestQuota($input: RequestQuotaInput!) {
    requestQuota(input: $input) {
      quotaRequest {
        id
        status
      }
    }
  }
`);

type Values = SomeLimits & { reason?: string };

/** Asks the administrators for more quota, beginning with what there was too little of. */
function Dialog({ short, onClose }: { short: Short | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [form] = Form.useForm<Values>();
  const [{ data }] = useQuery({ query: requestsDocument, requestPolicy: 'cache-and-network' });
  const [{ fetching }, request] = useMutation(requestDocument);
  const [problem, setProblem] = useState<Problem>();
  const viewer = data?.viewer;
  const last = data?.quotaRequests.edges.find(({ node }) => node.user?.id === viewer?.id)?.node;
  const wanted = short?.resource ? limitOf(short.resource) : undefined;
  const start: SomeLimits =
    wanted && typeof short?.used === 'number' && typeof short.requested === 'number'
      ? shownLimits({ [wanted]: short.used + short.requested })
      : {};
  const submit = async ({ reason, ...values }: Values) => {
    const limits = limitsInput(values, viewer?.quota);
    if (Object.keys(limits).length === 0) {
      setProblem({ code: 'BAD_USER_INPUT', message: t('request.nothing'), fields: {} });
      return;
    }
    const { error } = await request({ input: { limits, ...(reason?.trim() && { reason: reason.trim() }) } });
    if (error) {
      setProblem(problemIn(error));
      return;
    }
    void message.success(t('request.sent'), 6);
    onClose();
  };
  const fields = problem?.fields ?? {};
  const atField = limitNames.some((name) => fields[name]) || fields['reason'];
  return (
    <Modal
      open
      title={t('request.title')}
      okText={t('request.send')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{t('request.text')}</p>
      {last && (
        <Alert
          type="info"
          style={{ marginBottom: 12 }}
          title={
            <>
              {t('request.last')} <Ago time={last.createdAt} /> <Tag>{t(`requestStatus.${last.status}`)}</Tag>
            </>
          }
          description={
            <>
              <LimitList limits={last.limits} />
              {last.answer && <p>{last.answer}</p>}
              {last.status === 'OPEN' && <p>{t('request.replaces')}</p>}
            </>
          }
        />
      )}
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ ...start, reason: '' }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <QuotaFields problems={fields} otherwise={viewer ? shownLimits(viewer.quota) : {}} />
        <Form.Item
          name="reason"
          label={t('request.reason')}
          {...(fields['reason'] && { validateStatus: 'error' as const, help: fields['reason'] })}
        >
          <Input.TextArea rows={3} maxLength={1000} />
        </Form.Item>
        {problem && !atField && <Alert role="alert" type="error" showIcon title={problem.message} />}
      </Form>
    </Modal>
  );
}

/** Where a quota is in the way: the way to more. */
export function AskForMore({ short, ...button }: { short?: Short | undefined } & Pick<ButtonProps, 'size' | 'block' | 'type'>) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        {...button}
        onClick={() => {
          setOpen(true);
        }}
      >
        {t('request.ask')}
      </Button>
      {open && (
        <Dialog
          short={short}
          onClose={() => {
            setOpen(false);
          }}
        />
      )}
    </>
  );
}
