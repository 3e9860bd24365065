import { useTranslation } from 'react-i18next';
import { useQuery } from 'urql';
import { bytes } from '@/lib/format';
import { lossesDocument } from './documents';
import { losses } from './lost';

/** Says before a removal what is lost by it, and what is not. */
export function Losses({ ids }: { ids: string[] }) {
  const { t, i18n } = useTranslation();
  const [{ data, error }] = useQuery({ query: lossesDocument, variables: { ids }, requestPolicy: 'cache-and-network' });
  const found = data?.nodes.flatMap((node) => (node?.__typename === 'Container' ? [node] : []));
  if (!found) return error ? <p>{t('container.removeText')}</p> : null;
  const { amount, stay } = losses(found);
  return (
    <>
      <p>{stay.length > 0 ? t('container.removeOutside') : t('container.removeText')}</p>
      {amount !== null && <p>{t('container.lostAmount', { amount: bytes(amount, i18n.language) })}</p>}
      {stay.length > 0 && <p>{t('container.volumesStay', { volumes: new Intl.ListFormat(i18n.language).format(stay) })}</p>}
    </>
  );
}
