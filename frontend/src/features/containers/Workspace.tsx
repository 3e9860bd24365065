import { AutoComplete, Checkbox, Form } from 'antd';
import { useTranslation } from 'react-i18next';

type At = (field: string) => { help?: string; validateStatus?: 'error' | 'warning' };

/** What a container keeps when it goes: a volume of one's own as its HOME. */
export function Workspace({ keep, name, own, at }: { keep: boolean; name: string; own: readonly string[]; at: At }) {
  const { t } = useTranslation();
  const hint = own.includes(name) ? t('create.workspaceThere') : t('create.workspaceNew');
  return (
    <>
      <Form.Item
        name="keep"
        valuePropName="checked"
        extra={keep ? t('create.workspaceHint') : t('create.workspaceNone')}
        style={{ marginBottom: 12 }}
      >
        <Checkbox>{t('create.workspace')}</Checkbox>
      </Form.Item>
      {keep && (
        <Form.Item name="workspace" label={t('create.volume')} extra={hint} {...at('workspace')}>
          <AutoComplete maxLength={63} options={own.map((value) => ({ value }))} />
        </Form.Item>
      )}
    </>
  );
}
