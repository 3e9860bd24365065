import { App, Button, Empty, Flex, Form, Input, Modal, Select, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useClient, useMutation, useQuery } from 'urql';
import { Ago } from '@/components/Ago';
import { Pages } from '@/components/Pages';
import { Portrait } from '@/components/Portrait';
import { Problems } from '@/components/Problems';
import { Rows } from '@/components/Rows';
import { usePause } from '@/components/usePause';
import { problemIn, said } from '@/lib/errors';
import { bytes, day, decimal, endOfDay } from '@/lib/format';
import { deleteUsersDocument, namesDocument, type Person, updateUsersDocument, type UserChange, usersDocument } from './documents';
import { EndOfTermDialog } from './EndOfTermDialog';
import { type Given, OneTimePassword } from './OneTimePassword';
import { filterOf, type Order, orderOf, orders, parts, type Role, roles, type State, states } from './people';
import { PersonDrawer } from './PersonDrawer';
import { QuotaDialog } from './QuotaDialog';
import { Standing } from './Standing';

/** As many as endOfTerm takes at once. */
const most = 1_000;

type Result = { id: string; code: string | null; message: string | null };

/** Everybody with an account, what they use and what they may, and what can be done with one or many. */
export function Accounts() {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const { message, modal } = App.useApp();
  const client = useClient();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>();
  const [state, setState] = useState<State>();
  const [order, setOrder] = useState<Order>('newest');
  const [starts, setStarts] = useState<(string | null)[]>([null]);
  // Names go with the ids: who is on another page is to be named too.
  const [chosen, setChosen] = useState<ReadonlyMap<string, string>>(new Map());
  const [openId, setOpenId] = useState<string>();
  const [limiting, setLimiting] = useState<Person>();
  const [given, setGiven] = useState<Given>();
  const [dating, setDating] = useState(false);
  const [ending, setEnding] = useState(false);
  const [busy, setBusy] = useState(false);
  const [, update] = useMutation(updateUsersDocument);
  const [, remove] = useMutation(deleteUsersDocument);
  const sought = usePause(name);
  const where = filterOf(sought, role, state);
  const orderBy = orderOf[order];
  const [{ data, error }] = useQuery({
    query: usersDocument,
    variables: { after: starts.at(-1) ?? null, where, orderBy },
    requestPolicy: 'cache-and-network',
  });
  const rows = data?.users.edges.map(({ node }) => node) ?? [];
  const total = data?.users.totalCount ?? 0;
  const open = rows.find(({ id }) => id === openId);
  const ids = [...chosen.keys()];
  const count = ids.length;
  const first = <T,>(set: (value: T) => void) => {
    return (value: T) => {
      set(value);
      setStarts([null]);
    };
  };
  const choose = (wanted: string[]) => {
    const called = new Map([...chosen, ...rows.map(({ id, username }): [string, string] => [id, username])]);
    setChosen(new Map(wanted.map((id) => [id, called.get(id) ?? id])));
  };
  const chooseAll = async () => {
    setBusy(true);
    const all = new Map<string, string>();
    let after: string | null = null;
    do {
      const answer: {
        data?:
          | { users: { edges: { node: { id: string; username: string } }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } }
          | undefined;
      } = await client.query(namesDocument, { after, where, orderBy }, { requestPolicy: 'network-only' }).toPromise();
      for (const { node } of answer.data?.users.edges ?? []) all.set(node.id, node.username);
      after = answer.data?.users.pageInfo.hasNextPage ? answer.data.users.pageInfo.endCursor : null;
    } while (after && all.size < most);
    setChosen(new Map([...all].slice(0, most)));
    setBusy(false);
  };

  /** In parts of a hundred; says of whom it was refused, and why, and keeps those selected. */
  const each = async (
    act: (part: string[]) => Promise<{ results: readonly Result[] | undefined; error: Parameters<typeof problemIn>[0] | undefined }>,
    done: (count: number) => string,
  ) => {
    setBusy(true);
    const refused: Result[] = [];
    let changed = 0;
    for (const part of parts(ids)) {
      const { results, error: wrong } = await act(part);
      if (wrong) {
        void message.error(problemIn(wrong).message, 8);
        setBusy(false);
        return;
      }
      const bad = results?.filter(({ code }) => code !== null) ?? [];
      refused.push(...bad);
      changed += (results?.length ?? 0) - bad.length;
    }
    setBusy(false);
    setChosen(new Map(refused.map(({ id }) => [id, chosen.get(id) ?? id])));
    if (changed > 0) void message.success(done(changed), 4);
    if (refused.length > 0)
      modal.error({
        title: t('people.refused', { count: refused.length }),
        content: (
          <ul>
            {refused.map((one) => (
              <li key={one.id}>{`${chosen.get(one.id) ?? one.id}: ${said(one.code ?? '', one.message ?? '')}`}</li>
            ))}
          </ul>
        ),
        okText: t('app.close'),
      });
  };
  const change = (input: UserChange) =>
    each(
      async (part) => {
        const result = await update({ ids: part, input });
        return { results: result.data?.updateUsers, error: result.error };
      },
      (n) => t('people.changed', { count: n }),
    );
  const confirm = () => {
    const names = [...chosen.values()];
    modal.confirm({
      title: t('people.deleteAllTitle', { count }),
      content: (
        <>
          <p>{t('people.deleteText')}</p>
          <p style={{ overflowWrap: 'anywhere' }}>{names.length > 20 ? `${names.slice(0, 20).join(', ')} …` : names.join(', ')}</p>
        </>
      ),
      okText: t('people.delete'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: () =>
        each(
          async (part) => {
            const result = await remove({ ids: part });
            return { results: result.data?.deleteUsers, error: result.error };
          },
          (n) => t('people.deleted', { count: n }),
        ),
    });
  };
  const of = (used: number, limit: number, say: (n: number) => string) => <span className="number">{`${say(used)} / ${say(limit)}`}</span>;
  const size = (n: number) => bytes(n, language);
  const plain = (n: number) => decimal(n, language, 2);

  return (
    <>
      <Flex gap="small" wrap style={{ margin: '4px 0 12px' }}>
        <Input
          type="search"
          value={name}
          aria-label={t('admin.find')}
          placeholder={t('admin.find')}
          allowClear
          onChange={(event) => {
            setName(event.target.value);
            setStarts([null]);
          }}
          style={{ width: 220 }}
        />
        <Select<Role>
          aria-label={t('people.anyRole')}
          placeholder={t('people.anyRole')}
          allowClear
          value={role ?? null}
          onChange={first<Role | undefined>(setRole)}
          options={roles.map((value) => ({ value, label: t(`role.${value}`) }))}
          style={{ width: 150 }}
        />
        <Select<State>
          aria-label={t('people.anyState')}
          placeholder={t('people.anyState')}
          allowClear
          value={state ?? null}
          onChange={first<State | undefined>(setState)}
          options={states.map((value) => ({ value, label: t(`userState.${value}`) }))}
          style={{ width: 150 }}
        />
        <Select<Order>
          aria-label={t('people.order')}
          value={order}
          onChange={first<Order>(setOrder)}
          options={orders.map((value) => ({ value, label: t(`userOrder.${value}`) }))}
          style={{ width: 180 }}
        />
      </Flex>
      {count > 0 && (
        <Flex gap="small" wrap align="center" role="group" aria-label={t('container.selected', { count })} style={{ marginBottom: 12 }}>
          <strong>{t('container.selected', { count })}</strong>
          {total > count && (
            <Button type="link" disabled={busy} onClick={() => void chooseAll()}>
              {total > most ? t('people.chooseMost', { count: most }) : t('people.chooseAll', { count: total })}
            </Button>
          )}
          <Button disabled={busy} onClick={() => void change({ suspended: true })}>
            {t('people.suspend')}
          </Button>
          <Button disabled={busy} onClick={() => void change({ suspended: false })}>
            {t('people.unsuspend')}
          </Button>
          <Button
            disabled={busy}
            onClick={() => {
              setDating(true);
            }}
          >
            {t('people.setEnd')}
          </Button>
          <Button
            disabled={busy}
            onClick={() => {
              setEnding(true);
            }}
          >
            {t('people.endOfTerm')}
          </Button>
          <Button danger disabled={busy} onClick={confirm}>
            {t('people.delete')}
          </Button>
          <Button
            type="text"
            onClick={() => {
              setChosen(new Map());
            }}
          >
            {t('people.chooseNone')}
          </Button>
        </Flex>
      )}
      <Problems error={error} />
      {!data && !error && <Skeleton active />}
      {data && rows.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('people.noMatch')} />}
      {rows.length > 0 && (
        <Rows<Person>
          rows={rows}
          select={{ chosen: ids, onChoose: choose, label: (row) => t('container.select', { name: row.username }) }}
          name={{
            title: t('account.username'),
            of: (row) => (
              <Flex gap="small" align="center">
                <Portrait address={row.avatarUrl} />
                <div>
                  <Button
                    type="link"
                    style={{ padding: 0, height: 'auto' }}
                    aria-haspopup="dialog"
                    onClick={() => {
                      setOpenId(row.id);
                    }}
                  >
                    {row.username}
                  </Button>{' '}
                  <Standing person={row} />
                  {row.nickname && <div className="soft">{row.nickname}</div>}
                </div>
              </Flex>
            ),
          }}
          columns={[
            { key: 'email', title: t('account.email'), of: (row) => <span style={{ overflowWrap: 'anywhere' }}>{row.email ?? '–'}</span> },
            { key: 'containers', title: t('quota.containers'), of: (row) => of(row.usage.containers, row.quota.maxContainers, plain) },
            { key: 'cpu', title: t('quota.cpu'), of: (row) => of(row.usage.cpu, row.quota.maxCpu, plain) },
            { key: 'memory', title: t('quota.memory'), of: (row) => of(row.usage.memory, row.quota.maxMemory, size) },
            { key: 'seen', title: t('admin.lastSeen'), of: (row) => <Ago time={row.lastSeenAt} /> },
            { key: 'ends', title: t('people.ends'), of: (row) => (row.expiresAt ? day(row.expiresAt, language) : '–') },
          ]}
          actions={(row) => (
            <Button
              aria-label={t('admin.quotaOf', { name: row.username })}
              onClick={() => {
                setLimiting(row);
              }}
            >
              {t('admin.quota')}
            </Button>
          )}
        />
      )}
      <Pages starts={starts} info={data?.users.pageInfo} onTurn={setStarts} />
      {open && (
        <PersonDrawer
          key={open.id}
          person={open}
          own={open.id === data?.viewer?.id}
          onClose={() => {
            setOpenId(undefined);
          }}
          onQuota={() => {
            setLimiting(open);
          }}
          onPassword={setGiven}
        />
      )}
      {limiting && (
        <QuotaDialog
          person={limiting}
          onClose={() => {
            setLimiting(undefined);
          }}
        />
      )}
      {given && (
        <OneTimePassword
          given={given}
          onClose={() => {
            setGiven(undefined);
          }}
        />
      )}
      {dating && (
        <EndDialog
          count={count}
          onClose={() => {
            setDating(false);
          }}
          onChosen={(expiresAt) => {
            setDating(false);
            void change({ expiresAt });
          }}
        />
      )}
      {ending && (
        <EndOfTermDialog
          ids={ids}
          onClose={() => {
            setEnding(false);
          }}
          onDone={() => {
            setEnding(false);
            setChosen(new Map());
          }}
        />
      )}
    </>
  );
}

type EndProps = { count: number; onClose: () => void; onChosen: (expiresAt: string | null) => void };

/** The last day of several accounts. */
function EndDialog({ count, onClose, onChosen }: EndProps) {
  const { t } = useTranslation();
  const [form] = Form.useForm<{ last: string }>();
  return (
    <Modal
      open
      title={t('people.setEndTitle', { count })}
      okText={t('app.save')}
      cancelText={t('app.cancel')}
      onOk={() => {
        form.submit();
      }}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form
        form={form}
        layout="vertical"
        initialValues={{ last: '' }}
        onFinish={({ last }) => {
          onChosen(endOfDay(last) ?? null);
        }}
      >
        <Form.Item name="last" label={t('people.lastDay')} extra={t('security.lastDayHint')}>
          <Input type="date" autoFocus style={{ width: 180 }} />
        </Form.Item>
      </Form>
    </Modal>
  );
}
