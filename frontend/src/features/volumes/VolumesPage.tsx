import { PlusOutlined } from '@ant-design/icons';
import { App, Button, Empty, Flex, Skeleton, Tabs } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useSearchParams } from 'react-router';
import { useMutation, useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Pages } from '@/components/Pages';
import { Problems } from '@/components/Problems';
import { problemIn } from '@/lib/errors';
import { DeleteDialog } from './DeleteDialog';
import { containersDocument, listDocument, restoreDocument, type Row, updateDocument } from './documents';
import { NameDialog } from './NameDialog';
import { PurgeDialog } from './PurgeDialog';
import { VolumeList } from './VolumeList';

/** Sizes are measured now and then, and nobody tells of it: the list is asked again as often. */
const every = 30_000;

export default function VolumesPage() {
  const { t } = useTranslation();
  const [parameters, setParameters] = useSearchParams();
  const [creating, setCreating] = useState(false);
  const trash = parameters.has('trash');
  const create = () => {
    setCreating(true);
  };
  const list = (inTrash: boolean) => <Volumes key={String(inTrash)} trash={inTrash} onCreate={create} />;
  return (
    <>
      <Heading title={t('app.volumes')}>
        <Button type="primary" icon={<PlusOutlined aria-hidden />} onClick={create}>
          {t('volume.new')}
        </Button>
      </Heading>
      <Tabs
        activeKey={trash ? 'trash' : 'volumes'}
        onChange={(key) => {
          setParameters(key === 'trash' ? { trash: '' } : {});
        }}
        destroyOnHidden
        items={[
          { key: 'volumes', label: t('volume.kept'), children: list(false) },
          { key: 'trash', label: t('volume.trash'), children: list(true) },
        ]}
      />
      {creating && (
        <NameDialog
          onClose={() => {
            setCreating(false);
          }}
        />
      )}
    </>
  );
}

type Doing = { what: 'rename' | 'delete' | 'purge'; row: Row };

function Volumes({ trash, onCreate }: { trash: boolean; onCreate: () => void }) {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  const navigate = useNavigate();
  const [starts, setStarts] = useState<(string | null)[]>([null]);
  const [doing, setDoing] = useState<Doing>();
  const [{ data, error }, ask] = useQuery({
    query: listDocument,
    variables: { after: starts.at(-1) ?? null, trash },
    requestPolicy: 'cache-and-network',
  });
  useEffect(() => {
    const timer = setInterval(() => {
      ask({ requestPolicy: 'network-only' });
    }, every);
    return () => {
      clearInterval(timer);
    };
  }, [ask]);
  const viewer = data?.viewer;
  const administers = viewer?.role === 'ADMIN';
  useSubscription({ query: containersDocument, variables: { all: administers }, pause: !viewer });
  const [, restore] = useMutation(restoreDocument);
  const [, update] = useMutation(updateDocument);
  const rows = data?.volumes.edges.map(({ node }) => node) ?? [];
  const tell = ({ error: wrong }: { error?: Parameters<typeof problemIn>[0] | undefined }) => {
    if (wrong) void message.error(problemIn(wrong).message, 8);
  };
  const done = () => {
    setDoing(undefined);
  };
  const publish = (row: Row) => {
    modal.confirm({
      title: t('volume.publishTitle', { name: row.name }),
      content: t('volume.publishText'),
      okText: t('volume.publish'),
      cancelText: t('app.cancel'),
      onOk: async () => {
        tell(await update({ id: row.id, input: { visibility: 'PUBLIC' } }));
      },
    });
  };
  const button = (label: string, row: Row, onClick: () => void, danger = false) => (
    <Button danger={danger} aria-label={`${label}: ${row.name}`} onClick={onClick}>
      {label}
    </Button>
  );
  const begin = (what: Doing['what'], row: Row) => () => {
    setDoing({ what, row });
  };
  const actions = (row: Row) => {
    const own = row.owner !== null && row.owner.id === viewer?.id;
    if (!own && !administers) return null;
    if (trash)
      return (
        <Flex gap="small" wrap>
          {button(t('volume.restore'), row, () => void restore({ id: row.id }).then(tell))}
          {button(t('volume.purge'), row, begin('purge', row), true)}
        </Flex>
      );
    return (
      <Flex gap="small" wrap>
        {own && button(t('image.use'), row, () => void navigate(`/containers?create&workspace=${encodeURIComponent(row.name)}`))}
        {button(t('volume.rename'), row, begin('rename', row))}
        {administers &&
          (row.visibility === 'PRIVATE'
            ? button(t('volume.publish'), row, () => {
                publish(row);
              })
            : button(t('volume.unpublish'), row, () => void update({ id: row.id, input: { visibility: 'PRIVATE' } }).then(tell)))}
        {button(t('volume.delete'), row, begin('delete', row), true)}
      </Flex>
    );
  };
  return (
    <>
      <Problems error={error} />
      {!data && !error && <Skeleton active />}
      {data && rows.length === 0 && (
        <Empty
          className="nothing"
          image={Empty.PRESENTED_IMAGE_SIMPLE}
          description={
            <>
              <div>{trash ? t('volume.trashEmpty') : t('volume.none')}</div>
              <div className="soft">{trash ? t('volume.trashHint') : t('volume.noneHint')}</div>
            </>
          }
        >
          {!trash && (
            <Button type="primary" size="large" onClick={onCreate}>
              {t('volume.first')}
            </Button>
          )}
        </Empty>
      )}
      {rows.length > 0 && <VolumeList rows={rows} trash={trash} viewerId={viewer?.id} actions={actions} />}
      <Pages starts={starts} info={data?.volumes.pageInfo} onTurn={setStarts} />
      {doing?.what === 'rename' && <NameDialog volume={doing.row} onClose={done} />}
      {doing?.what === 'delete' && <DeleteDialog volume={doing.row} onClose={done} />}
      {doing?.what === 'purge' && <PurgeDialog volume={doing.row} onClose={done} />}
    </>
  );
}
