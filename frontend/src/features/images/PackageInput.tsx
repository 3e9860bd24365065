import { Alert, Button, Flex, Form, Input, Tag } from 'antd';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Kind, mostPackages, type Refused, split } from './packages';

type Props = {
  kind: Kind;
  label: string;
  hint: string;
  packages: string[];
  /** What the server says of them. */
  problem?: string | undefined;
  onChange: (packages: string[]) => void;
};

/** Packages as tags: typed one after the other, or pasted as a whole requirements.txt. What is not taken is told. */
export function PackageInput({ kind, label, hint, packages, problem, onChange }: Props) {
  const { t } = useTranslation();
  const id = useId();
  const [typed, setTyped] = useState('');
  const [refused, setRefused] = useState<Refused[]>([]);
  const take = (text: string) => {
    const found = split(text, kind);
    const next = [...packages, ...found.packages.filter((one) => !packages.includes(one))];
    onChange(next.slice(0, mostPackages));
    setRefused(found.refused);
    // One that is wrong stays in the field to be mended.
    setTyped(found.refused.length === 1 && found.packages.length === 0 ? text.trim() : '');
  };
  const add = () => {
    if (typed.trim() !== '') take(typed);
  };
  const full = packages.length >= mostPackages;
  const wrong = problem ?? (full ? t('build.full', { count: mostPackages }) : undefined);
  return (
    <Form.Item
      label={label}
      htmlFor={id}
      extra={hint}
      {...(wrong ? { validateStatus: problem ? ('error' as const) : ('warning' as const), help: wrong } : {})}
    >
      <Flex gap="small">
        <Input
          id={id}
          value={typed}
          autoComplete="off"
          spellCheck={false}
          disabled={full}
          placeholder={kind === 'python' ? 'numpy  pandas==2.2.3' : 'git  libgl1'}
          onChange={({ target }) => {
            setTyped(target.value);
            setRefused([]);
          }}
          onPressEnter={(event) => {
            event.preventDefault();
            add();
          }}
          onBlur={add}
          onPaste={(event) => {
            const text = event.clipboardData.getData('text');
            if (!text.includes('\n')) return;
            event.preventDefault();
            take(text);
          }}
        />
        <Button onClick={add} aria-label={`${t('image.add')}: ${label}`} disabled={full}>
          {t('image.add')}
        </Button>
      </Flex>
      {packages.length > 0 && (
        <ul className="tags" aria-label={label}>
          {packages.map((name) => (
            <li key={name}>
              <Tag
                closable={{ 'aria-label': t('image.removeOne', { name }) }}
                onClose={(event) => {
                  event.preventDefault();
                  onChange(packages.filter((other) => other !== name));
                }}
              >
                {name}
              </Tag>
            </li>
          ))}
        </ul>
      )}
      {refused.length > 0 && (
        <Alert
          role="alert"
          type="warning"
          style={{ marginTop: 8 }}
          title={t('build.refused', { count: refused.length })}
          description={
            <ul style={{ margin: 0, paddingInlineStart: 18 }}>
              {refused.map(({ line, text, why }) => (
                <li key={line}>
                  <code style={{ overflowWrap: 'anywhere' }}>{text}</code>: {t(`refusedPackage.${why}`)}
                </li>
              ))}
            </ul>
          }
        />
      )}
    </Form.Item>
  );
}
