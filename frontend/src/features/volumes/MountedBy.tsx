import { Fragment } from 'react';
import { Link } from 'react-router';

/** Containers by name, each leading to its page. */
export function MountedBy({ containers }: { containers: readonly { id: string; name: string }[] }) {
  return containers.map(({ id, name }, i) => (
    <Fragment key={id}>
      {i > 0 && ' · '}
      <Link className="inline" to={`/containers/${id}`}>
        {name}
      </Link>
    </Fragment>
  ));
}
