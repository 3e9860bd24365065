// What comes with the program is described in English by the server; here is the same for those who read Chinese. What
// an operator has put in its place is shown in their own words.
type Told = { title?: string; description: string };

const entries: Record<string, Told> = {
  'python:3.12-slim': { description: '小型 Debian 上的 Python，带 pip。适合入门，需要什么就用 pip 安装。' },
  'python:3.11-slim': { description: '同上，适合尚不支持 3.12 的库。' },
  'quay.io/jupyter/minimal-notebook:latest': { description: 'JupyterLab，带 Python 和 conda，约 1.5 GB。' },
  'quay.io/jupyter/scipy-notebook:latest': {
    title: 'Jupyter 数据科学',
    description: 'JupyterLab，带 pandas、matplotlib 和 scikit-learn。较大：约 4 GB。',
  },
  'pytorch/pytorch:latest': { description: 'PyTorch，带 CUDA 库；没有 GPU 也能用。非常大：约 8 GB。' },
  'tensorflow/tensorflow:latest': { description: 'CPU 版 TensorFlow。较大：约 2 GB。' },
  'ubuntu:24.04': { description: '纯净的 Ubuntu，带 shell。' },
  'debian:12-slim': { description: '纯净的 Debian，带 shell。' },
  'node:22-slim': { description: '小型 Debian 上的 Node.js 和 npm。' },
  'golang:1': { description: 'Debian 上的 Go 工具链，带 git 和 C 编译器。较大：约 1 GB。' },
};

const chinese = (language: string) => language.startsWith('zh');

/** The words of a catalogue entry in the language of the page. */
export function entryIn<T extends { name: string; reference: string; description: string }>(entry: T, language: string): T {
  const known = chinese(language) ? entries[entry.reference] : undefined;
  return known ? { ...entry, name: known.title ?? entry.name, description: known.description } : entry;
}

const bases: Record<string, Told> = {};

const presets: Record<string, Told> = {};

type Choice = { name: string; title: string; description: string };
const choiceIn = <T extends Choice>(choice: T, told: Record<string, Told>, language: string): T => {
  const known = chinese(language) ? told[choice.name] : undefined;
  return known ? { ...choice, title: known.title ?? choice.title, description: known.description } : choice;
};
/** The words of a base in the language of the page. */
export const baseIn = <T extends Choice>(base: T, language: string): T => choiceIn(base, bases, language);
/** The words of a preset in the language of the page. */
export const presetIn = <T extends Choice>(preset: T, language: string): T => choiceIn(preset, presets, language);

// Why an image is as it is comes in English, without a code. The sentences of the server, by what is fixed in them.
const reasons: [RegExp, string][] = [
  [
    /^The pull of (\S+) took longer than (\S+) and was given up\..*$/s,
    '拉取 $1 超过 $2，已放弃。镜像仓库可能很慢或已停止服务，请稍后重试。',
  ],
  [
    /^(\S+) has neither (\S+) nor (\S+), or not for this machine's processor\..*$/s,
    '$1 上既没有 $2，也没有 $3，或者没有适用于本机处理器的版本。请检查名称和标签。',
  ],
  [/^(\S+) has no (\S+), or not for this machine's processor\..*$/s, '$1 上没有 $2，或者没有适用于本机处理器的版本。请检查名称和标签。'],
  [/^(\S+) does not hand out (\S+): it is private.*$/s, '$1 不提供 $2：它是私有的，或者不存在。请检查名称，或向管理员申请权限。'],
  [
    /^The machine's disk is full, so (\S+) could not be pulled\..*$/s,
    '机器磁盘已满，无法拉取 $1。请删除不需要的镜像，或请管理员腾出空间，然后重试。',
  ],
  [
    /^(\S+) could not be reached, or failed while (\S+) was pulled \((.*)\)\..*$/s,
    '无法连接 $1，或在拉取 $2 时出错（$3）。请稍后重试，或请管理员配置镜像加速。',
  ],
  [/^Something else in the engine is busy with (\S+)\..*$/s, '引擎正忙于处理 $1，请重新拉取。'],
  [/^The engine would not pull (\S+) \((.*)\)\..*$/s, '引擎无法拉取 $1（$2）。请联系管理员。'],
];

/** Why an image is in its state, in the language of the page; in the server's own words where these are not known. */
export function reasonIn(message: string, language: string): string {
  if (!chinese(language)) return message;
  for (const [pattern, text] of reasons) if (pattern.test(message)) return message.replace(pattern, text);
  return message;
}
