import type { ComponentProps } from 'react';

type Props = ComponentProps<'input'> & { name: string; label: string; problem?: string | undefined; hint?: string | undefined };

/** A labelled native input that says what is wrong with it. */
export function Field({ label, problem, hint, ...input }: Props) {
  const described = [hint && `${input.name}-hint`, problem && `${input.name}-problem`].filter(Boolean).join(' ');
  return (
    <div className="field">
      <label htmlFor={input.name}>{label}</label>
      <input id={input.name} aria-invalid={problem ? true : undefined} aria-describedby={described || undefined} {...input} />
      {hint && (
        <p className="hint" id={`${input.name}-hint`}>
          {hint}
        </p>
      )}
      {problem && (
        <p className="problem" id={`${input.name}-problem`}>
          {problem}
        </p>
      )}
    </div>
  );
}
