import { Alert, Button, Checkbox, Collapse, Flex, Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { useMutation } from 'urql';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { shortReference } from '@/lib/format';
import { pullDocument } from './documents';
import { type Minima, minimaFields, minimaInput } from './minima';
import { MinimaFields } from './MinimaFields';
import { Pulling } from './Pulling';
import { faultOf } from './reference';

type Values = Minima & { reference: string; preferSlim: boolean };

const examples = ['python:3.12', 'node:22', 'quay.io/jupyter/minimal-notebook:latest'];

/** Asks for an image, and shows how it comes. Closing it stops nothing. */
export function PullDialog({ reference = '', onClose }: { reference?: string; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, pull] = useMutation(pullDocument);
  const [problem, setProblem] = useState<Problem>();
  const [asked, setAsked] = useState<string>();
  const typed = Form.useWatch('reference', form) as string | undefined;
  const fault = faultOf(typed ?? '');
  const submit = async ({ reference: wanted, preferSlim, ...minima }: Values) => {
    const { data, error } = await pull({ input: { reference: wanted.trim(), preferSlim, ...minimaInput(minima) } });
    if (error) setProblem(problemIn(error));
    else setAsked(data?.pullImage.image.id);
  };
  const wrong = problem?.fields['reference'] ?? (fault && t(`referenceFault.${fault}`));
  const atField = problem && ['reference', ...minimaFields].some((field) => problem.fields[field]);
  return (
    <Modal
      open
      title={t('image.pullTitle')}
      onCancel={onClose}
      destroyOnHidden
      {...(asked
        ? {
            footer: (
              <Button type="primary" onClick={onClose}>
                {t('app.close')}
              </Button>
            ),
          }
        : {
            okText: t('image.pull'),
            cancelText: t('app.cancel'),
            confirmLoading: fetching,
            onOk: () => {
              form.submit();
            },
          })}
    >
      {asked ? (
        <Pulling
          id={asked}
          onUse={() => void navigate(`/containers?create&image=${asked}`)}
          onAgain={() => {
            setAsked(undefined);
          }}
        />
      ) : null}
      {/* It stays, so that what failed can be mended and asked again. */}
      <Form<Values>
        form={form}
        layout="vertical"
        style={{ display: asked ? 'none' : undefined }}
        initialValues={{ reference, preferSlim: true }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <Form.Item
          name="reference"
          label={t('image.reference')}
          extra={
            <>
              {t('image.referenceHint')}
              <Flex gap="small" wrap style={{ marginTop: 4 }}>
                {examples.map((example) => (
                  <Button
                    key={example}
                    size="small"
                    onClick={() => {
                      form.setFieldValue('reference', example);
                      setProblem(undefined);
                    }}
                  >
                    {shortReference(example)}
                  </Button>
                ))}
              </Flex>
            </>
          }
          {...(wrong && { validateStatus: 'error' as const, help: wrong })}
        >
          <Input autoFocus placeholder="python:3.12" autoComplete="off" spellCheck={false} />
        </Form.Item>
        <Form.Item name="preferSlim" valuePropName="checked" extra={t('image.slimHint')}>
          <Checkbox>{t('image.slim')}</Checkbox>
        </Form.Item>
        <Collapse
          ghost
          size="small"
          items={[
            { key: 'minima', label: t('image.minima'), forceRender: true, children: <MinimaFields problems={problem?.fields ?? {}} /> },
          ]}
        />
        {problem && !atField && <Refusal problem={problem} />}
        {fetching && <Alert type="info" title={t('image.asking')} />}
      </Form>
    </Modal>
  );
}
