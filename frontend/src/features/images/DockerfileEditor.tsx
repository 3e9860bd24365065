import { useId, useRef } from 'react';

type Props = {
  value: string;
  label: string;
  problem?: string | undefined;
  /** The line that is wrong, from 1. */
  line?: number | undefined;
  onChange?: (value: string) => void;
};

/** A Dockerfile with its line numbers, to be read or, with onChange, to be written. */
export function DockerfileEditor({ value, label, problem, line, onChange }: Props) {
  const id = useId();
  const numbers = useRef<HTMLPreElement>(null);
  const count = Math.max(value.split('\n').length, 12);
  return (
    <>
      <div className="editor">
        <pre ref={numbers} aria-hidden>
          {Array.from({ length: count }, (_, i) => (
            <div key={i} className={line === i + 1 ? 'wrong' : undefined}>
              {i + 1}
            </div>
          ))}
        </pre>
        <textarea
          aria-label={label}
          aria-invalid={problem ? true : undefined}
          aria-describedby={problem ? id : undefined}
          readOnly={!onChange}
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          wrap="off"
          rows={Math.min(count, 26)}
          maxLength={64 * 1024}
          value={value}
          onChange={({ target }) => onChange?.(target.value)}
          onScroll={({ currentTarget }) => {
            if (numbers.current) numbers.current.scrollTop = currentTarget.scrollTop;
          }}
        />
      </div>
      {problem && (
        <p id={id} className="problem" role="alert">
          {problem}
        </p>
      )}
    </>
  );
}
