import { UserOutlined } from '@ant-design/icons';
import { Avatar } from 'antd';
import { here } from '@/lib/browser';

/** A person's picture, or what stands for one. It says nothing that the name beside it does not. */
export function Portrait({ address, size = 32 }: { address: string | null | undefined; size?: number }) {
  const src = here(address);
  return <Avatar size={size} alt="" {...(src ? { src } : { icon: <UserOutlined aria-hidden /> })} style={{ flex: 'none' }} />;
}
