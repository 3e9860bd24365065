import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Checkbox, Flex, Form, Input, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Mount, Values } from './createInput';

export type Choice = { id: string; name: string; readOnly: boolean };

/** Further volumes in a new container: which, where, and whether only to read. */
export function Mounts({ choices, mounts, wrong }: { choices: readonly Choice[]; mounts: readonly (Mount | undefined)[]; wrong: object }) {
  const { t } = useTranslation();
  const form = Form.useFormInstance<Values>();
  return (
    <Form.Item label={t('create.mounts')} extra={choices.length === 0 && t('create.noMounts')} {...wrong}>
      <Form.List name="volumes">
        {(fields, { add, remove }) => (
          <Flex vertical gap="small" role="group" aria-label={t('create.mounts')}>
            {fields.map(({ key, name }) => {
              const number = name + 1;
              const onlyRead = choices.find(({ id }) => id === mounts[name]?.volumeId)?.readOnly === true;
              return (
                <Flex key={key} gap="small" wrap align="center">
                  <Form.Item name={[name, 'volumeId']} noStyle>
                    <Select
                      aria-label={t('create.mountVolume', { number })}
                      placeholder={t('create.volume')}
                      options={choices.map(({ id, name: label }) => ({ value: id, label }))}
                      onChange={(id: string) => {
                        const chosen = choices.find((choice) => choice.id === id);
                        if (chosen && !mounts[name]?.path) form.setFieldValue(['volumes', name, 'path'], `/data/${chosen.name}`);
                      }}
                      style={{ flex: '1 1 140px' }}
                    />
                  </Form.Item>
                  <Form.Item name={[name, 'path']} noStyle>
                    <Input
                      aria-label={t('create.mountPath', { number })}
                      placeholder="/data"
                      autoComplete="off"
                      style={{ flex: '1 1 140px' }}
                    />
                  </Form.Item>
                  {onlyRead ? (
                    <Checkbox checked disabled>
                      {t('create.readOnly')}
                    </Checkbox>
                  ) : (
                    <Form.Item name={[name, 'readOnly']} valuePropName="checked" noStyle>
                      <Checkbox>{t('create.readOnly')}</Checkbox>
                    </Form.Item>
                  )}
                  <Button
                    icon={<DeleteOutlined aria-hidden />}
                    aria-label={t('create.mountRemove', { number })}
                    onClick={() => {
                      remove(name);
                    }}
                  />
                </Flex>
              );
            })}
            {choices.length > 0 && (
              <Button
                type="dashed"
                icon={<PlusOutlined aria-hidden />}
                onClick={() => {
                  add({});
                }}
              >
                {t('create.mountAdd')}
              </Button>
            )}
          </Flex>
        )}
      </Form.List>
    </Form.Item>
  );
}
