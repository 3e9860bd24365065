import { useEffect, useState } from 'react';

/** A value that is typed, once it has rested for 250 ms: the server is not asked for each letter. */
export function usePause(typed: string) {
  const [rested, setRested] = useState(typed);
  useEffect(() => {
    const timer = setTimeout(() => {
      setRested(typed.trim());
    }, 250);
    return () => {
      clearTimeout(timer);
    };
  }, [typed]);
  return rested;
}
