import { Progress } from 'antd';
import { useTranslation } from 'react-i18next';
import { decimal } from '@/lib/format';

type Props = {
  /** What the bar shows, for who does not see it. */
  label: string;
  /** 0 to 100; undefined where nothing is known, and then there is no bar. */
  percent: number | undefined;
  children: string;
  testId?: string;
};

/** An amount in words over a thin bar. */
export function Gauge({ label, percent, children, testId }: Props) {
  const { i18n } = useTranslation();
  return (
    <div className="gauge">
      <span className="number" data-testid={testId}>
        {children}
      </span>
      {percent !== undefined && (
        <Progress
          aria-label={`${label}: ${decimal(percent, i18n.language, 0)} %`}
          percent={Math.min(100, Math.round(percent * 10) / 10)}
          showInfo={false}
          size={{ height: 4 }}
        />
      )}
    </div>
  );
}
