import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { type Language, languages, setLanguage } from '@/lib/i18n';

/** What stands around the pages before the app: native controls only, so that they are there at once on a slow line. */
export function Outside({ title, children }: { title: string; children: ReactNode }) {
  const { t, i18n } = useTranslation();
  return (
    <main className="sign-in">
      <title>{`${title} – MLRide`}</title>
      <h1>MLRide</h1>
      {children}
      <label className="language">
        <span>{t('app.language')}</span>{' '}
        <select value={i18n.language} onChange={(event) => void setLanguage(event.target.value as Language)}>
          {Object.entries(languages).map(([code, name]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </main>
  );
}
