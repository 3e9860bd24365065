import { Alert, Button, Empty, Flex, Form, Input, Modal, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { type Problem, problemIn } from '@/lib/errors';
import { shortReference } from '@/lib/format';
import { type Detail, updateDocument } from './documents';

/** Shares an image with people by their user names. */
export function ShareDialog({ image, onClose }: { image: Pick<Detail, 'id' | 'reference' | 'sharedWith'>; onClose: () => void }) {
  const { t } = useTranslation();
  const [{ fetching }, update] = useMutation(updateDocument);
  const [people, setPeople] = useState(() => image.sharedWith.map(({ username }) => username));
  const [typed, setTyped] = useState('');
  const [problem, setProblem] = useState<Problem>();
  const change = (next: string[]) => {
    setPeople(next);
    setProblem(undefined);
  };
  /** The people with those who are typed and not yet added. */
  const all = () => {
    const fresh = typed.split(/[\s,;，；、]+/).filter(Boolean);
    return [...people, ...fresh].filter((one, i, list) => list.findIndex((other) => other.toLowerCase() === one.toLowerCase()) === i);
  };
  const add = () => {
    change(all());
    setTyped('');
  };
  const submit = async () => {
    const wanted = all();
    change(wanted);
    setTyped('');
    const { error } = await update({ id: image.id, input: { sharedWithUsernames: wanted } });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  const wrong = problem && (problem.fields['sharedWithUsernames'] ?? problem.message);
  return (
    <Modal
      open
      title={t('image.shareTitle', { reference: shortReference(image.reference) })}
      okText={t('app.save')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => void submit()}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{t('image.shareText')}</p>
      <Form layout="vertical" component="div">
        <Form.Item label={t('account.username')} htmlFor="share-with" extra={t('image.shareHint')}>
          <Flex gap="small">
            <Input
              id="share-with"
              autoFocus
              autoComplete="off"
              value={typed}
              onChange={({ target }) => {
                setTyped(target.value);
              }}
              onPressEnter={add}
            />
            <Button onClick={add} disabled={typed.trim() === ''}>
              {t('image.add')}
            </Button>
          </Flex>
        </Form.Item>
      </Form>
      {people.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('image.sharedWithNone')} />}
      <ul className="tags" aria-label={t('image.sharedWith')}>
        {people.map((person) => (
          <li key={person}>
            <Tag
              closable={{ 'aria-label': t('image.removeOne', { name: person }) }}
              onClose={(event) => {
                event.preventDefault();
                change(people.filter((other) => other !== person));
              }}
            >
              {person}
            </Tag>
          </li>
        ))}
      </ul>
      {wrong && <Alert role="alert" type="error" showIcon title={wrong} />}
    </Modal>
  );
}
