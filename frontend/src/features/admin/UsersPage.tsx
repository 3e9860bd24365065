import { Alert, Button, Form, Input, InputNumber, Modal, Space, Table, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation, useQuery } from 'urql';
import { Heading } from '@/components/Heading';
import { Pages } from '@/components/Pages';
import { Problems } from '@/components/Problems';
import { usePause } from '@/components/usePause';
import { graphql, type ResultOf } from '@/gql/tada';
import { type Problem, problemIn } from '@/lib/errors';
import { ago, bytes, decimal } from '@/lib/format';

const personFragment = graphql(`
  fragment Person on User {
    id
    username
    nickname
    email
    role
    lastSeenAt
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
    usage {
      containers
      cpu
      memory
      gpu
      images
      volumes
      disk
    }
  }
`);
const usersDocument = graphql(
  `
    query Users($after: Cursor, $where: UserFilter) {
      users(first: 20, after: $after, where: $where) {
        edges {
          cursor
          node {
            ...Person
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [personFragment],
);
const quotaDocument = graphql(`
  mutation SetQuota($userId: ID!, $input: QuotaInput!) {
    setQuota(userId: $userId, input: $input) {
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
  }
`);

type Person = ResultOf<typeof personFragment>;
type Quota = Person['quota'];

const GiB = 1024 ** 3;
const fields = ['maxContainers', 'maxCpu', 'maxMemory', 'maxGpu', 'maxImages', 'maxVolumes', 'maxDisk'] as const;
const inGiB = new Set<string>(['maxMemory', 'maxDisk']);
type Values = Partial<Record<(typeof fields)[number], number | null>>;

function QuotaDialog({ person, onClose }: { person: Person; onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const [{ fetching }, set] = useMutation(quotaDocument);
  const [problem, setProblem] = useState<Problem>();
  const shown = (quota: Quota): Values =>
    Object.fromEntries(fields.map((name) => [name, inGiB.has(name) ? quota[name] / GiB : quota[name]]));
  const submit = async (values: Values) => {
    const before = shown(person.quota);
    const changed = fields.filter((name) => values[name] !== before[name] && typeof values[name] === 'number');
    const input = Object.fromEntries(changed.map((name) => [name, inGiB.has(name) ? Math.round((values[name] ?? 0) * GiB) : values[name]]));
    if (changed.length === 0) {
      onClose();
      return;
    }
    const { error } = await set({ userId: person.id, input });
    if (error) setProblem(problemIn(error));
    else onClose();
  };
  return (
    <Modal
      open
      title={t('admin.quotaOf', { name: person.username })}
      okText={t('app.save')}
      cancelText={t('app.cancel')}
      confirmLoading={fetching}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <p>{t('admin.quotaHint')}</p>
      <Form<Values> form={form} layout="vertical" initialValues={shown(person.quota)} onFinish={(values) => void submit(values)}>
        <Space wrap align="start">
          {fields.map((name) => (
            <Form.Item
              key={name}
              name={name}
              label={t(`limits.${name}`)}
              {...(problem?.fields[name] && { validateStatus: 'error' as const, help: problem.fields[name] })}
            >
              <InputNumber min={0} style={{ width: 200 }} />
            </Form.Item>
          ))}
        </Space>
        {problem && Object.keys(problem.fields).length === 0 && <Alert role="alert" type="error" showIcon title={problem.message} />}
      </Form>
    </Modal>
  );
}

/** Everybody with an account, what they use and what they may. */
export default function UsersPage() {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const [name, setName] = useState('');
  const [after, setAfter] = useState<(string | null)[]>([null]);
  const [editing, setEditing] = useState<Person>();
  const [now] = useState(() => Date.now());
  const filter = usePause(name);
  const [{ data, error, fetching }] = useQuery({
    query: usersDocument,
    variables: { after: after.at(-1) ?? null, where: filter ? { nameContains: filter } : null },
    requestPolicy: 'cache-and-network',
  });
  const rows = data?.users.edges.map(({ node }) => node) ?? [];
  return (
    <>
      <Heading title={t('app.users')}>
        <Input
          type="search"
          value={name}
          aria-label={t('admin.find')}
          placeholder={t('admin.find')}
          allowClear
          onChange={(event) => {
            setName(event.target.value);
            setAfter([null]);
          }}
        />
      </Heading>
      <Problems error={error} />
      <Table<Person>
        className="wide"
        rowKey="id"
        loading={fetching && !data}
        dataSource={rows}
        pagination={false}
        columns={[
          {
            title: t('account.username'),
            render: (_, u) => (
              <>
                {u.username} {u.nickname && `(${u.nickname})`} {u.role === 'ADMIN' && <Tag color="blue">{t('admin.role')}</Tag>}
              </>
            ),
          },
          { title: t('account.email'), render: (_, u) => u.email },
          { title: t('quota.containers'), render: (_, u) => `${String(u.usage.containers)} / ${String(u.quota.maxContainers)}` },
          { title: t('quota.cpu'), render: (_, u) => `${decimal(u.usage.cpu, language, 2)} / ${decimal(u.quota.maxCpu, language, 2)}` },
          { title: t('quota.memory'), render: (_, u) => `${bytes(u.usage.memory, language)} / ${bytes(u.quota.maxMemory, language)}` },
          { title: t('admin.lastSeen'), render: (_, u) => (u.lastSeenAt ? ago(u.lastSeenAt, now, language) : '–') },
          {
            title: t('container.actions'),
            render: (_, u) => (
              <Button
                aria-label={t('admin.quotaOf', { name: u.username })}
                onClick={() => {
                  setEditing(u);
                }}
              >
                {t('admin.quota')}
              </Button>
            ),
          },
        ]}
      />
      <Pages starts={after} info={data?.users.pageInfo} onTurn={setAfter} />
      {editing && (
        <QuotaDialog
          person={editing}
          onClose={() => {
            setEditing(undefined);
          }}
        />
      )}
    </>
  );
}
