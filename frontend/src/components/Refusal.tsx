import { Alert } from 'antd';
import type { Problem } from '@/lib/errors';
import { AskForMore } from './AskForMore';

/** Why something was refused, above the buttons of a form; where it is one's quota, with the way to more. */
export function Refusal({ problem }: { problem: Problem }) {
  return (
    <Alert
      role="alert"
      type="error"
      showIcon
      title={problem.message}
      {...(problem.short && { description: <AskForMore size="small" short={problem.short} /> })}
    />
  );
}
