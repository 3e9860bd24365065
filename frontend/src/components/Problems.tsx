import { Alert } from 'antd';
import type { CombinedError } from 'urql';
import { problemIn } from '@/lib/errors';

/** An error where it happened. */
export function Problems({ error }: { error: CombinedError | undefined }) {
  if (!error) return null;
  return <Alert type="error" showIcon role="alert" title={problemIn(error).message} style={{ marginBottom: 12 }} />;
}
