import { UploadOutlined } from '@ant-design/icons';
import { Button, type ButtonProps } from 'antd';
import { useRef } from 'react';

type Props = { label: string; accept: string; onFile: (file: File) => void } & Pick<ButtonProps, 'type' | 'loading' | 'disabled'>;

/** A button that takes a file; the same file can be taken twice, as it may have been mended meanwhile. */
export function FileButton({ label, accept, onFile, ...button }: Props) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={label}
        accept={accept}
        onChange={({ target }) => {
          const file = target.files?.[0];
          target.value = '';
          if (file) onFile(file);
        }}
      />
      <Button icon={<UploadOutlined aria-hidden />} {...button} onClick={() => input.current?.click()}>
        {label}
      </Button>
    </>
  );
}
