import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { AskForMore } from '@/components/AskForMore';
import { problemIn } from '@/lib/errors';
import { startDocument } from './documents';
import { useWait } from './useWait';

type Result = { error?: Parameters<typeof problemIn>[0] | undefined };

/** Says why something was refused, if it was; where it is one's quota, with the way to more. */
export function useTell() {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  return ({ error }: Result) => {
    if (!error) return;
    const problem = problemIn(error);
    if (problem.short)
      modal.warning({
        title: problem.message,
        content: <AskForMore short={problem.short} />,
        okText: t('app.close'),
      });
    else void message.error(problem.message, 6);
  };
}

/** Starts a container, and offers to wait where there is no room. */
export function useStart() {
  const tell = useTell();
  const wait = useWait();
  const [, start] = useMutation(startDocument);
  return async (id: string) => {
    const { error } = await start({ id });
    if (!error) return;
    const problem = problemIn(error);
    if (problem.code === 'CAPACITY_EXCEEDED') wait([id], [problem.message]);
    else tell({ error });
  };
}
