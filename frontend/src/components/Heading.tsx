import { Flex, Typography } from 'antd';
import type { ReactNode } from 'react';

/** The one heading of a page, its title in the window, and what can be done there. */
export function Heading({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Flex justify="space-between" align="center" wrap gap="small">
      <title>{`${title} – MLRide`}</title>
      <Typography.Title level={1} style={{ fontSize: 24, margin: '8px 0' }}>
        {title}
      </Typography.Title>
      <Flex wrap gap="small">
        {children}
      </Flex>
    </Flex>
  );
}
