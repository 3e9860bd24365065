import { BuildOutlined, ClearOutlined, CloudDownloadOutlined } from '@ant-design/icons';
import { App, Button, Empty, Flex, Skeleton, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router';
import { useMutation, useQuery, useSubscription } from 'urql';
import { Ago } from '@/components/Ago';
import { Heading } from '@/components/Heading';
import { Pages } from '@/components/Pages';
import { Problems } from '@/components/Problems';
import { type Column, Rows } from '@/components/Rows';
import { usePause } from '@/components/usePause';
import { problemIn } from '@/lib/errors';
import { bytes, shortReference } from '@/lib/format';
import { Catalogue } from './Catalogue';
import { DeleteDialog } from './DeleteDialog';
import { changedDocument, type Entry, listDocument, pullDocument, type Row } from './documents';
import { askedFor, everything, Filters, type Sought } from './Filters';
import { PruneDialog } from './PruneDialog';
import { PullDialog } from './PullDialog';
import { State } from './State';
import { cameToNothing, underWay } from './states';
import { useDeeds } from './useDeeds';
import { note } from './useImage';

/** The images, live; where they come from; and the catalogue. */
export default function ImagesPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { message } = App.useApp();
  const [after, setAfter] = useState<(string | null)[]>([null]);
  const [sought, setSought] = useState<Sought>(everything);
  const text = usePause(sought.text);
  const { where, orderBy } = askedFor({ ...sought, text });
  const [{ data, error, fetching }, ask] = useQuery({
    query: listDocument,
    variables: { after: after.at(-1) ?? null, where: where ?? null, orderBy: orderBy ?? null },
    requestPolicy: 'cache-and-network',
  });
  const viewer = data?.viewer;
  const administers = viewer?.role === 'ADMIN';
  const all = data?.images.edges.map(({ node }) => node) ?? [];
  // One that has left the state that is asked for is gone from the list at once.
  const rows = sought.status.length > 0 ? all.filter(({ status }) => sought.status.includes(status)) : all;
  const [strangers, setStrangers] = useState<ReadonlySet<string>>(new Set());
  useSubscription({ query: changedDocument, variables: { all: administers }, pause: !data }, (_, change) => {
    const { kind, image } = change.imageChanged;
    if (!image) return change;
    note(image);
    // It was shared just now, or has come into the state that is asked for: its place only the server says. Once for
    // each state, as a pull that is not in the list tells of itself ten times a second.
    const stranger = `${image.id} ${image.status}`;
    if (kind === 'UPDATED' && !all.some(({ id }) => id === image.id) && !strangers.has(stranger)) {
      setStrangers((before) => new Set(before).add(stranger));
      ask({ requestPolicy: 'network-only' });
    }
    return change;
  });
  const [pulling, setPulling] = useState(false);
  const [pruning, setPruning] = useState(false);
  const [deleting, setDeleting] = useState<Row>();
  const [, pull] = useMutation(pullDocument);
  const { giveUp, renew } = useDeeds();
  const mayChange = (row: Row) => administers || (row.owner !== null && row.owner.id === viewer?.id);
  const use = (id: string) => void navigate(`/containers?create&image=${id}`);
  const pullEntry = async ({ reference, minMemory }: Entry) => {
    const { error: wrong } = await pull({ input: { reference, minMemory } });
    if (wrong) void message.error(problemIn(wrong).message, 8);
    else window.scrollTo({ top: 0 }); // where its progress is shown
  };
  const openPull = () => {
    setPulling(true);
  };
  const build = () => void navigate('/images/build');
  return (
    <>
      <Heading title={t('app.images')}>
        {administers && (
          <Button
            icon={<ClearOutlined aria-hidden />}
            onClick={() => {
              setPruning(true);
            }}
          >
            {t('prune.open')}
          </Button>
        )}
        <Button icon={<BuildOutlined aria-hidden />} onClick={build}>
          {t('image.build')}
        </Button>
        <Button type="primary" icon={<CloudDownloadOutlined aria-hidden />} onClick={openPull}>
          {t('image.pull')}
        </Button>
      </Heading>
      <Filters
        sought={sought}
        onSeek={(next) => {
          setSought(next);
          setAfter([null]);
        }}
      />
      <Problems error={error} />
      {!data && fetching && <Skeleton active />}
      {data && rows.length === 0 && where && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('image.noMatch')} />}
      {data && rows.length === 0 && !where && (
        <Empty className="nothing" image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('image.none')}>
          <Flex gap="small" justify="center" wrap>
            <Button type="primary" size="large" onClick={openPull}>
              {t('image.pullFirst')}
            </Button>
            <Button size="large" onClick={build}>
              {t('image.buildFirst')}
            </Button>
            <Button size="large" href="#catalogue">
              {t('image.seeCatalogue')}
            </Button>
          </Flex>
        </Empty>
      )}
      {rows.length > 0 && (
        <List
          rows={rows}
          viewerId={viewer?.id}
          actions={(row) => (
            <Flex gap="small" wrap>
              {row.status === 'READY' && (
                <Named
                  what={t('image.use')}
                  row={row}
                  onClick={() => {
                    use(row.id);
                  }}
                />
              )}
              {mayChange(row) && row.status === 'READY' && row.updateAvailable && (
                <Named what={t('image.refresh')} row={row} onClick={() => void renew(row)} />
              )}
              {mayChange(row) && underWay(row.status) && <Named what={t('app.cancel')} row={row} onClick={() => void giveUp(row)} />}
              {mayChange(row) && cameToNothing(row.status) && row.source !== 'COMMIT' && (
                <Named what={row.source === 'PULL' ? t('image.again') : t('image.buildAgain')} row={row} onClick={() => void renew(row)} />
              )}
              {mayChange(row) && row.status !== 'DELETING' && (
                <Named
                  what={t('image.delete')}
                  row={row}
                  danger
                  onClick={() => {
                    setDeleting(row);
                  }}
                />
              )}
            </Flex>
          )}
        />
      )}
      <Pages starts={after} info={data?.images.pageInfo} onTurn={setAfter} />
      <Catalogue rows={all} onPull={pullEntry} onUse={use} />
      {pulling && (
        <PullDialog
          onClose={() => {
            setPulling(false);
          }}
        />
      )}
      {pruning && (
        <PruneDialog
          onClose={() => {
            setPruning(false);
            ask({ requestPolicy: 'network-only' });
          }}
        />
      )}
      {deleting && (
        <DeleteDialog
          image={deleting}
          onClose={() => {
            setDeleting(undefined);
          }}
        />
      )}
    </>
  );
}

/** A button that says to which image it belongs. */
function Named({ what, row, danger = false, onClick }: { what: string; row: Row; danger?: boolean; onClick: () => void }) {
  return (
    <Button danger={danger} aria-label={`${what}: ${shortReference(row.reference)}`} onClick={onClick}>
      {what}
    </Button>
  );
}

function List({ rows, viewerId, actions }: { rows: Row[]; viewerId: string | undefined; actions: (row: Row) => React.ReactNode }) {
  const { t, i18n } = useTranslation();
  const columns: Column<Row>[] = [
    { key: 'state', title: t('image.state'), of: (row) => <State row={row} /> },
    { key: 'source', title: t('image.source'), of: (row) => t(`source.${row.source}`) },
    {
      key: 'size',
      title: t('image.size'),
      of: ({ size }) => (size === null ? '–' : <span className="number">{bytes(size, i18n.language)}</span>),
    },
    {
      key: 'seen',
      title: t('image.seenBy'),
      of: ({ visibility }) => (
        <Tag color={visibility === 'PUBLIC' ? 'processing' : 'default'} style={{ marginInlineEnd: 0 }}>
          {t(`visibility.${visibility}`)}
        </Tag>
      ),
    },
    { key: 'created', title: t('container.created'), of: ({ createdAt }) => <Ago time={createdAt} /> },
  ];
  return (
    <Rows<Row>
      rows={rows}
      name={{
        title: t('image.reference'),
        of: (row) => (
          <>
            <Link className="inline" to={`/images/${row.id}`} title={row.reference} style={{ overflowWrap: 'anywhere' }}>
              {shortReference(row.reference)}
            </Link>
            {row.owner && row.owner.id !== viewerId && <div className="soft">{t('image.of', { owner: row.owner.username })}</div>}
          </>
        ),
      }}
      columns={columns}
      actions={actions}
    />
  );
}
