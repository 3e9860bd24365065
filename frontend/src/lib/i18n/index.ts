import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';

export const languages = { 'zh-CN': '简体中文', en: 'English' } as const;
export type Language = keyof typeof languages;

const load: Record<Language, () => Promise<{ default: object }>> = {
  'zh-CN': () => import('./zh-CN.json'),
  en: () => import('./en.json'),
};

export function preferredLanguage(): Language {
  const stored = localStorage.getItem('language');
  if (stored && stored in languages) return stored as Language;
  return navigator.languages.some((l) => l.toLowerCase().startsWith('zh')) ? 'zh-CN' : 'en';
}

export async function ensureResources(language: Language) {
  if (!i18next.hasResourceBundle(language, 'translation')) {
    i18next.addResourceBundle(language, 'translation', (await load[language]()).default);
  }
}

export async function setLanguage(language: Language) {
  await ensureResources(language);
  await i18next.changeLanguage(language);
  localStorage.setItem('language', language);
  document.documentElement.lang = language;
}

export async function startI18n() {
  await i18next.use(initReactI18next).init({
    lng: preferredLanguage(),
    fallbackLng: false,
    resources: {},
    partialBundledLanguages: true,
    interpolation: { escapeValue: false }, // React escapes
    react: { useSuspense: false },
    showSupportNotice: false,
  } as never);
  await setLanguage(preferredLanguage());
}
