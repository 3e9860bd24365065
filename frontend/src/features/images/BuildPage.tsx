import { Alert, Button, Card, Collapse, Empty, Flex, Form, Input, Segmented, Skeleton } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { useClient, useMutation, useQuery } from 'urql';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { Refusal } from '@/components/Refusal';
import { type Problem, problemIn } from '@/lib/errors';
import { inputOf, lineIn, nameBeside, nothing, type Way, type Wish, wishOf } from './buildInput';
import { Bases, Presets } from './Choices';
import { buildDocument, type BuildInput, choicesDocument, deleteDocument, oneDocument, previewDocument } from './documents';
import { DockerfileEditor } from './DockerfileEditor';
import { type Minima, minimaFields } from './minima';
import { MinimaFields } from './MinimaFields';
import { PackageInput } from './PackageInput';

/** Asks for a build; with ?from=ID beginning from what another was built from. */
export default function BuildPage() {
  const { t } = useTranslation();
  const [parameters] = useSearchParams();
  const from = parameters.get('from');
  const [{ data, error, fetching }] = useQuery({ query: oneDocument, variables: { id: from ?? '' }, pause: !from });
  const [{ data: choices, error: noChoices }] = useQuery({ query: choicesDocument });
  const image = data?.node?.__typename === 'Image' ? data.node : undefined;
  const waits = !choices || (from !== null && fetching);
  return (
    <>
      <Link to="/images">{t('image.back')}</Link>
      <Heading title={t('build.title')} />
      <Problems error={error ?? noChoices} />
      {waits && !error && !noChoices && <Skeleton active />}
      {!waits && from && !image && !error && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('image.gone')} />}
      {!waits && (!from || image) && (
        <BuildForm
          key={from ?? ''}
          {...(image ? wishOf(image) : { wish: nothing, minima: {} })}
          replaces={image && (image.status === 'FAILED' || image.status === 'CANCELLED') ? image.id : undefined}
          bases={choices.imageBases}
          presets={choices.imagePresets}
        />
      )}
    </>
  );
}

type Choices = Parameters<typeof Bases>[0]['choices'];
type Sets = Parameters<typeof Presets>[0]['choices'];
type Props = {
  wish: Wish;
  minima: Minima;
  /** The image that came to nothing, whose name may be used again. */
  replaces: string | undefined;
  bases: Choices;
  presets: Sets;
};

/** What the form would build, a moment after the last change. */
function usePreview(input: BuildInput | undefined) {
  const client = useClient();
  const [preview, setPreview] = useState<{ text: string; problem?: Problem | undefined }>({ text: '' });
  const asked = JSON.stringify(input);
  useEffect(() => {
    if (!asked) return;
    let gone = false;
    const timer = setTimeout(() => {
      void client
        .query(previewDocument, { input: JSON.parse(asked) as BuildInput }, { requestPolicy: 'network-only' })
        .then(({ data, error }) => {
          if (gone) return;
          setPreview(({ text }) => (error ? { text, problem: problemIn(error) } : { text: data?.previewDockerfile ?? '' }));
        });
    }, 300);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [asked, client]);
  return preview;
}

const ofForm = ['base', 'preset', 'packages', 'systemPackages'];

function BuildForm({ wish: first, minima, replaces, bases, presets }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [form] = Form.useForm<Minima>();
  const [wish, setWish] = useState<Wish>(first);
  const [problem, setProblem] = useState<Problem>();
  const [{ fetching }, build] = useMutation(buildDocument);
  const [, remove] = useMutation(deleteDocument);
  const change = (changed: Partial<Wish>) => {
    setWish((before) => ({ ...before, ...changed }));
    setProblem(undefined);
  };
  const byForm = wish.way === 'form';
  const base = wish.base || (bases[0]?.name ?? '');
  const preset = presets.find(({ name }) => name === wish.preset);
  const preview = usePreview(byForm ? { ...inputOf({ ...wish, name: 'preview', base }, {}) } : undefined);
  const fields = { ...(byForm ? preview.problem?.fields : {}), ...problem?.fields };
  const told = ['name', 'dockerfile', ...ofForm, ...minimaFields];
  const atField = problem && told.some((field) => problem.fields[field]);
  const submit = async () => {
    const values = form.getFieldsValue();
    const input = inputOf({ ...wish, base }, values);
    let { data, error } = await build({ input });
    // What came to nothing gives its name to what is tried in its place.
    if (error && replaces && problemIn(error).code === 'CONFLICT' && input.name === first.name) {
      await remove({ id: replaces });
      // It goes a moment later, and its name with it.
      for (let tries = 0; tries < 20 && error && problemIn(error).code === 'CONFLICT'; tries++) {
        await new Promise((done) => setTimeout(done, 250));
        ({ data, error } = await build({ input }));
      }
    }
    if (error) setProblem(problemIn(error));
    else if (data) void navigate(`/images/${data.buildImage.image.id}`);
  };
  const asDockerfile = () => {
    change({ way: 'dockerfile', dockerfile: preview.text });
  };
  return (
    <form
      className="build"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Form component={false} layout="vertical" form={form} initialValues={minima}>
        <Form.Item
          label={t('build.name')}
          htmlFor="build-name"
          extra={t('build.nameHint')}
          {...(fields['name'] ? { validateStatus: 'error' as const, help: fields['name'] } : {})}
        >
          <Input
            id="build-name"
            value={wish.name}
            maxLength={64}
            autoComplete="off"
            style={{ maxWidth: 420 }}
            onChange={({ target }) => {
              change({ name: target.value });
            }}
          />
        </Form.Item>
        {problem?.code === 'CONFLICT' && fields['name'] && (
          <Button
            size="small"
            style={{ marginBottom: 12 }}
            onClick={() => {
              change({ name: nameBeside(wish.name) });
            }}
          >
            {t('build.takeName', { name: nameBeside(wish.name) })}
          </Button>
        )}
        <Segmented<Way>
          value={wish.way}
          onChange={(way) => {
            change({ way });
          }}
          options={[
            { value: 'form', label: t('build.byForm') },
            { value: 'dockerfile', label: t('build.byDockerfile') },
          ]}
          style={{ marginBottom: 12 }}
        />
        {byForm ? (
          <div className="halves">
            <div>
              <Bases
                choices={bases}
                chosen={base}
                problem={fields['base']}
                onChoose={(name) => {
                  change({ base: name });
                }}
              />
              <Presets
                choices={presets}
                chosen={wish.preset}
                problem={fields['preset']}
                onChoose={(name) => {
                  change({ preset: name });
                }}
              />
              <PackageInput
                kind="python"
                label={t('build.packages')}
                hint={t('build.packagesHint')}
                packages={wish.packages}
                problem={fields['packages']}
                onChange={(packages) => {
                  change({ packages });
                }}
              />
              <PackageInput
                kind="system"
                label={t('build.systemPackages')}
                hint={t('build.systemPackagesHint')}
                packages={wish.systemPackages}
                problem={fields['systemPackages']}
                onChange={(systemPackages) => {
                  change({ systemPackages });
                }}
              />
            </div>
            <Card
              size="small"
              title={<h2 className="part">{t('build.preview')}</h2>}
              extra={
                <Button size="small" onClick={asDockerfile} disabled={preview.text === ''}>
                  {t('build.editAsDockerfile')}
                </Button>
              }
            >
              <DockerfileEditor label={t('build.preview')} value={preview.text} />
              {preview.problem && !ofForm.some((field) => preview.problem?.fields[field]) && (
                <Alert type="warning" title={preview.problem.message} />
              )}
              <p className="hint">{t('build.previewHint')}</p>
            </Card>
          </div>
        ) : (
          <>
            <p className="hint">{t('build.dockerfileHint')}</p>
            <DockerfileEditor
              label="Dockerfile"
              value={wish.dockerfile}
              problem={fields['dockerfile']}
              line={lineIn(fields['dockerfile'])}
              onChange={(dockerfile) => {
                change({ dockerfile });
              }}
            />
          </>
        )}
        <Collapse
          ghost
          size="small"
          items={[
            {
              key: 'minima',
              label: t('image.minima'),
              forceRender: true,
              children: <MinimaFields problems={fields} memory={byForm ? preset?.minMemory : undefined} />,
            },
          ]}
        />
      </Form>
      {problem && !atField && <Refusal problem={problem} />}
      <Flex gap="small" style={{ marginTop: 12 }}>
        <Button type="primary" htmlType="submit" loading={fetching}>
          {t('image.build')}
        </Button>
        <Button onClick={() => void navigate(-1)}>{t('app.cancel')}</Button>
      </Flex>
    </form>
  );
}
