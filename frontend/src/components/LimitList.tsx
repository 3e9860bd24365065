import { useTranslation } from 'react-i18next';
import { bytes, decimal } from '@/lib/format';
import { inGiB, resourceOf, type LimitName, limitNames, type SomeLimits } from '@/lib/quota';

/** Some limits in words, each with what it is now where that is known. */
export function LimitList({ limits, now }: { limits: SomeLimits; now?: SomeLimits | undefined }) {
  const { t, i18n } = useTranslation();
  const say = (name: LimitName, n: number) => (inGiB(name) ? bytes(n, i18n.language) : decimal(n, i18n.language, 2));
  return (
    <ul className="limits">
      {limitNames.map((name) => {
        const wanted = limits[name];
        if (typeof wanted !== 'number') return null;
        const present = now?.[name];
        return (
          <li key={name}>
            {t(`quota.${resourceOf(name)}`)}{' '}
            <span className="number">
              {typeof present === 'number' && `${say(name, present)} → `}
              {say(name, wanted)}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
