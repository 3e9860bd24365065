import { App, Button, Descriptions, Flex, Form, Input, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation, useQuery } from 'urql';
import { FileButton } from '@/components/FileButton';
import { Heading } from '@/components/Heading';
import { Portrait } from '@/components/Portrait';
import { Problems } from '@/components/Problems';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { bytes, day } from '@/lib/format';
import { profileDocument, removeAvatarDocument, updateProfileDocument, uploadAvatarDocument, type Profile } from './documents';
import { changes } from './door';

/** Who one is to others. */
export default function ProfilePage() {
  const { t, i18n } = useTranslation();
  const [{ data, error }] = useQuery({ query: profileDocument, requestPolicy: 'cache-and-network' });
  const viewer = data?.viewer;
  return (
    <>
      <Heading title={t('app.profile')} />
      <Problems error={error} />
      {!data && !error && <Skeleton active />}
      {viewer && (
        <>
          <Picture profile={viewer} largest={data.serverInfo.maxAvatarSize} />
          <section className="part" aria-labelledby="profile-names">
            <h2 className="part" id="profile-names">
              {t('profile.names')}
            </h2>
            <Names profile={viewer} />
          </section>
          <section className="part" aria-labelledby="profile-account">
            <h2 className="part" id="profile-account">
              {t('profile.account')}
            </h2>
            <Descriptions
              column={1}
              size="small"
              items={[
                { key: 'username', label: t('account.username'), children: viewer.username },
                { key: 'role', label: t('people.role'), children: t(`role.${viewer.role}`) },
                { key: 'created', label: t('people.since'), children: day(viewer.createdAt, i18n.language) },
                ...(viewer.expiresAt ? [{ key: 'ends', label: t('people.ends'), children: day(viewer.expiresAt, i18n.language) }] : []),
              ]}
            />
          </section>
        </>
      )}
    </>
  );
}

/** The picture: chosen, looked at, and only then sent. */
function Picture({ profile, largest }: { profile: Profile; largest: number }) {
  const { t, i18n } = useTranslation();
  const { message } = App.useApp();
  const [{ fetching: sending }, upload] = useMutation(uploadAvatarDocument);
  const [{ fetching: removing }, remove] = useMutation(removeAvatarDocument);
  const [chosen, setChosen] = useState<{ file: File; address: string }>();
  const [problem, setProblem] = useState<Problem>();
  const choose = (file: File) => {
    setProblem(undefined);
    if (file.size > largest) {
      setChosen(undefined);
      setProblem({
        code: 'BAD_USER_INPUT',
        message: t('profile.tooLarge', { size: bytes(file.size, i18n.language), largest: bytes(largest, i18n.language) }),
        fields: {},
      });
      return;
    }
    const reader = new FileReader();
    reader.onload = () => {
      setChosen({ file, address: reader.result as string });
    };
    reader.readAsDataURL(file);
  };
  const told = (wrong: Parameters<typeof problemIn>[0] | undefined, done: string) => {
    setProblem(wrong && problemIn(wrong));
    if (wrong) return;
    setChosen(undefined);
    void message.success(done);
  };
  const send = async () => {
    if (chosen) told((await upload({ file: chosen.file })).error, t('profile.pictureSaved'));
  };
  return (
    <section className="part" aria-labelledby="profile-picture">
      <h2 className="part" id="profile-picture">
        {t('profile.picture')}
      </h2>
      <Flex gap="middle" wrap align="center">
        {chosen ? (
          <img className="portrait" src={chosen.address} alt={t('profile.preview')} width={96} height={96} />
        ) : (
          <Portrait address={profile.avatarUrl} size={96} />
        )}
        <Flex vertical gap="small">
          <Flex gap="small" wrap>
            {chosen ? (
              <>
                <Button type="primary" loading={sending} onClick={() => void send()}>
                  {t('profile.usePicture')}
                </Button>
                <Button
                  onClick={() => {
                    setChosen(undefined);
                    setProblem(undefined);
                  }}
                >
                  {t('app.cancel')}
                </Button>
              </>
            ) : (
              <>
                <FileButton label={t('profile.choosePicture')} accept="image/png,image/jpeg,image/gif,image/webp" onFile={choose} />
                {profile.avatarUrl && (
                  <Button
                    danger
                    loading={removing}
                    onClick={() =>
                      void remove({}).then(({ error }) => {
                        told(error, t('profile.pictureRemoved'));
                      })
                    }
                  >
                    {t('profile.removePicture')}
                  </Button>
                )}
              </>
            )}
          </Flex>
          <div className="soft">{t('profile.pictureHint', { largest: bytes(largest, i18n.language) })}</div>
        </Flex>
      </Flex>
      {problem && (
        <div style={{ marginTop: 12 }}>
          <Refusal problem={{ ...problem, message: problem.fields['file'] ?? problem.message }} />
        </div>
      )}
    </section>
  );
}

type Values = { nickname: string; email: string };

function Names({ profile }: { profile: Profile }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, update] = useMutation(updateProfileDocument);
  const [problem, setProblem] = useState<Problem>();
  const before: Values = { nickname: profile.nickname ?? '', email: profile.email ?? '' };
  const submit = async (values: Values) => {
    const input = changes(before, { nickname: values.nickname.trim(), email: values.email.trim() });
    if (Object.keys(input).length > 0) {
      const { error } = await update({ input });
      if (error) {
        setProblem(problemIn(error));
        return;
      }
    }
    void message.success(t('app.saved'));
  };
  const fields = problem?.fields ?? {};
  const at = (name: keyof Values) => fields[name] && { validateStatus: 'error' as const, help: fields[name] };
  return (
    <Form<Values>
      form={form}
      layout="vertical"
      style={{ maxWidth: 400 }}
      initialValues={before}
      onFinish={(values) => void submit(values)}
      onValuesChange={() => {
        setProblem(undefined);
      }}
    >
      <Form.Item name="nickname" label={t('profile.nickname')} extra={t('profile.nicknameHint')} {...at('nickname')}>
        <Input autoComplete="nickname" />
      </Form.Item>
      <Form.Item name="email" label={t('account.email')} {...at('email')}>
        <Input type="email" autoComplete="email" />
      </Form.Item>
      {problem && !fields['nickname'] && !fields['email'] && <Refusal problem={problem} />}
      <Button type="primary" htmlType="submit" loading={fetching}>
        {t('app.save')}
      </Button>
    </Form>
  );
}
