import { Form, InputNumber, Space } from 'antd';
import { useTranslation } from 'react-i18next';
import { limitNames, type SomeLimits } from '@/lib/quota';

type Props = {
  problems?: Record<string, string> | undefined;
  /** What holds where nothing is filled in, to be seen there. */
  otherwise?: SomeLimits | undefined;
};

/** The limits of a quota within a form, memory and disk in GiB. */
export function QuotaFields({ problems = {}, otherwise = {} }: Props) {
  const { t } = useTranslation();
  return (
    <Space wrap align="start">
      {limitNames.map((name) => (
        <Form.Item
          key={name}
          name={name}
          label={t(`limits.${name}`)}
          {...(problems[name] && { validateStatus: 'error' as const, help: problems[name] })}
        >
          <InputNumber
            min={0}
            style={{ width: 200 }}
            {...(typeof otherwise[name] === 'number' && { placeholder: String(otherwise[name]) })}
          />
        </Form.Item>
      ))}
    </Space>
  );
}
