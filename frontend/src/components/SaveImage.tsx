import { SaveOutlined } from '@ant-design/icons';
import { Alert, App, Button, Form, Input, Modal, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { useMutation } from 'urql';
import { graphql } from '@/gql/tada';
import { type Problem, problemIn } from '@/lib/errors';
import { Refusal } from './Refusal';

const commitDocument = graphql(`
  mutation CommitContainer($id: ID!, $input: CommitContainerInput!) {
    commitContainer(id: $id, input: $input) {
      image {
        id
        reference
        status
      }
    }
  }
`);

type Values = { name: string };

/** Saves what a container has written outside of its volumes as an image of one's own. */
function Dialog({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { message } = App.useApp();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, commit] = useMutation(commitDocument);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (input: Values) => {
    const { data, error } = await commit({ id, input: { name: input.name.trim() } });
    if (error) {
      setProblem(problemIn(error));
      return;
    }
    onClose();
    void message.success(t('commit.begun'), 4);
    if (data) void navigate(`/images/${data.commitContainer.image.id}`);
  };
  const wrong = problem?.fields['name'];
  return (
    <Modal
      open
      title={t('commit.title', { name })}
      okText={t('app.save')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{t('commit.text')}</p>
      <Alert type="warning" showIcon title={t('commit.volumes')} style={{ marginBottom: 12 }} />
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ name }}
        onFinish={(values) => void submit(values)}
        onValuesChange={() => {
          setProblem(undefined);
        }}
      >
        <Form.Item
          name="name"
          label={t('build.name')}
          extra={t('build.nameHint')}
          {...(wrong && { validateStatus: 'error' as const, help: wrong })}
        >
          <Input autoFocus autoComplete="off" maxLength={64} />
        </Form.Item>
      </Form>
      {problem && !wrong && <Refusal problem={problem} />}
    </Modal>
  );
}

/** The button for it, as an icon among a container's actions. */
export function SaveImage({ id, name }: { id: string; name: string }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Tooltip title={t('commit.open')}>
        <Button
          icon={<SaveOutlined aria-hidden />}
          aria-label={`${t('commit.open')}: ${name}`}
          onClick={() => {
            setOpen(true);
          }}
        />
      </Tooltip>
      {open && (
        <Dialog
          id={id}
          name={name}
          onClose={() => {
            setOpen(false);
          }}
        />
      )}
    </>
  );
}
