import { Flex, Form, InputNumber } from 'antd';
import { useTranslation } from 'react-i18next';

/** The least that a container of the image must have. */
export function MinimaFields({ problems, memory }: { problems: Record<string, string>; memory?: number | undefined }) {
  const { t } = useTranslation();
  const wrong = (field: string) => (problems[field] ? { validateStatus: 'error' as const, help: problems[field] } : {});
  return (
    <>
      <p className="hint">{t('image.minimaHint')}</p>
      <Flex gap="middle" wrap>
        <Form.Item name="minCpu" label={t('image.minCpu')} {...wrong('minCpu')}>
          <InputNumber min={0} step={0.5} style={{ width: 140 }} />
        </Form.Item>
        <Form.Item name="minMemoryMiB" label={t('image.minMemory')} {...wrong('minMemory')}>
          <InputNumber
            min={0}
            step={128}
            style={{ width: 140 }}
            {...(memory !== undefined && { placeholder: String(Math.ceil(memory / 1024 / 1024)) })}
          />
        </Form.Item>
        <Form.Item name="minGpu" label={t('image.minGpu')} {...wrong('minGpu')}>
          <InputNumber min={0} precision={0} style={{ width: 140 }} />
        </Form.Item>
      </Flex>
    </>
  );
}
