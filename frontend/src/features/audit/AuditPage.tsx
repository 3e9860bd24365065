import { Button, Empty, Flex, Input, Select, Skeleton, Switch, Tag } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useClient, useQuery } from 'urql';
import { CopyButton } from '@/components/CopyButton';
import { Heading } from '@/components/Heading';
import { Pages } from '@/components/Pages';
import { Problems } from '@/components/Problems';
import { Rows } from '@/components/Rows';
import { usePause } from '@/components/usePause';
import type en from '@/lib/i18n/en.json';
import { moment } from '@/lib/format';
import { addedDocument, type AuditFilter, type Event, eventsDocument, peopleDocument, whoDocument } from './documents';
import { filterOf, merged, names, outcomes, type Sought } from './filter';

/** As many as one looks at; more are on the next pages. */
const kept = 200;
const colours = { ALLOWED: 'success', DENIED: 'warning', FAILED: 'error' } as const;
const categories = ['account', 'session', 'token', 'user', 'quota', 'invitation', 'container', 'image', 'volume'];

/** Who did what, on what, and what came of it. */
export default function AuditPage() {
  const { t } = useTranslation();
  const [parameters, setParameters] = useSearchParams();
  const [{ data }] = useQuery({ query: whoDocument });
  const [live, setLive] = useState(true);
  const administers = data?.viewer?.role === 'ADMIN';
  const sought = Object.fromEntries(names.map((name) => [name, parameters.get(name) ?? ''])) as Sought;
  const seek = (changed: Partial<Sought>) => {
    setParameters(Object.fromEntries(Object.entries({ ...sought, ...changed }).filter(([, value]) => value !== '')), { replace: true });
  };
  const where = filterOf(sought);
  return (
    <>
      <Heading title={t('app.audit')}>
        {administers && (
          <label className="switch">
            <Switch checked={live} onChange={setLive} aria-label={t('audit.live')} /> {t('audit.live')}
          </label>
        )}
      </Heading>
      <p className="hint">{administers ? t('audit.all') : t('audit.own')}</p>
      <Filters sought={sought} administers={administers} onSeek={seek} />
      {data && <Events key={JSON.stringify(where)} where={where} follow={administers} live={live} onSeek={seek} />}
    </>
  );
}

type FilterProps = { sought: Sought; administers: boolean; onSeek: (changed: Partial<Sought>) => void };

function Filters({ sought, administers, onSeek }: FilterProps) {
  const { t } = useTranslation();
  const field = (name: 'after' | 'before', label: string) => (
    <label className="filter">
      <span className="soft">{label}</span>
      <Input
        type="datetime-local"
        value={sought[name]}
        onChange={({ target }) => {
          onSeek({ [name]: target.value });
        }}
        style={{ width: 200 }}
      />
    </label>
  );
  return (
    <Flex gap="small" wrap align="end" style={{ marginBottom: 12 }}>
      {administers && (
        <Person
          value={sought.actor}
          onChange={(actor) => {
            onSeek({ actor });
          }}
        />
      )}
      <Typed
        key={`action ${sought.action}`}
        label={t('audit.action')}
        value={sought.action}
        hint="container, account.login"
        list={categories.map((name) => `${name}.`)}
        onChange={(action) => {
          onSeek({ action });
        }}
      />
      <label className="filter">
        <span className="soft">{t('audit.outcome')}</span>
        <Select
          aria-label={t('audit.outcome')}
          allowClear
          placeholder={t('audit.any')}
          value={sought.outcome || null}
          onChange={(outcome: string | undefined) => {
            onSeek({ outcome: outcome ?? '' });
          }}
          options={outcomes.map((value) => ({ value, label: t(`outcome.${value}`) }))}
          style={{ width: 130 }}
        />
      </label>
      <Typed
        key={`target ${sought.target}`}
        label={t('audit.target')}
        value={sought.target}
        hint="ctr_…"
        onChange={(target) => {
          onSeek({ target });
        }}
      />
      {field('after', t('audit.after'))}
      {field('before', t('audit.before'))}
      {names.some((name) => sought[name] !== '') && (
        <Button
          onClick={() => {
            onSeek({ actor: '', action: '', outcome: '', target: '', after: '', before: '' });
          }}
        >
          {t('audit.clear')}
        </Button>
      )}
    </Flex>
  );
}

type TypedProps = { label: string; value: string; hint: string; list?: string[]; onChange: (value: string) => void };

/** A field that is asked with once it is left or Enter is pressed, and not for each letter. */
function Typed({ label, value, hint, list, onChange }: TypedProps) {
  const [text, setText] = useState(value);
  const done = (next: string) => {
    if (next.trim() !== value) onChange(next.trim());
  };
  return (
    <label className="filter">
      <span className="soft">{label}</span>
      <Input
        value={text}
        allowClear
        placeholder={hint}
        {...(list && { list: `list-${label}` })}
        onChange={({ target, type }) => {
          setText(target.value);
          // The cross empties it without Enter.
          if (type === 'click') done(target.value);
        }}
        onPressEnter={() => {
          done(text);
        }}
        onBlur={() => {
          done(text);
        }}
        style={{ width: 190 }}
      />
      {list && (
        <datalist id={`list-${label}`}>
          {list.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
    </label>
  );
}

/** Whose deeds: found by name, as nobody knows ids. */
function Person({ value, onChange }: { value: string; onChange: (id: string) => void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState('');
  const sought = usePause(typed);
  const [{ data, fetching }] = useQuery({ query: peopleDocument, variables: { where: sought ? { nameContains: sought } : null } });
  const people = data?.users.edges.map(({ node }) => ({ value: node.id, label: node.username })) ?? [];
  return (
    <label className="filter">
      <span className="soft">{t('audit.actor')}</span>
      <Select
        aria-label={t('audit.actor')}
        allowClear
        showSearch={{ filterOption: false, onSearch: setTyped }}
        placeholder={t('audit.any')}
        loading={fetching}
        value={value || null}
        onChange={(id: string | undefined) => {
          onChange(id ?? '');
        }}
        options={people}
        notFoundContent={t('people.noMatch')}
        style={{ width: 170 }}
      />
    </label>
  );
}

type EventsProps = {
  where: AuditFilter | null;
  /** Whoever administers is told of what comes. */
  follow: boolean;
  live: boolean;
  onSeek: (changed: Partial<Sought>) => void;
};

function Events({ where, follow, live, onSeek }: EventsProps) {
  const { t, i18n } = useTranslation();
  const client = useClient();
  const [starts, setStarts] = useState<(string | null)[]>([null]);
  const [added, setAdded] = useState<Event[]>([]);
  const [{ data, error }, ask] = useQuery({
    query: eventsDocument,
    variables: { after: starts.at(-1) ?? null, where },
    requestPolicy: 'cache-and-network',
  });
  const first = starts.length === 1;
  const told = follow && live && first;
  const [key] = useState(where);
  useEffect(() => {
    if (!told) return;
    // What came while nobody listened is loaded; what comes from now on is told.
    ask({ requestPolicy: 'network-only' });
    const following = client.subscription(addedDocument, { where: key }).subscribe(({ data: news }) => {
      if (news) setAdded((before) => [news.auditEventAdded, ...before].slice(0, kept));
    });
    return () => {
      following.unsubscribe();
    };
  }, [told, client, key, ask]);
  const loaded = data?.auditEvents.edges.map(({ node }) => node) ?? [];
  const rows = first ? merged(added, loaded) : loaded;
  const deed = (action: string) => {
    const name = action.replaceAll(/[.-]/g, '_');
    return i18n.exists(`deeds.${name}`) ? t(`deeds.${name as keyof typeof en.deeds}`) : action;
  };
  return (
    <>
      <Problems error={error} />
      {!data && !error && <Skeleton active />}
      {data && rows.length === 0 && (
        <Empty className="nothing" image={Empty.PRESENTED_IMAGE_SIMPLE} description={where ? t('audit.noMatch') : t('audit.none')} />
      )}
      {rows.length > 0 && (
        <Rows<Event>
          rows={rows}
          name={{
            title: t('audit.at'),
            of: (row) => (
              <time className="number" dateTime={row.at}>
                {moment(row.at, i18n.language)}
              </time>
            ),
          }}
          columns={[
            {
              key: 'actor',
              title: t('audit.actor'),
              of: (row) => {
                const { actor } = row;
                const called = row.actorName ?? (row.ip ? t('audit.visitor') : t('audit.server'));
                if (!actor || !follow) return called;
                return (
                  <Button
                    type="link"
                    style={{ padding: 0, height: 'auto' }}
                    title={t('audit.only')}
                    onClick={() => {
                      onSeek({ actor: actor.id });
                    }}
                  >
                    {called}
                  </Button>
                );
              },
            },
            {
              key: 'action',
              title: t('audit.action'),
              of: (row) => (
                <>
                  <div>{deed(row.action)}</div>
                  <code className="soft">{row.action}</code>
                </>
              ),
            },
            {
              key: 'target',
              title: t('audit.target'),
              of: (row) => {
                const { target } = row;
                if (!target) return row.targetName ?? '–';
                return (
                  <Button
                    type="link"
                    style={{ padding: 0, height: 'auto', whiteSpace: 'normal', textAlign: 'start', overflowWrap: 'anywhere' }}
                    title={`${t('audit.only')} (${target})`}
                    onClick={() => {
                      onSeek({ target });
                    }}
                  >
                    {row.targetName ?? target}
                  </Button>
                );
              },
            },
            {
              key: 'outcome',
              title: t('audit.outcome'),
              of: (row) => (
                <>
                  <Tag color={colours[row.outcome]}>{t(`outcome.${row.outcome}`)}</Tag>
                  {row.detail && <div className="soft">{row.detail}</div>}
                </>
              ),
            },
            { key: 'ip', title: t('security.address'), of: (row) => row.ip ?? '–' },
            {
              key: 'request',
              title: t('audit.request'),
              of: (row) =>
                row.requestId ? (
                  <Flex align="center" gap={4}>
                    <code className="soft" title={row.requestId}>
                      {row.requestId.length > 12 ? `${row.requestId.slice(0, 11)}…` : row.requestId}
                    </code>
                    <CopyButton iconOnly text={row.requestId} label={t('audit.copyRequest', { id: row.requestId })} />
                  </Flex>
                ) : (
                  '–'
                ),
            },
          ]}
        />
      )}
      <Pages starts={starts} info={data?.auditEvents.pageInfo} onTurn={setStarts} />
    </>
  );
}
