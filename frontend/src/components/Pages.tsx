import { Button, Flex } from 'antd';
import { useTranslation } from 'react-i18next';

type Props = {
  /** Behind which places the pages turned so far begin; null is the beginning. */
  starts: (string | null)[];
  info: { hasNextPage: boolean; endCursor: string | null } | undefined;
  onTurn: (starts: (string | null)[]) => void;
};

/** Turns the pages of a list that has more than one. */
export function Pages({ starts, info, onTurn }: Props) {
  const { t } = useTranslation();
  if (starts.length === 1 && !info?.hasNextPage) return null;
  return (
    <Flex component="nav" aria-label={t('app.pages')} justify="end" gap="small" style={{ marginTop: 12 }}>
      <Button
        disabled={starts.length === 1}
        onClick={() => {
          onTurn(starts.slice(0, -1));
        }}
      >
        {t('app.previous')}
      </Button>
      <Button
        disabled={!info?.hasNextPage}
        onClick={() => {
          onTurn([...starts, info?.endCursor ?? null]);
        }}
      >
        {t('app.next')}
      </Button>
    </Flex>
  );
}
