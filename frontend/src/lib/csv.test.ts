import { expect, test } from 'vitest';
import { csv } from './csv';

test('cells that need it are quoted, and the table knows its encoding', () => {
  expect(
    csv([
      ['username', 'password'],
      ['ann', 'a,b"c'],
      ['bo', ' x'],
    ]),
  ).toBe('\uFEFFusername,password\r\nann,"a,b""c"\r\nbo," x"\r\n');
});
