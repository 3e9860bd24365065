import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Flex, Form, Input, InputNumber } from 'antd';
import { useTranslation } from 'react-i18next';

/** As many as a container has at most. */
const most = 20;

/** Ports in a form: what each is called, and its number. */
export function PortFields({ count, wrong }: { count: number; wrong: object }) {
  const { t } = useTranslation();
  return (
    <Form.Item label={t('ports.title')} extra={t('ports.hint')} {...wrong}>
      <Form.List name="ports">
        {(fields, { add, remove }) => (
          <Flex vertical gap="small" role="group" aria-label={t('ports.title')}>
            {fields.map(({ key, name }) => {
              const number = name + 1;
              return (
                <Flex key={key} gap="small" wrap align="center">
                  <Form.Item name={[name, 'name']} noStyle>
                    <Input
                      aria-label={t('ports.nameOf', { number })}
                      placeholder={t('container.name')}
                      autoComplete="off"
                      maxLength={32}
                      style={{ flex: '1 1 140px' }}
                    />
                  </Form.Item>
                  <Form.Item name={[name, 'port']} noStyle>
                    <InputNumber
                      aria-label={t('ports.numberOf', { number })}
                      placeholder="8080"
                      min={1}
                      max={65_535}
                      precision={0}
                      style={{ flex: '1 1 100px' }}
                    />
                  </Form.Item>
                  <Button
                    icon={<DeleteOutlined aria-hidden />}
                    aria-label={t('ports.remove', { number })}
                    onClick={() => {
                      remove(name);
                    }}
                  />
                </Flex>
              );
            })}
            {count < most && (
              <Button
                type="dashed"
                icon={<PlusOutlined aria-hidden />}
                onClick={() => {
                  add({});
                }}
              >
                {t('ports.add')}
              </Button>
            )}
          </Flex>
        )}
      </Form.List>
    </Form.Item>
  );
}
