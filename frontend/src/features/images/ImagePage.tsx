import { Alert, Button, Card, Descriptions, Empty, Flex, Skeleton, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams } from 'react-router';
import { useQuery, useSubscription } from 'urql';
import { Ago } from '@/components/Ago';
import { CopyButton } from '@/components/CopyButton';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { StatusTag } from '@/components/StatusTag';
import { bytes, decimal, moment, plain, shortReference } from '@/lib/format';
import { lineIn } from './buildInput';
import { DeleteDialog } from './DeleteDialog';
import { type Detail, oneChangedDocument, oneDocument } from './documents';
import { DockerfileEditor } from './DockerfileEditor';
import { reasonIn } from './known';
import { Layers } from './Layers';
import { LogView } from './LogView';
import { MinimaDialog } from './MinimaDialog';
import { ShareDialog } from './ShareDialog';
import { State } from './State';
import { cameToNothing, underWay } from './states';
import { useDeeds } from './useDeeds';
import { note } from './useImage';

/** One image: what it is, how it came to be, and what can be done with it. */
export default function ImagePage() {
  const { t } = useTranslation();
  const { id = '' } = useParams();
  const [{ data, error, fetching }, ask] = useQuery({ query: oneDocument, variables: { id }, requestPolicy: 'cache-and-network' });
  const [begun, setBegun] = useState(0);
  const [status, setStatus] = useState<Detail['status']>();
  useSubscription({ query: oneChangedDocument, variables: { id }, pause: !data }, (_, change) => {
    const { image } = change.imageChanged;
    if (image) note(image);
    const now = image?.status;
    if (now === status) return change;
    // Its layers, its digest and its log are others once it has come to an end, or has begun anew.
    if (status !== undefined && now !== undefined) {
      ask({ requestPolicy: 'network-only' });
      if (underWay(now) && !underWay(status)) setBegun((n) => n + 1);
    }
    setStatus(now);
    return change;
  });
  const found = data?.node?.__typename === 'Image' ? data.node : undefined;
  if (found)
    return (
      <Details
        image={found}
        begun={begun}
        mine={found.owner !== null && found.owner.id === data?.viewer?.id}
        administers={data?.viewer?.role === 'ADMIN'}
      />
    );
  return (
    <>
      <Heading title={t('container.image')} />
      <Problems error={error} />
      {fetching && <Skeleton active />}
      {!fetching && !error && (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('image.gone')}>
          <Link to="/images">{t('image.back')}</Link>
        </Empty>
      )}
    </>
  );
}

type Props = { image: Detail; begun: number; mine: boolean; administers: boolean };

function Details({ image, begun, mine, administers }: Props) {
  const { t, i18n } = useTranslation();
  const navigate = useNavigate();
  const [doing, setDoing] = useState<'share' | 'minima' | 'delete'>();
  const { id, status, source } = image;
  const name = shortReference(image.reference);
  const mayChange = mine || administers;
  const done = () => {
    setDoing(undefined);
  };
  const failed = cameToNothing(status);
  const reason = image.statusMessage && reasonIn(plain(image.statusMessage), i18n.language);
  const edit = () => void navigate(`/images/build?from=${id}`);
  return (
    <>
      <Link to="/images">{t('image.back')}</Link>
      <Heading title={name}>
        <Deeds image={image} mayChange={mayChange} administers={administers} onDo={setDoing} />
      </Heading>
      <Flex vertical gap="middle">
        {status === 'READY' && image.updateAvailable && <Alert type="info" showIcon title={t('image.updateText')} />}
        {status === 'READY' && image.usedFallback && <Alert type="info" showIcon title={t('image.fallback')} />}
        {failed && (
          <Alert
            role="alert"
            type={status === 'FAILED' ? 'error' : 'info'}
            showIcon
            title={t(`status.${status}`)}
            description={reason && <pre className="plain">{reason}</pre>}
            action={
              mayChange &&
              source === 'BUILD' && (
                <Button size="small" type="primary" onClick={edit}>
                  {t('image.editAgain')}
                </Button>
              )
            }
          />
        )}
        <About image={image} />
        {(underWay(status) || failed || source === 'BUILD') && mayChange && (
          <Card title={<h2 className="part">{t('image.log')}</h2>}>
            <LogView key={begun} id={id} name={name} />
          </Card>
        )}
        {image.containers.length > 0 && (
          <Card title={<h2 className="part">{t('image.containers')}</h2>}>
            <ul className="plain">
              {image.containers.map((container) => (
                <li key={container.id}>
                  <Link className="inline" to={`/containers/${container.id}`}>
                    {container.name}
                  </Link>
                  <StatusTag status={container.status} />
                </li>
              ))}
            </ul>
          </Card>
        )}
        {image.dockerfile !== null && (
          <Card
            title={<h2 className="part">Dockerfile</h2>}
            extra={
              <Flex gap="small" wrap>
                <CopyButton text={image.dockerfile} label={t('image.copyDockerfile')} />
                <Button onClick={edit}>{t('image.buildChanged')}</Button>
              </Flex>
            }
          >
            <DockerfileEditor label="Dockerfile" value={image.dockerfile} line={failed ? lineIn(reason ?? undefined) : undefined} />
          </Card>
        )}
        {image.layers.length > 0 && (
          <Card title={<h2 className="part">{t('image.history')}</h2>}>
            <Layers layers={image.layers} />
          </Card>
        )}
      </Flex>
      {doing === 'share' && <ShareDialog image={image} onClose={done} />}
      {doing === 'minima' && <MinimaDialog image={image} onClose={done} />}
      {doing === 'delete' && <DeleteDialog image={image} onClose={done} onDeleted={() => void navigate('/images')} />}
    </>
  );
}

function Deeds({
  image,
  mayChange,
  administers,
  onDo,
}: {
  image: Detail;
  mayChange: boolean;
  administers: boolean;
  onDo: (what: 'share' | 'minima' | 'delete') => void;
}) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { giveUp, renew, publish, unpublish } = useDeeds();
  const { id, status, source } = image;
  const ready = status === 'READY';
  const renewWord = source === 'PULL' ? t('image.again') : t('image.buildAgain');
  return (
    <>
      {ready && (
        <Button type="primary" onClick={() => void navigate(`/containers?create&image=${id}`)}>
          {t('image.use')}
        </Button>
      )}
      {mayChange && underWay(status) && <Button onClick={() => void giveUp(image)}>{t('image.giveUp')}</Button>}
      {mayChange && (ready || cameToNothing(status)) && source !== 'COMMIT' && (
        <Button type={image.updateAvailable && ready ? 'primary' : 'default'} onClick={() => void renew(image)}>
          {image.updateAvailable && ready ? t('image.refresh') : renewWord}
        </Button>
      )}
      {mayChange && (
        <>
          <Button
            onClick={() => {
              onDo('share');
            }}
          >
            {t('image.share')}
          </Button>
          <Button
            onClick={() => {
              onDo('minima');
            }}
          >
            {t('image.minima')}
          </Button>
        </>
      )}
      {administers &&
        (image.visibility === 'PRIVATE' ? (
          <Button
            onClick={() => {
              publish(image);
            }}
          >
            {t('image.publish')}
          </Button>
        ) : (
          <Button onClick={() => void unpublish(image)}>{t('image.unpublish')}</Button>
        ))}
      {mayChange && status !== 'DELETING' && (
        <Button
          danger
          onClick={() => {
            onDo('delete');
          }}
        >
          {t('image.delete')}
        </Button>
      )}
    </>
  );
}

function About({ image }: { image: Detail }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const { source, form } = image;
  return (
    <Card>
      <Descriptions
        column={{ xs: 1, lg: 2 }}
        items={[
          { key: 'state', label: t('image.state'), children: <State row={image} message={!cameToNothing(image.status)} /> },
          { key: 'source', label: t('image.source'), children: t(`source.${source}`) },
          { key: 'reference', label: t('image.reference'), children: <code className="long">{image.reference}</code> },
          ...(source === 'PULL' && image.requestedReference !== image.reference
            ? [{ key: 'asked', label: t('image.requested'), children: <code className="long">{image.requestedReference}</code> }]
            : []),
          ...(image.digest ? [{ key: 'digest', label: t('image.digest'), children: <code className="long">{image.digest}</code> }] : []),
          { key: 'size', label: t('image.size'), children: image.size === null ? '–' : bytes(image.size, language) },
          { key: 'owner', label: t('image.owner'), children: image.owner?.username ?? '–' },
          {
            key: 'seen',
            label: t('image.seenBy'),
            children: (
              <span>
                <Tag color={image.visibility === 'PUBLIC' ? 'processing' : 'default'}>{t(`visibility.${image.visibility}`)}</Tag>
                {image.sharedWith.map(({ username }) => username).join(', ')}
              </span>
            ),
          },
          {
            key: 'minima',
            label: t('image.minima'),
            children: [
              t('container.cores', { count: image.minCpu, amount: decimal(image.minCpu, language, 2) }),
              bytes(image.minMemory, language),
              ...(image.minGpu > 0 ? [t('container.gpus', { count: image.minGpu })] : []),
            ].join(' · '),
          },
          { key: 'created', label: t('container.created'), children: <span className="number">{moment(image.createdAt, language)}</span> },
          { key: 'used', label: t('image.lastUsed'), children: image.lastUsedAt ? <Ago time={image.lastUsedAt} /> : t('image.neverUsed') },
          ...(form
            ? [
                {
                  key: 'form',
                  label: t('build.byForm'),
                  children: [form.base, ...(form.preset ? [form.preset] : []), ...form.packages, ...form.systemPackages].join(' · '),
                },
              ]
            : []),
        ]}
      />
    </Card>
  );
}
