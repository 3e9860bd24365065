import { Tag } from 'antd';
import { useTranslation } from 'react-i18next';
import { bytes } from '@/lib/format';
import type { Base, Preset } from './documents';
import { baseIn, presetIn } from './known';

type Props<T> = { choices: readonly T[]; chosen: string; problem?: string | undefined; onChoose: (name: string) => void };

/** The bases to begin from, each with what speaks for it. */
export function Bases({ choices: bases, chosen, problem, onChoose }: Props<Base>) {
  const { t, i18n } = useTranslation();
  const smallest = Math.min(...bases.map(({ size }) => size));
  return (
    <fieldset className="choices">
      <legend>{t('build.base')}</legend>
      <p className="hint">{t('build.baseHint')}</p>
      <div className="cards">
        {bases.map((base) => {
          const { title, description } = baseIn(base, i18n.language);
          return (
            <label key={base.name} className={base.name === chosen ? 'choice chosen' : 'choice'}>
              <span>
                <input
                  type="radio"
                  name="base"
                  checked={base.name === chosen}
                  onChange={() => {
                    onChoose(base.name);
                  }}
                />{' '}
                <strong>{title}</strong>
              </span>
              <span className="number">
                {t('build.about', { size: bytes(base.size, i18n.language) })}
                {base.size > smallest && ` (${t('build.more', { size: bytes(base.size - smallest, i18n.language) })})`}{' '}
              </span>
              <span>
                <Tag color={base.compilers ? 'processing' : 'default'}>
                  {base.compilers ? t('build.compilers') : t('build.noCompilers')}
                </Tag>
              </span>
              <span>{description}</span>
              <code className="soft">{base.reference}</code>
            </label>
          );
        })}
      </div>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
    </fieldset>
  );
}

/** The sets of packages, and none. */
export function Presets({ choices: presets, chosen, problem, onChoose }: Props<Preset>) {
  const { t, i18n } = useTranslation();
  const choice = (name: string, title: React.ReactNode, about?: React.ReactNode) => (
    <label key={name} className={name === chosen ? 'choice chosen' : 'choice'}>
      <span>
        <input
          type="radio"
          name="preset"
          checked={name === chosen}
          onChange={() => {
            onChoose(name);
          }}
        />{' '}
        {title}
      </span>
      {about}
    </label>
  );
  return (
    <fieldset className="choices">
      <legend>{t('build.preset')}</legend>
      <div className="cards">
        {choice('', <strong>{t('build.noPreset')}</strong>, <span>{t('build.noPresetHint')}</span>)}
        {presets.map((preset) => {
          const { title, description } = presetIn(preset, i18n.language);
          return choice(
            preset.name,
            <>
              <strong>{title}</strong> {preset.large && <Tag color="warning">{t('build.large')}</Tag>}
            </>,
            <>
              <span>{description}</span>
              {preset.large && <span>{t('build.largeHint')}</span>}
              <span className="soft">
                {t('image.needs', { amount: bytes(preset.minMemory, i18n.language) })}
                {preset.port !== null && ` · ${t('image.port', { port: preset.port })}`}
              </span>
              <code className="soft">{[...preset.packages, ...preset.systemPackages].join(' ')}</code>
            </>,
          );
        })}
      </div>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
    </fieldset>
  );
}
