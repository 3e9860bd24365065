import { Alert } from 'antd';
import type { CombinedError } from 'urql';
import { problemIn } from '@/lib/errors';

/** An error where it happened: in a box, or as bare text where a box is there already. */
export function Problems({ error, plain = false }: { error: CombinedError | undefined; plain?: boolean }) {
  if (!error) return null;
  const { message } = problemIn(error);
  if (plain) return message;
  return <Alert type="error" showIcon role="alert" title={message} style={{ marginBottom: 12 }} />;
}
